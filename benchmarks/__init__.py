"""Measurements: speed beside the reference implementations, and accuracies of the paper's rules."""
