"""Straight-line programs over scalars, vectors and matrices: what a rule, and a whole step, becomes.

A program is a list of instructions in order of dependence. Each has an op of the table in
`ops`, arguments that are earlier instructions, and a symbolic shape: `()` a scalar, `("post",)`
a vector, `("post", "pre")` a matrix. Batch axes are not part of a program; backends add them.

In a convolution a vector stands at every position: a grid, `("@1", "c1")`. Products with matrices act at each
position, and outer products are summed over positions, since all share their synapses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ruledsl.ir.patches import Patches
from ruledsl.ir.slots import Slot

Dims = tuple[str, ...]
Parameter = str | int | float | None
_PLACES = "@"


def places_of(layer: int) -> str:
    """The symbolic number of positions of a convolution's layer."""
    return f"{_PLACES}{layer}"


def is_grid(dims: Dims) -> bool:
    """Whether this is the shape of a vector at every position of a convolution, `("@1", "c1")`."""
    return len(dims) == 2 and dims[0].startswith(_PLACES)


def is_of_cells(dims: Dims) -> bool:
    """Whether this is a value of cells, at one position or at many; matrices are of synapses."""
    return len(dims) < 2 or is_grid(dims)


@dataclass(frozen=True)
class Instruction:
    """One op applied to earlier values. `parameter` is its literal: a name, an exponent, a slope."""

    op: str
    arguments: tuple[int, ...]
    shape: Dims
    parameter: Parameter = None

    @property
    def slot(self) -> Slot:
        """What an `input` loads."""
        assert isinstance(self.parameter, Slot)
        return self.parameter


@dataclass(frozen=True)
class Update:
    """target ← target + κ target + Σ (p qᵀ) ∘ target + Σ u vᵀ + dense, the one thing a program writes; grids
    u and v are summed over their positions.

    A target is a matrix (rank 2) or a vector (rank 1): the weights, or anything else a stream carries along.
    """

    target: Slot
    kappa: int | None = None
    pairs: tuple[tuple[int, int], ...] = ()
    dense: int | None = None
    rank: int = 2
    gains: tuple[tuple[int, int], ...] = ()
    """(p, q): what each entry grows by, in proportion to itself."""


@dataclass(frozen=True)
class Program:
    """Instructions, named results, and updates of matrices."""

    instructions: tuple[Instruction, ...]
    outputs: tuple[tuple[Slot, int], ...] = ()
    updates: tuple[Update, ...] = ()
    labels: tuple[tuple[Slot, int], ...] = field(default=(), compare=False)
    """What some values mean, for whoever prints the program to be read."""

    def inputs(self) -> dict[Slot, int]:
        """The named inputs that are read, by the instruction that loads them."""
        return {i.slot: n for n, i in enumerate(self.instructions) if i.op == "input"}

    def needed(self) -> list[bool]:
        """Which instructions some output or update depends on."""
        wanted = [False] * len(self.instructions)
        for number in self.roots():
            wanted[number] = True
        for number in range(len(self.instructions) - 1, -1, -1):
            if wanted[number]:
                for argument in self.instructions[number].arguments:
                    wanted[argument] = True
        return wanted

    def roots(self) -> list[int]:
        """Every instruction that an output or update names."""
        found = [number for _, number in self.outputs]
        for update in self.updates:
            found += [n for n in (update.kappa, update.dense) if n is not None]
            found += [n for pair in (*update.pairs, *update.gains) for n in pair]
        return found


@dataclass
class Builder:
    """Grows a program; equal instructions are one instruction, and trivial arithmetic is done at once."""

    instructions: list[Instruction] = field(default_factory=list)
    _known: dict[Instruction, int] = field(default_factory=dict)

    def emit(self, op: str, arguments: Iterable[int], shape: Dims, parameter: Parameter = None) -> int:
        """The number of this instruction, old or new."""
        instruction = Instruction(op, tuple(arguments), shape, parameter)
        if instruction not in self._known:
            self._known[instruction] = len(self.instructions)
            self.instructions.append(instruction)
        return self._known[instruction]

    def shape(self, number: int) -> Dims:
        return self.instructions[number].shape

    def constant_of(self, number: int) -> float | None:
        """The value of a constant instruction, else None."""
        instruction = self.instructions[number]
        return float(instruction.parameter) if instruction.op == "const" else None  # type: ignore[arg-type]

    # one method per op; scalars combine with any shape in add, sub and mul ----

    def input(self, name: str, shape: Dims) -> int:
        """What is handed in under a name; see `Slot`."""
        return self.emit("input", (), shape, Slot.read(name))

    def theta(self, number: int) -> int:
        return self.emit("theta", (), (), number)

    def const(self, value: float) -> int:
        return self.emit("const", (), (), float(value))

    def size(self, dim: str) -> int:
        return self.emit("size", (), (), dim)

    def add(self, a: int, b: int) -> int:
        x, y = self.constant_of(a), self.constant_of(b)
        if x is not None and y is not None:
            return self.const(x + y)
        if x == 0.0:
            return b
        if y == 0.0:
            return a
        if self.instructions[b].op == "neg":
            return self.sub(a, self.instructions[b].arguments[0])
        if self.instructions[a].op == "neg":
            return self.sub(b, self.instructions[a].arguments[0])
        return self.emit("add", sorted((a, b)), self.shape(a) or self.shape(b))

    def sub(self, a: int, b: int) -> int:
        if self.constant_of(b) == 0.0:
            return a
        if self.constant_of(a) == 0.0 and self.shape(b) == ():
            return self.neg(b)
        return self.emit("sub", (a, b), self.shape(a) or self.shape(b))

    def neg(self, a: int) -> int:
        value = self.constant_of(a)
        if value is not None:
            return self.const(-value)
        if self.instructions[a].op == "neg":
            return self.instructions[a].arguments[0]
        if self.instructions[a].op == "sub":
            first, second = self.instructions[a].arguments
            return self.sub(second, first)
        return self.emit("neg", (a,), self.shape(a))

    def mul(self, a: int, b: int) -> int:
        x, y = self.constant_of(a), self.constant_of(b)
        if x is not None and y is not None:
            return self.const(x * y)
        for value, other in ((x, b), (y, a)):
            if value == 1.0:
                return other
            if value == -1.0:
                return self.neg(other)
        for one, other in ((a, b), (b, a)):
            if self.instructions[one].op == "neg":
                return self.neg(self.mul(self.instructions[one].arguments[0], other))
        return self.emit("mul", sorted((a, b)), self.shape(a) or self.shape(b))

    def unary(self, op: str, a: int, parameter: Parameter = None) -> int:
        return self.emit(op, (a,), self.shape(a), parameter)

    def pow(self, a: int, exponent: float) -> int:
        return a if exponent == 1.0 else self.emit("pow", (a,), self.shape(a), float(exponent))

    def sum(self, a: int) -> int:
        return a if self.shape(a) == () else self.emit("sum", (a,), ())

    def row_sum(self, matrix: int) -> int:
        return self.emit("row_sum", (matrix,), self.shape(matrix)[:1])

    def column_sum(self, matrix: int) -> int:
        return self.emit("column_sum", (matrix,), self.shape(matrix)[1:])

    def dot(self, a: int, b: int) -> int:
        """Σ of the entrywise product of two vectors or two matrices of one shape."""
        if self.shape(a) == ():
            return self.mul(a, b)
        for one, other in ((a, b), (b, a)):
            if self.instructions[one].op == "neg":
                return self.neg(self.dot(self.instructions[one].arguments[0], other))
        return self.emit("dot", sorted((a, b)), ())

    def matvec(self, matrix: int, vector: int) -> int:
        if self.instructions[vector].op == "neg":
            return self.neg(self.matvec(matrix, self.instructions[vector].arguments[0]))
        return self.emit("matvec", (matrix, vector), self.shape(vector)[:-1] + self.shape(matrix)[:1])

    def rmatvec(self, matrix: int, vector: int) -> int:
        """Matrixᵀ · vector."""
        if self.instructions[vector].op == "neg":
            return self.neg(self.rmatvec(matrix, self.instructions[vector].arguments[0]))
        return self.emit("rmatvec", (matrix, vector), self.shape(vector)[:-1] + self.shape(matrix)[1:])

    def outer(self, u: int, v: int) -> int:
        return self.emit("outer", (u, v), self.shape(u)[-1:] + self.shape(v)[-1:])

    def patches(self, cells: int, patches: Patches, shape: Dims) -> int:
        """The grid of a picture's patches."""
        return self.emit("patches", (cells,), shape, str(patches))

    def overlap(self, grid: int, patches: Patches, cells: str) -> int:
        """Patches added up where they share a cell of the picture: the transposed map of `patches`."""
        return self.emit("overlap", (grid,), (cells,), str(patches))

    def grid(self, cells: int, shape: Dims) -> int:
        """A layer's cells as a grid of positions and channels."""
        source = self.instructions[cells]
        if source.op == "flat" and self.shape(source.arguments[0]) == shape:
            return source.arguments[0]
        return self.emit("grid", (cells,), shape)

    def flat(self, grid: int, cells: str) -> int:
        """A grid as its layer's cells, one position after the other."""
        source = self.instructions[grid]
        if source.op == "grid" and self.shape(source.arguments[0]) == (cells,):
            return source.arguments[0]
        return self.emit("flat", (grid,), (cells,))

    def matmul(self, a: int, b: int) -> int:
        return self.emit("matmul", (a, b), self.shape(a)[:1] + self.shape(b)[1:])

    def transpose(self, a: int) -> int:
        if self.instructions[a].op == "transpose":
            return self.instructions[a].arguments[0]
        return self.emit("transpose", (a,), self.shape(a)[::-1])

    def rows(self, vector: int, columns: str) -> int:
        """A matrix whose columns all equal the vector."""
        return self.emit("rows", (vector,), (*self.shape(vector), columns))

    def columns(self, vector: int, rows: str) -> int:
        """A matrix whose rows all equal the vector."""
        return self.emit("columns", (vector,), (rows, *self.shape(vector)))

    def fill(self, scalar: int, shape: Dims) -> int:
        return scalar if shape == () else self.emit("fill", (scalar,), shape)

    def finish(
        self,
        outputs: Mapping[str, int],
        updates: Iterable[Update] = (),
        labels: Mapping[Slot, int] | None = None,
    ) -> Program:
        """The program with what nothing needs left out, and instructions numbered anew."""
        program = Program(
            tuple(self.instructions),
            tuple((Slot.read(name), n) for name, n in outputs.items()),
            tuple(updates),
        )
        wanted = program.needed()
        number = {old: new for new, old in enumerate(n for n, keep in enumerate(wanted) if keep)}
        kept = tuple(
            Instruction(i.op, tuple(number[a] for a in i.arguments), i.shape, i.parameter)
            for n, i in enumerate(self.instructions)
            if wanted[n]
        )
        renumbered = tuple(
            Update(
                u.target,
                None if u.kappa is None else number[u.kappa],
                tuple((number[a], number[b]) for a, b in u.pairs),
                None if u.dense is None else number[u.dense],
                u.rank,
                tuple((number[a], number[b]) for a, b in u.gains),
            )
            for u in program.updates
        )
        return Program(
            kept,
            tuple((Slot.read(name), number[n]) for name, n in program.outputs),
            renumbered,
            tuple((slot, number[n]) for slot, n in (labels or {}).items() if n in number),
        )
