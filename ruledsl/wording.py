"""Numbers of things, in words that agree with them."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """The number and its noun.

    >>> counted(1, "claim"), counted(0, "term"), counted(3, "episode")
    ('1 claim', '0 terms', '3 episodes')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
