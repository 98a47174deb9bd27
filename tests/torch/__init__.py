"""Rules on torch models."""
