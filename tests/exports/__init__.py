"""Rules in other languages."""
