"""Passes over one matrix: everything a step does with a matrix at one moment, in one read of its rows.

A pass may first change the matrix (its update, or the undoing of it) and then feed any number of
consumers: products M x, products Mᵀ y, and inner products with another matrix. Rows are taken in
blocks, so that the vectors they meet are loaded once per block.

Passes that do the same with matrices of other sizes, those of hidden layers say, call one function: half of
what a compiler would have to read otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

ROW_BLOCK = 6
"""Rows that are read together: with four `bio` takes a tenth longer, with eight no less."""
LANES = 16
"""Rows start at multiples of this many numbers."""


@dataclass(frozen=True)
class Change:
    """What happens to a matrix first. κ is a C expression; pairs are C pointers (u, v).

    `apply`: m ← m + ((κ + Σ p qᵀ) ∘ m + Σ u vᵀ).  `undo`: m ← (m − Σ u vᵀ) / (1 + κ + Σ p qᵀ).
    What is small is summed before it meets m, which rounds once a step then: 1 + κ would keep little of κ.
    """

    kind: Literal["apply", "undo"]
    kappa: str | None
    pairs: tuple[tuple[str, str], ...]
    padded: tuple[bool, bool]
    """Whether every u, and every v, is 0 up to a whole number of lanes."""
    whens: tuple[str, ...] = ()
    """Of each pair, the C expression that says whether it is there; empty for always."""
    gains: tuple[tuple[str, str], ...] = ()
    """C pointers (p, q)."""

    @property
    def vectors(self) -> tuple[str, ...]:
        """C pointers, in the order in which a `Form` takes them."""
        return tuple(vector for pair in (*self.pairs, *self.gains) for vector in pair)

    @property
    def factor(self) -> str | None:
        """κ as a pass takes it: where all entries are divided by 1 + κ, what is added of each for that."""
        if self.kappa and self.kind == "undo" and not self.gains:
            return f"-({self.kappa}) / (1 + {self.kappa})"
        return self.kappa

    def turned(self) -> Change:
        """The same of the transposed matrix."""
        return replace(
            self, pairs=tuple((v, u) for u, v in self.pairs), padded=self.padded[::-1],
            gains=tuple((q, p) for p, q in self.gains),
        )  # fmt: skip


@dataclass(frozen=True)
class Consumer:
    """A product to be formed in the same read: `out` and `operand` are C expressions."""

    kind: Literal["matvec", "rmatvec", "dot"]
    out: str
    operand: str
    padded: bool = True
    """Whether the operand is 0 up to a whole number of lanes."""
    when: str = ""
    """The C expression that says whether anybody needs it; empty for always."""

    def turned(self) -> Consumer:
        """The same of the transposed matrix."""
        return replace(self, kind=_TURNED[self.kind])


_INNER = {"s": "t", "e": "rest"}
_TURNED: Mapping[str, Literal["matvec", "rmatvec", "dot"]] = {
    "matvec": "rmatvec", "rmatvec": "matvec", "dot": "dot",
}  # fmt: skip


@dataclass(frozen=True)
class MatrixShape:
    rows: int
    columns: int
    stride: int


@dataclass(frozen=True)
class Rows:
    """Some rows of a matrix: C expressions of their numbers, and of how many there are."""

    numbers: str
    count: str


@dataclass(frozen=True)
class Part:
    """Rows of a matrix that are all there is of it at the moment: C expressions of the number of the first,
    and of how many there are."""

    first: str
    count: str


@dataclass(frozen=True)
class Form:
    """What the code of a pass depends on, which is not its sizes."""

    kind: Literal["apply", "undo", "read"] = "read"
    scaled: bool = False
    pairs: int = 0
    gains: int = 0
    matvecs: int = 0
    rmatvecs: int = 0
    dots: int = 0
    some: bool = False
    """Only rows whose numbers are given; results of the others are 0."""
    adds: bool = False
    """Products Mᵀ y are added to what is there."""
    whole: bool = True
    """Rows are read to their end in whole lanes, see `Pass.is_whole`."""

    def print(self, name: str) -> str:
        """The C++ function."""
        lines = [f"{self.declared(name)} {{"]
        if self.whole:
            lines.append(f"  const int reach = lanes * {LANES};")
        cleared = 0 if self.adds else self.rmatvecs
        lines += [f"  std::memset(o{k}, 0, reach * sizeof(real));" for k in range(cleared)]
        if self.some:
            lines += [f"  std::memset(z{k}, 0, rows * sizeof(real));" for k in range(self.matvecs)]
        lines += [f"  wide t{k} = {{}}; real rest{k} = 0;" for k in range(self.dots)]
        count = "count" if self.some else "rows"
        lines.append("  int j = 0;")
        for block in (ROW_BLOCK, 1):
            lines.append(f"  for (; j + {block} <= {count}; j += {block}) {{")
            lines += ["  " + line for line in self._block(block)]
            lines.append("  }")
        lines += [f"  *d{k} = total(t{k}) + rest{k};" for k in range(self.dots)]
        return "\n".join([*lines, "}"])

    def declared(self, name: str) -> str:
        """Its head. Other units of the code call it, nobody else does."""
        return f'__attribute__((noinline, visibility("hidden"))) void {name}({", ".join(self._parameters())})'

    def _parameters(self) -> list[str]:
        """In the order in which a `Pass` gives them."""
        given = ["const " * (self.kind == "read") + "real* matrix", "int rows", "int stride"]
        given += ["int lanes" if self.whole else "int reach"]
        given += ["const int* numbers", "int count"] if self.some else []
        given += ["real kappa"] if self.scaled else []
        read = [f"{side}{k}" for k in range(self.pairs) for side in "uv"]
        read += [f"{side}{k}" for k in range(self.gains) for side in "fg"]
        given += [f"const real* __restrict {name}" for name in read]
        for count, operand, out in (
            (self.matvecs, "x", "z"),
            (self.rmatvecs, "y", "o"),
            (self.dots, "q", "d"),
        ):
            for k in range(count):
                given += [f"const real* __restrict {operand}{k}", f"real* __restrict {out}{k}"]
        return given

    def _block(self, rows: int) -> list[str]:
        lines: list[str] = []
        const = "const " if self.kind == "read" else ""
        sums = [f"{k}_{b}" for k in range(self.matvecs) for b in range(rows)]
        for b in range(rows):
            lines.append(f"  const int r{b} = {f'numbers[j + {b}]' if self.some else f'j + {b}'};")
            lines.append(f"  {const}real* __restrict p{b} = matrix + (size_t)r{b} * stride;")
            lines += [
                f"  const real* __restrict q{k}_{b} = q{k} + (size_t)r{b} * stride;" for k in range(self.dots)
            ]
            lines += [f"  const real y{k}_{b} = y{k}[r{b}];" for k in range(self.rmatvecs)]
            lines += [f"  const real u{k}_{b} = u{k}[r{b}];" for k in range(self.pairs)]
            lines += [f"  const real f{k}_{b} = f{k}[r{b}];" for k in range(self.gains)]
        lines += [f"  wide s{name} = {{}};" for name in sums]
        lines.append("  int i = 0;")
        lines.append("  for (; i + WIDE <= reach; i += WIDE) {")
        lines += self._met("wide", "s", rows)
        lines.append("  }")
        if self.whole:
            return [*lines, *self._summed(rows)]
        lines += [f"  real e{name} = 0;" for name in sums]
        lines.append("  for (; i < reach; ++i) {")
        lines += self._met("real", "e", rows)
        return [*lines, "  }", *self._summed(rows)]

    def _summed(self, rows: int) -> list[str]:
        """Products M x of a block of rows: what the lanes of registers hold, and what was left over."""
        sums = [(k, b) for k in range(self.matvecs) for b in range(rows)]
        lines: list[str] = []
        for n in range(0, len(sums) - 3, 4):
            lanes = ", ".join(f"s{k}_{b}" for k, b in sums[n : n + 4])
            lines.append(f"  real sums{n}[4]; totals({lanes}, sums{n});")
        for n, (k, b) in enumerate(sums):
            together = n < len(sums) // 4 * 4
            found = f"sums{n // 4 * 4}[{n % 4}]" if together else f"total(s{k}_{b})"
            lines.append(f"  z{k}[r{b}] = {found}{'' if self.whole else f' + e{k}_{b}'};")
        return lines

    def _met(self, some: str, sums: str, rows: int) -> list[str]:
        """What happens to the entries from i on, one or a register full, of a block of rows."""
        met = [f"v{k}" for k in range(self.pairs)] + [f"g{k}" for k in range(self.gains)]
        met += [f"x{k}" for k in range(self.matvecs)]
        lines = [f"    const {some} {name}_i = get<{some}>({name} + i);" for name in met]
        for b in range(rows):
            lines.append(f"    {some} m{b} = get<{some}>(p{b} + i);")
            if self.kind != "read":
                lines += [*self._changed(b), f"    put(p{b} + i, m{b});"]
            lines += [f"    {sums}{k}_{b} += m{b} * x{k}_i;" for k in range(self.matvecs)]
            lines += [f"    {_INNER[sums]}{k} += m{b} * get<{some}>(q{k}_{b} + i);" for k in range(self.dots)]
        for k in range(self.rmatvecs):
            added = " + ".join(f"y{k}_{b} * m{b}" for b in range(rows))
            lines.append(f"    put(o{k} + i, get<{some}>(o{k} + i) + ({added}));")
        return lines

    def _changed(self, b: int) -> list[str]:
        grown = ["kappa"] if self.scaled else []
        grown += [f"f{k}_{b} * g{k}_i" for k in range(self.gains)]
        parts = [f"({' + '.join(grown)}) * m{b}"] if grown and self.kind == "apply" else []
        parts += [f"u{k}_{b} * v{k}_i" for k in range(self.pairs)]
        sign = "+" if self.kind == "apply" else "-"
        lines = [f"    m{b} {sign}= {' + '.join(parts)};"] if parts else []
        if self.kind == "undo" and grown:
            lines.append(
                f"    m{b} /= real(1) + ({' + '.join(grown)});"
                if self.gains
                else f"    m{b} += kappa * m{b};"
            )
        return lines


@dataclass
class Forms:
    """The functions that passes of one code call."""

    names: dict[Form, str] = field(default_factory=dict)

    def name(self, form: Form) -> str:
        """What a pass of this form is called by."""
        return self.names.setdefault(form, f"pass{len(self.names)}")

    def declared(self) -> str:
        """What every unit must know."""
        return "".join(f"{form.declared(name)};\n" for form, name in self.names.items())

    def print(self) -> str:
        return "".join(f"{form.print(name)}\n" for form, name in self.names.items())


@dataclass
class Pass:
    """One pass over the matrix at C pointer `matrix`."""

    matrix: str
    shape: MatrixShape
    change: Change | None = None
    consumers: list[Consumer] = field(default_factory=list)
    some: Rows | None = None
    """Only these rows; results of the others are 0."""
    part: Part | None = None
    """Where `matrix` is not the whole of it."""

    def print(self, forms: Forms) -> list[str]:
        """A call."""
        return [f"{forms.name(self.form)}({', '.join(self._arguments())});", *self.gaps()]

    def gaps(self) -> list[str]:
        """Products Mᵀ y are 0 beyond the last column, as whoever reads whole lanes expects: M is 0 there, and
        y may be infinite."""
        gap = self.shape.stride - self.shape.columns
        if not (gap and self.is_whole):
            return []
        outs = [c.out for c in self.consumers if c.kind == "rmatvec"]
        return [f"std::memset({out} + {self.shape.columns}, 0, {gap} * sizeof(real));" for out in outs]

    @property
    def form(self) -> Form:
        change = self.change
        kinds = [c.kind for c in self.consumers]
        found = Form(
            matvecs=kinds.count("matvec"), rmatvecs=kinds.count("rmatvec"), dots=kinds.count("dot"),
            some=self.some is not None, adds=self.part is not None, whole=self.is_whole,
        )  # fmt: skip
        if change is None:
            return found
        return replace(
            found, kind=change.kind, scaled=change.kappa is not None, pairs=len(change.pairs),
            gains=len(change.gains),
        )  # fmt: skip

    def _arguments(self) -> list[str]:
        """As `Form` names them."""
        columns, stride = self.shape.columns, self.shape.stride
        reach = stride // LANES if self.is_whole else columns
        rows = self.part.count if self.part else str(self.shape.rows)
        given = [self.matrix, rows, str(stride), str(reach)]
        given += [self.some.numbers, self.some.count] if self.some else []
        given += [self.change.factor] if self.change and self.change.factor else []
        given += self.change.vectors if self.change else []
        for kind in _TURNED:
            for consumer in (c for c in self.consumers if c.kind == kind):
                given += self._met(consumer)
        return given

    def _met(self, consumer: Consumer) -> list[str]:
        """Operand and result; of a part of the rows, what belongs to it."""
        operand, out = consumer.operand, consumer.out
        if consumer.kind == "dot":
            return [operand, f"&{out}"]
        if self.part and consumer.kind == "matvec":
            out = f"{out} + {self.part.first}"
        elif self.part:
            operand = f"{operand} + {self.part.first}"
        return [operand, out]

    @property
    def is_whole(self) -> bool:
        """Whether rows are read to their end in whole lanes, as all that they meet is 0 beyond the last
        column; a loop of other length has a remainder that takes as long as all the rest."""
        met = [c.padded for c in self.consumers if c.kind == "matvec"]
        met += [self.change.padded[1]] if self.change else []
        # What is undone is divided by 1 + κ there, which may be 0 where entries with gains are alive.
        met += [not (self.change.gains and self.change.kind == "undo")] if self.change else []
        return self.shape.columns == self.shape.stride or all(met)
