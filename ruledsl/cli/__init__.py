"""The command line: parses arguments, calls one function, prints."""

from ruledsl.cli.main import main

__all__ = ["main"]
