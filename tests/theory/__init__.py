"""What is derived of rules."""
