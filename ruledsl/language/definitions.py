"""What a file means once its names are settled: terms with plain expressions, rules as flat sums."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from ruledsl.ir.source import SourceFile, Span
from ruledsl.ir.syntax import Expression

LayerRange = tuple[int, int]
Sign = Literal["positive", "negative"]


@dataclass(frozen=True)
class Settings:
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

    def overridden_by(self, other: Settings) -> Settings:
        """These settings with everything that `other` gives put over them."""
        names = self.__dataclass_fields__
        return Settings(**{n: getattr(self, n) if getattr(other, n) is None else getattr(other, n) for n in names})


@dataclass(frozen=True)
class Term:
    """A named expression in which only quantities, numbers and functions are left."""

    name: str
    expression: Expression
    note: str | None = None
    settings: Settings = Settings()
    target: str = "W"
    source: SourceFile = field(default=SourceFile("<none>", ""), compare=False, repr=False)
    span: Span = field(default=Span(0, 0), compare=False, repr=False)


@dataclass(frozen=True)
class RuleTerm:
    """A term as it takes part in one rule, with the coefficient's name, start and constraints."""

    name: str
    term: Term
    settings: Settings
    companions: tuple[Term, ...] = ()
    """Terms for other targets that this coefficient scales too."""

    @property
    def initial(self) -> float:
        """Where θ starts: its fixed value, or `init`, or 0 (Methods 4.3 gives only θ_0 another start)."""
        given = self.settings.fixed if self.settings.fixed is not None else self.settings.init
        return 0.0 if given is None else given

    @property
    def trainable(self) -> bool:
        return self.settings.fixed is None


@dataclass(frozen=True)
class RuleDefinition:
    """F(Θ) = Σ_r θ_r F^r with its terms in order (Eq. 6)."""

    name: str
    terms: tuple[RuleTerm, ...]
    note: str | None = None
    feedback: str | None = None
    source: SourceFile = field(default=SourceFile("<none>", ""), compare=False, repr=False)


def scaled(settings: Settings, coefficient: Fraction | None) -> Settings:
    """Settings of a term under a number in front: its coefficient is held at that number."""
    if coefficient is None:
        return settings
    inner = 1.0 if settings.fixed is None else settings.fixed
    return settings.overridden_by(Settings(fixed=float(coefficient) * inner))
