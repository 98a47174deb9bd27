"""Frozen data that the stages hand on: positions, diagnostics, trees, shapes, programs. Depends on nothing."""
