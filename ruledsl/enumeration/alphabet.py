"""What terms are written with: quantities, functions, traces, and what they move."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ruledsl.errors import SettingsError
from ruledsl.ir import ELEMENTWISE, WEIGHTS, Shape
from ruledsl.language import FUNCTIONS, OTHER_SIDE, TARGETS, closest, readable_by

USUAL = ("y_post", "y_pre", "e_post", "e_pre", "1_post", "1_pre", "W")
OPERATORS = ("+", "-", "*", ".*", "/")
REDUCTIONS = ("mean", "sum", "norm")


@dataclass(frozen=True)
class Alphabet:
    """The symbols that terms are built from.

    A term's size counts them: quantities, operators and functions are one each, signs and
    transpositions nothing.

    >>> Alphabet(functions=("tanh",)).read
    ('y_post', 'y_pre', 'e_post', 'e_pre', '1_post', '1_pre', 'W')
    """

    quantities: tuple[str, ...] = ()
    """Without any, the usual ones; see `read`."""
    functions: tuple[str, ...] = ()
    """Elementwise functions and reductions to a number."""
    traces: tuple[float, ...] = ()
    """Time constants τ of `trace(x, τ)`, in samples."""
    operators: tuple[str, ...] = ("+", "-", "*", ".*")
    """`+` and `-` come together, since signs are free."""
    target: str = "W"

    def __post_init__(self) -> None:
        """Raises `SettingsError` for a name that is none, or that terms for the target may not read."""
        _known("target", [self.target], TARGETS)
        _known("quantity that these terms may read", self.quantities, readable_by(self.target))
        _known("function", self.functions, [n for n in FUNCTIONS if n in ELEMENTWISE or n in REDUCTIONS])
        _known("operator", self.operators, OPERATORS)
        if any(not 1 < tau < float("inf") for tau in self.traces):
            raise SettingsError("a trace's time is a number of samples above 1")

    @property
    def read(self) -> tuple[str, ...]:
        """What terms may read: what was asked for, or what is usual and readable, the target too."""
        readable = readable_by(self.target)
        usual = dict.fromkeys((*USUAL, self.target))
        return self.quantities or tuple(name for name in usual if name in readable)

    def toward(self, target: str) -> Alphabet:
        """The same symbols for terms that move something else, of the quantities those that such terms may
        read; the new target in the old one's place. Raises `SettingsError` where none is left.

        >>> Alphabet(("y_post", "e_post", "W")).toward("B").quantities
        ('y_post', 'e_post', 'B')
        """
        readable = readable_by(target)
        named = [target if name == self.target else name for name in self.quantities]
        kept = tuple(name for name in named if name in readable)
        if self.quantities and not kept:
            raise SettingsError(f"terms for {target} may read none of {', '.join(self.quantities)}")
        return replace(self, target=target, quantities=kept)

    @property
    def shape(self) -> Shape:
        """Of a term, as the synapse sees it; B's is a forward synapse to itself."""
        return Shape("post") if self.target == "bias" else WEIGHTS

    @property
    def seen(self) -> tuple[str, ...]:
        """The quantities as the synapse sees them: B's own runs from the post cell to the pre cell."""
        return tuple(OTHER_SIDE.get(q, q) if self.target == "B" else q for q in self.read)


def _known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raise `SettingsError` for a name that stands for nothing."""
    options = list(known)
    for name in names:
        if name not in options:
            near = closest(name, options)
            hint = f"did you mean `{near}`?" if near else f"there are {', '.join(options)}"
            raise SettingsError(f"`{name}` is no {what}; {hint}")
