"""Passes over one matrix: everything a step does with a matrix at one moment, in one read of its rows.

A pass may first change the matrix (its update, or the undoing of it) and then feed any number of
consumers: products M x, products Mᵀ y, and inner products with another matrix. Rows are taken in
blocks, so that the vectors they meet are loaded once per block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

ROW_BLOCK = 4
LANES = 16
"""Rows start at multiples of this many numbers."""


@dataclass(frozen=True)
class Change:
    """What happens to a matrix first. `scale`, 1 + κ, is a C expression; pairs are C pointers (u, v).

    `apply`: m ← (scale + Σ p qᵀ) ∘ m + Σ u vᵀ + Σ a 1ᵀ + Σ 1 bᵀ.  `undo`: m ← (m − …) / (scale + Σ p qᵀ).
    """

    kind: Literal["apply", "undo"]
    scale: str | None
    pairs: tuple[tuple[str, str], ...]
    padded: tuple[bool, bool]
    """Whether every u, and every v, is 0 up to a whole number of lanes."""
    rows: tuple[str, ...] = ()
    """C pointers a: what sums over rows send back, one number for a whole row."""
    columns: tuple[str, ...] = ()
    """C pointers b, likewise for columns."""
    whens: tuple[str, ...] = ()
    """Of each pair, the C expression that says whether it is there; empty for always."""
    gains: tuple[tuple[str, str], ...] = ()
    """C pointers (p, q)."""

    @property
    def factor(self) -> str | None:
        """What `scale` is computed as, once a pass: where all entries are divided by it, its inverse."""
        return f"1 / ({self.scale})" if self.scale and self.kind == "undo" and not self.gains else self.scale

    def turned(self) -> Change:
        """The same of the transposed matrix."""
        return replace(
            self, pairs=tuple((v, u) for u, v in self.pairs), padded=self.padded[::-1],
            rows=self.columns, columns=self.rows, gains=tuple((q, p) for p, q in self.gains),
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


@dataclass
class Pass:
    """One pass over the matrix at C pointer `matrix`."""

    matrix: str
    shape: MatrixShape
    change: Change | None = None
    consumers: list[Consumer] = field(default_factory=list)
    some: Rows | None = None
    """Only these rows; results of the others are 0."""

    def print(self) -> list[str]:
        """C++ lines, in a block of their own."""
        matvecs = [c for c in self.consumers if c.kind == "matvec"]
        rmatvecs = [c for c in self.consumers if c.kind == "rmatvec"]
        dots = [c for c in self.consumers if c.kind == "dot"]
        lines = ["{"]
        for k, consumer in enumerate(rmatvecs):
            lines.append(f"  real* __restrict o{k} = {consumer.out};")
            lines.append(f"  for (int i = 0; i < {self._reach()}; ++i) o{k}[i] = 0;")
        for k, consumer in enumerate(matvecs):
            lines.append(
                f"  const real* __restrict x{k} = {consumer.operand}; real* __restrict z{k} = {consumer.out};"
            )
            if self.some:
                lines.append(f"  std::memset(z{k}, 0, {self.shape.rows} * sizeof(real));")
        lines += [f"  const real* __restrict y{k} = {c.operand};" for k, c in enumerate(rmatvecs)]
        lines += [f"  real d{k} = 0;" for k in range(len(dots))]
        if self.change:
            lines += [
                f"  const real* __restrict u{k} = {u}; const real* __restrict v{k} = {v};"
                for k, (u, v) in enumerate(self.change.pairs)
            ]
            lines += [
                f"  const real* __restrict f{k} = {p}; const real* __restrict g{k} = {q};"
                for k, (p, q) in enumerate(self.change.gains)
            ]
            lines += [f"  const real* __restrict a_{k} = {a};" for k, a in enumerate(self.change.rows)]
            lines += [f"  const real* __restrict b_{k} = {b};" for k, b in enumerate(self.change.columns)]
            if self.change.factor:
                lines.append(f"  const real scale = {self.change.factor};")
        for head, rows in self._loops():
            lines.append(f"  {head} {{")
            lines += ["  " + line for line in self._block(rows, matvecs, rmatvecs, dots)]
            lines.append("  }")
        lines += [f"  {c.out} = d{k};" for k, c in enumerate(dots)]
        lines.append("}")
        return lines

    def _loops(self) -> list[tuple[str, int]]:
        """Heads of the loops over blocks of rows, and how many rows a block has; `j` is the first."""
        if self.some:
            count = self.some.count
            blocks = f"for (int j = 0; j + {ROW_BLOCK} <= {count}; j += {ROW_BLOCK})"
            return [
                (blocks, ROW_BLOCK),
                (f"for (int j = {count} / {ROW_BLOCK} * {ROW_BLOCK}; j < {count}; ++j)", 1),
            ]
        whole = self.shape.rows // ROW_BLOCK * ROW_BLOCK
        rest = self.shape.rows - whole
        heads: list[tuple[str, int]] = []
        if whole:
            heads.append((f"for (int j = 0; j < {whole}; j += {ROW_BLOCK})", ROW_BLOCK))
        if rest:
            heads.append((f"for (int j = {whole}; j < {self.shape.rows}; j += {rest})", rest))
        return heads

    def _block(
        self, rows: int, matvecs: list[Consumer], rmatvecs: list[Consumer], dots: list[Consumer]
    ) -> list[str]:
        stride = self.shape.stride
        lines: list[str] = []
        const = "" if self.change else "const "
        for b in range(rows):
            number = f"{self.some.numbers}[j + {b}]" if self.some else f"j + {b}"
            lines.append(f"  const int r{b} = {number};")
            lines.append(f"  {const}real* __restrict p{b} = {self.matrix} + (size_t)r{b} * {stride};")
            lines += [
                f"  const real* __restrict q{k}_{b} = {c.operand} + (size_t)r{b} * {stride};"
                for k, c in enumerate(dots)
            ]
            lines += [f"  real a{k}_{b} = 0;" for k in range(len(matvecs))]
            lines += [f"  const real y{k}_{b} = y{k}[r{b}];" for k in range(len(rmatvecs))]
            if self.change:
                lines += [f"  const real u{k}_{b} = u{k}[r{b}];" for k in range(len(self.change.pairs))]
                lines += [f"  const real f{k}_{b} = f{k}[r{b}];" for k in range(len(self.change.gains))]
                if self.change.rows:
                    whole = " + ".join(f"a_{k}[r{b}]" for k in range(len(self.change.rows)))
                    lines.append(f"  const real whole{b} = {whole};")
        sums = [f"a{k}_{b}" for k in range(len(matvecs)) for b in range(rows)] + [
            f"d{k}" for k in range(len(dots))
        ]
        reduction = f" reduction(+: {', '.join(sums)})" if sums else ""
        lines.append(f"  #pragma omp simd{reduction}")
        lines.append(f"  for (int i = 0; i < {self._reach()}; ++i) {{")
        for b in range(rows):
            lines.append(f"    real m{b} = p{b}[i];")
            if self.change:
                lines.append(f"    m{b} = {self._changed(b)};")
                lines.append(f"    p{b}[i] = m{b};")
            lines += [f"    a{k}_{b} += m{b} * x{k}[i];" for k in range(len(matvecs))]
            lines += [f"    d{k} += m{b} * q{k}_{b}[i];" for k in range(len(dots))]
        for k in range(len(rmatvecs)):
            lines.append(f"    o{k}[i] += {' + '.join(f'y{k}_{b} * m{b}' for b in range(rows))};")
        lines.append("  }")
        lines += [f"  z{k}[r{b}] = a{k}_{b};" for k in range(len(matvecs)) for b in range(rows)]
        return lines

    def _reach(self) -> int:
        """Up to where a row is read: to its end in whole lanes, if all that it meets is 0 beyond the last
        column; a loop of other length has a remainder that takes as long as all the rest."""
        met = [c.padded for c in self.consumers if c.kind == "matvec"]
        # Beyond the last column stays 0 what is added to a whole row.
        met += [self.change.padded[1], not self.change.rows] if self.change else []
        # What is undone is divided by 1 + κ there, which may be 0 where entries with gains are alive.
        met += [not (self.change.gains and self.change.kind == "undo")] if self.change else []
        return self.shape.stride if all(met) else self.shape.columns

    def _changed(self, b: int) -> str:
        assert self.change is not None
        products = [f"u{k}_{b} * v{k}[i]" for k in range(len(self.change.pairs))]
        products += [f"whole{b}"] if self.change.rows else []
        products += [f"b_{k}[i]" for k in range(len(self.change.columns))]
        grown = "scale" if self.change.scale else ""
        if self.change.gains:
            gains = (f"f{k}_{b} * g{k}[i]" for k in range(len(self.change.gains)))
            grown = f"({' + '.join([grown or '1', *gains])})"
        if self.change.kind == "apply":
            return " + ".join([f"{grown} * m{b}" if grown else f"m{b}", *products])
        difference = " - ".join([f"m{b}", *products])
        return f"({difference}) {'/' if self.change.gains else '*'} {grown}" if grown else difference
