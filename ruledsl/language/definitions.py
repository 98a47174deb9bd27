"""What a file means once its names are settled: terms with plain expressions, rules as flat sums."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from ruledsl.ir import Expression, SourceFile, Span

LayerRange = tuple[int, int]


@dataclass(frozen=True)
class TermOptions:
    """Attributes of a term; `None` means not given. A rule's item overrides its term's own."""

    init: float | None = None
    fixed: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    cite: str | None = None
    layers: tuple[LayerRange, ...] | None = None
    """Postsynaptic layers ℓ (from 1) a term acts in, as inclusive ranges; `None` is every layer."""
    same: str | None = None
    """The term of the same rule whose coefficient scales this one too: W and B moved in step."""

    def overridden_by(self, other: TermOptions) -> TermOptions:
        """These settings with everything that `other` gives put over them."""
        names = self.__dataclass_fields__
        return TermOptions(
            **{n: getattr(self, n) if getattr(other, n) is None else getattr(other, n) for n in names}
        )


@dataclass(frozen=True)
class Term:
    """A named expression in which only quantities, numbers and functions are left."""

    name: str
    expression: Expression
    note: str | None = None
    options: TermOptions = TermOptions()
    target: str = "W"
    source: SourceFile = field(default=SourceFile("<none>", ""), compare=False, repr=False)
    span: Span = field(default=Span(0, 0), compare=False, repr=False)


@dataclass(frozen=True)
class RuleTerm:
    """A term as it takes part in one rule, with the coefficient's name, start and constraints."""

    name: str
    term: Term
    options: TermOptions
    companions: tuple[Term, ...] = ()
    """Terms for other targets that this coefficient scales too."""

    @property
    def initial(self) -> float:
        """Where θ starts: its fixed value, or `init`, or 0 (Methods 4.3 gives only θ_0 another start)."""
        given = self.options.fixed if self.options.fixed is not None else self.options.init
        return 0.0 if given is None else given

    @property
    def trainable(self) -> bool:
        return self.options.fixed is None


@dataclass(frozen=True)
class RuleDefinition:
    """F(Θ) = Σ_r θ_r F^r with its terms in order (Eq. 6)."""

    name: str
    terms: tuple[RuleTerm, ...]
    note: str | None = None
    feedback: str | None = None
    source: SourceFile = field(default=SourceFile("<none>", ""), compare=False, repr=False)


def scaled(options: TermOptions, coefficient: Fraction | None) -> TermOptions:
    """TermOptions of a term under a number in front: its coefficient is held at that number."""
    if coefficient is None:
        return options
    inner = 1.0 if options.fixed is None else options.fixed
    return options.overridden_by(TermOptions(fixed=float(coefficient) * inner))
