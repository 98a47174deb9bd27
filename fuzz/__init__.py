"""Attacks on everything that reads a user's input: `python -m fuzz ATTACK --count N --seed S`."""
