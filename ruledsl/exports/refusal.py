"""What a language or simulator cannot say: which factor of which term, and what is nearest to it."""

from __future__ import annotations

from ruledsl.ir import Diagnostic, Locality, Location, RuleError
from ruledsl.rules import Piece, Rule


class NotExpressible(RuleError):
    """A rule, or a network, that a target has no way to write down.

    Attributes:
        piece: the part of the rule that is at fault, where one is.

    >>> print(NotExpressible("lava", "a trace there holds one number"))
    error[not-expressible]: lava cannot say this: a trace there holds one number
    """

    def __init__(self, target: str, reason: str, nearest: str = "", piece: Piece | None = None) -> None:
        at = None if piece is None else Location(piece.term.source, piece.term.span)
        self.target, self.reason, self.nearest, self.piece = target, reason, nearest, piece
        named = "this" if piece is None else f"the term `{piece.term.name}`"
        message = f"{target} cannot say {named}: {reason}"
        super().__init__(Diagnostic("not-expressible", message, at, help=nearest or None))

    def costing(self, measured: str) -> NotExpressible:
        """The same refusal, with what was measured of it."""
        return NotExpressible(
            self.target, self.reason, "; ".join(filter(None, (self.nearest, measured))), self.piece
        )


def refuse_whole_populations(target: str, rule: Rule, nearest: str) -> None:
    """Raise `NotExpressible` for a term whose sums run over a population, not over a cell's own synapses."""
    for piece in rule.pieces:
        if piece.certificate.locality == Locality.layer:
            raise NotExpressible(target, piece.certificate.reasons[0], nearest, piece)


def refuse_other_targets(target: str, rule: Rule, nearest: str = "") -> None:
    """Raise `NotExpressible` for a term that moves feedback weights or biases."""
    for piece in rule.pieces:
        if piece.term.target != "W":
            raise NotExpressible(
                target, f"it moves {piece.term.target}, and only W is moved there", nearest, piece
            )
