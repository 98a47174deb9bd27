"""What a language or simulator cannot say: which factor of which term, and what is nearest to it."""

from __future__ import annotations

from ruledsl.errors import UserError


class NotExpressible(UserError):
    """A rule that a target has no way to write down.

    >>> import ruledsl
    >>> raise NotExpressible("nestml", "it reads e_pre")
    Traceback (most recent call last):
        ...
    ruledsl.exports.refusal.NotExpressible: nestml cannot express this rule: it reads e_pre
    """

    def __init__(self, target: str, reason: str, nearest: str = "") -> None:
        super().__init__(f"{target} cannot express this rule: {reason}" + (f". {nearest}" if nearest else ""))
