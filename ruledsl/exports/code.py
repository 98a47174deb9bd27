"""Python as text, which exported files share."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import indent


def commented(text: str) -> str:
    """Lines of a comment: whatever a rule's text holds, none of it is code."""
    return "\n".join(f"# {line}".rstrip() for line in text.splitlines())


def function(signature: str, meaning: str, body: Sequence[str], result: str) -> str:
    """A function with one line of documentation."""
    lines = [f'"""{meaning}"""', *body, f"return {result}"]
    return f"def {signature}:\n" + indent("\n".join(lines), "    ")


def module(*parts: str) -> str:
    """A file of parts, two empty lines apart."""
    return "\n\n\n".join(part.strip("\n") for part in parts) + "\n"
