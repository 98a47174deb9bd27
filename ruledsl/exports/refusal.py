"""What a language or simulator cannot say: which factor of which term, and what is nearest to it."""

from __future__ import annotations

from dataclasses import dataclass

from ruledsl.ir import Diagnostic, Expression, Locality, Location, Name, RuleError, Span, children
from ruledsl.rules import Piece, Rule
from ruledsl.settings import TrainSettings


@dataclass(frozen=True)
class Fault:
    """What of a rule cannot be said, and what can be in its place.

    Attributes:
        piece: the part of the rule that is at fault.
        reading: the quantities of the factor in question, which the caret stands under.
        instead: an expression of the language that is nearest to the term; empty where there is none but to
            leave it out.
    """

    piece: Piece
    reading: frozenset[str] = frozenset()
    instead: str = ""


class NotExpressible(RuleError):
    """A rule, or a network, that a target has no way to write down.

    Attributes:
        fault: where in the rule, if it is the rule.

    >>> print(NotExpressible("lava", "a trace there holds one number"))
    error[not-expressible]: lava cannot say this: a trace there holds one number
    """

    def __init__(self, target: str, reason: str, nearest: str = "", fault: Fault | None = None) -> None:
        at = None if fault is None else Location(fault.piece.term.source, _span(fault))
        self.target, self.reason, self.nearest, self.fault = target, reason, nearest, fault
        named = "this" if fault is None else f"the term `{fault.piece.term.name}`"
        message = f"{target} cannot say {named}: {reason}"
        super().__init__(Diagnostic("not-expressible", message, at, help=nearest or None))

    def costing(self, measured: str) -> NotExpressible:
        """The same refusal, with what was measured of it."""
        told = "; ".join(filter(None, (self.nearest, measured)))
        return NotExpressible(self.target, self.reason, told, self.fault)


def _span(fault: Fault) -> Span:
    """Where the smallest part of a term stands that reads some quantities; its name's place when none does,
    as where an abbreviation stands for them."""
    found: list[Span] = []

    def names(node: Expression) -> frozenset[str]:
        own = frozenset({node.name}) if isinstance(node, Name) else frozenset[str]()
        inner = own.union(*(names(child) for child in children(node)))
        if fault.reading <= inner:
            found.append(node.span)
        return inner

    if fault.reading:
        names(fault.piece.term.expression)
    return next((span for span in found if span.end > span.start), fault.piece.term.span)


def refuse_whole_populations(target: str, rule: Rule, nearest: str) -> None:
    """Raise `NotExpressible` for a term whose sums run over a population, not over a cell's own synapses."""
    for piece in rule.pieces:
        if piece.certificate.locality == Locality.layer:
            raise NotExpressible(target, piece.certificate.reasons[0], nearest, Fault(piece))


def refuse_convolutions(target: str, settings: TrainSettings) -> None:
    """Raise `NotExpressible` for a network whose synapses are shared."""
    if settings.convolutions:
        raise NotExpressible(
            target,
            f"layers of shared synapses ({'-'.join(map(str, settings.sizes))}) are not written down there",
            "`--sizes` without convolutions; for convolutions of torch, ruledsl.torch.attach wires Conv2d",
        )


def refuse_other_targets(target: str, rule: Rule, nearest: str = "") -> None:
    """Raise `NotExpressible` for a term that moves feedback weights or biases."""
    for piece in rule.pieces:
        if piece.term.target != "W":
            raise NotExpressible(
                target, f"it moves {piece.term.target}, and only W is moved there", nearest, Fault(piece)
            )
