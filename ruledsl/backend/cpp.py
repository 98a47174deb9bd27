"""A step and its adjoint as fused C++: one more printer beside torch's.

Sizes are constants of the generated code. One call advances one run through its whole stream;
runs go to threads. Within a sample, products that meet the same matrix at the same moment share
one pass over it; between samples, the update of a matrix shares its pass with those products of the
*next* sample whose operands are known by then (the input of the first layer in the forward
direction; Λ v and Λᵀ u everywhere in the backward direction, since u and v come from saved values).

Nothing is compiled with fast-math: NaN and infinity behave as in torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ruledsl.backend.cpp_passes import Change, Consumer, MatrixShape, Pass
from ruledsl.backend.prelude import PRELUDE
from ruledsl.compiler import StepAdjoint, forward_costs
from ruledsl.ir import ELEMENTWISE, LOADS, Instruction, InternalError, Kind, Program, Slot, Update

LANES = 16
"""Rows start at multiples of this many numbers."""
MATRIX_OPS = ("matvec", "rmatvec")
GIVEN = (Kind.input, Kind.target, Kind.saved)
"""Vectors that generated code is given at every sample."""


class NotPrintable(Exception):
    """The step holds something this printer has no fused form for; eager torch runs it."""

    def __str__(self) -> str:
        return f"there is no compiled form of this rule in this network: {self.args[0]}"


def stride_of(columns: int) -> int:
    """Distance between rows of a matrix in generated code."""
    return -(-columns // LANES) * LANES


@dataclass(frozen=True)
class KernelSource:
    """Generated code and the layout its caller must know."""

    code: str
    trace_length: int
    """Numbers saved per sample."""
    matrices: tuple[Slot, ...]
    """Names of the matrices `forward` and `backward` take, in order:
    those the step updates, then the others."""
    costs: list[int]
    """Where in the trace a sample's cost lies, if there is one."""


def print_kernel(pair: StepAdjoint, sizes: Mapping[str, int], real: str) -> KernelSource:
    """The C++ of an episode's two directions. Raises `NotPrintable` for a step with matrix intermediates."""
    for program in (pair.forward, pair.backward):
        _require_printable(program)
    offsets, length = _trace_layout(pair, sizes)
    weights = [u.target for u in pair.forward.updates]
    shapes = _matrix_shapes(pair)
    back = sorted(name for name in shapes if name not in weights)
    forward = _Direction(pair.forward, sizes, "forward", dict(offsets.items()), weights, back, shapes)
    loaded = pair.backward.inputs()
    saved = {loaded[slot]: offsets[n] for n in pair.saved if (slot := Slot(Kind.saved, n)) in loaded}
    backward = _Direction(pair.backward, sizes, "backward", saved, weights, back, shapes)
    code = "\n".join(
        [PRELUDE.replace("REAL", real), forward.print(length, sizes), backward.print(length, sizes)]
    )
    return KernelSource(code, length, (*weights, *back), [offsets[n] for n in forward_costs(pair.forward)])


def _matrix_shapes(pair: StepAdjoint) -> dict[Slot, tuple[str, ...]]:
    """Symbolic shapes of all matrices that either direction reads, cotangents left out."""
    found: dict[Slot, tuple[str, ...]] = {}
    for program in (pair.forward, pair.backward):
        for name, number in program.inputs().items():
            if len(program.instructions[number].shape) == 2 and not name.adjoint:
                found[name] = program.instructions[number].shape
    return found


def _require_printable(program: Program) -> None:
    for instruction in program.instructions:
        if len(instruction.shape) == 2 and instruction.op != "input":
            raise NotPrintable(f"`{instruction.op}` gives a matrix")
        if instruction.op in ("row_sum", "column_sum"):
            raise NotPrintable(f"`{instruction.op}` is not fused")
        if instruction.op == "input" and len(instruction.shape) < 2 and instruction.slot.kind not in GIVEN:
            raise NotPrintable(f"`{instruction.slot}` is not an input of generated code")
    if any(update.dense is not None or update.rank == 1 for update in program.updates):
        raise NotPrintable("the update has a dense rest, or the stream carries vectors along")


def _trace_layout(pair: StepAdjoint, sizes: Mapping[str, int]) -> tuple[dict[int, int], int]:
    """Where each saved value lies in a sample's trace; vectors start on whole lanes."""
    offsets: dict[int, int] = {}
    position = 0
    for number in pair.saved:
        shape = pair.forward.instructions[number].shape
        offsets[number] = position
        position += stride_of(sizes[shape[0]]) if shape else LANES
    return offsets, max(position, LANES)


@dataclass
class _Direction:
    """Prints one function that runs a program over all samples, forwards or backwards."""

    program: Program
    sizes: Mapping[str, int]
    name: str
    traced: Mapping[int, int]
    weights: list[Slot]
    back: list[Slot]
    shapes: Mapping[Slot, tuple[str, ...]]
    early: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.instructions = self.program.instructions
        self.changes = {u.target: u for u in self.program.updates}
        self.undone = {t: u for t, u in self.changes.items() if self.name == "backward" and not t.adjoint}
        self.applied = {t: u for t, u in self.changes.items() if t not in self.undone}
        self.early = self._early()

    # structure ---------------------------------------------------------------

    def _matrix_of(self, number: int) -> Slot | None:
        """The matrix a matrix op reads, by name; for an inner product the weight, with Λ as operand."""
        instruction = self.instructions[number]
        if instruction.op in MATRIX_OPS:
            return self.instructions[instruction.arguments[0]].slot
        if instruction.op == "dot" and len(self.instructions[instruction.arguments[0]].shape) == 2:
            names = [self.instructions[a].slot for a in instruction.arguments]
            return min(names, key=lambda n: n.adjoint)
        return None

    def _early(self) -> list[bool]:
        """Values of a sample that need no matrix result of that sample, and the products of matrices
        changed at the end of a sample with such values: all can be had before the sample begins."""
        early: list[bool] = []
        for number, instruction in enumerate(self.instructions):
            matrix = self._matrix_of(number)
            vectors = [a for a in instruction.arguments if len(self.instructions[a].shape) < 2]
            known = all(self._value_is_early(a, early) for a in vectors)
            early.append(known and (matrix is None or (matrix in self.applied and instruction.op != "dot")))
        return early

    def _value_is_early(self, number: int, early: list[bool]) -> bool:
        # A product that is formed early is not itself an operand of other early work: it is ready
        # only when its pass ends.
        return early[number] and self._matrix_of(number) is None

    # names -------------------------------------------------------------------

    def _ref(self, number: int, s: str) -> str:
        instruction = self.instructions[number]
        scalar = instruction.shape == ()
        if instruction.op == "const":
            return f"real({instruction.parameter!r})"
        if instruction.op == "size":
            return f"real({self.sizes[str(instruction.parameter)]})"
        if instruction.op == "theta":
            return f"theta[{instruction.parameter}]"
        if number in self.traced:
            offset = self.traced[number]
            return f"{s}->trace[{offset}]" if scalar else f"({s}->trace + {offset})"
        if instruction.op == "input":
            return f"{s}->{instruction.slot}"
        return f"{s}->v{number}"

    def _length(self, instruction: Instruction) -> int:
        return self.sizes[instruction.shape[0]]

    def _shape(self, matrix: Slot) -> MatrixShape:
        rows, columns = (self.sizes[d] for d in self.shapes[matrix.primal])
        return MatrixShape(rows, columns, stride_of(columns))

    # printing ----------------------------------------------------------------

    def print(self, trace_length: int, sizes: Mapping[str, int]) -> str:
        fields = ["  const real* x; const real* target; real* trace;"]
        for number, instruction in enumerate(self.instructions):
            if number in self.traced or instruction.op in LOADS:
                continue
            length = f"[{stride_of(self._length(instruction))}]" if instruction.shape else ""
            aligned = "alignas(64) " if instruction.shape else ""
            fields.append(f"  {aligned}real v{number}{length};")
        struct = f"struct {self.name}_values {{\n" + "\n".join(fields) + "\n};"
        adjoint = self.name == "backward"
        arguments = [
            "const real* theta",
            "int samples",
            "const real* xs",
            "const real* targets",
            "real* traces",
        ]
        arguments += [f"real* {w}" for w in self.weights] + [f"real* {b}" for b in self.back]
        arguments += [f"real* {w.cotangent}" for w in self.weights] + ["double* gradient"] if adjoint else []
        body = self._body(trace_length, sizes)
        return (
            f'{struct}\n\nextern "C" void {self.name}({", ".join(arguments)}) {{\n'
            + "\n".join("  " + line for line in body)
            + "\n}\n"
        )

    def _body(self, trace_length: int, sizes: Mapping[str, int]) -> list[str]:
        s = f"{self.name}_values"
        n0, out = sizes["n0"], sizes[f"n{len(sizes) - 1}"]
        setting = f"p->x = xs + (size_t)t * {n0}; p->target = targets + (size_t)t * {out};"
        setting += f" p->trace = traces + (size_t)t * {trace_length};"
        backwards = self.name == "backward"
        first, following, more = (
            ("samples - 1", "t - 1", "t > 0") if backwards else ("0", "t + 1", "t + 1 < samples")
        )
        lines = ["if (samples <= 0) return;", f"std::unique_ptr<{s}> one(new {s}()), two(new {s}());"]
        lines += [f"{s}* c = one.get(); {s}* n = two.get();"]
        lines += [
            f"auto at = []({s}* p, int t, const real* xs, const real* targets, real* traces) {{ {setting} }};"
        ]
        lines += [f"at(c, {first}, xs, targets, traces);"]
        lines += self._early_values("c")
        lines += self._joint_passes(None, "c")
        loop = f"for (int t = {first}; {'t >= 0; --t' if backwards else 't < samples; ++t'}) {{"
        lines.append(loop)
        lines += ["  " + line for line in self._main()]
        if backwards:
            lines += [
                f"  gradient[{slot.number}] += {self._ref(number, 'c')};"
                for slot, number in self.program.outputs
            ]
        lines.append(f"  if ({more}) {{")
        lines.append(f"    at(n, {following}, xs, targets, traces);")
        lines += ["    " + line for line in self._early_values("n")]
        lines += ["    " + line for line in self._joint_passes("c", "n")]
        lines.append("  } else {")
        lines += ["    " + line for line in self._joint_passes("c", None)]
        lines += ["  }", "  std::swap(c, n);", "}"]
        return lines

    def _early_values(self, s: str) -> list[str]:
        return [
            line
            for number, flag in enumerate(self.early)
            if flag and self._matrix_of(number) is None
            for line in self._instruction(number, s)
        ]

    def _joint_passes(self, updating: str | None, preparing: str | None) -> list[str]:
        """Updates with the values of sample `updating`, feeding early products of sample `preparing`."""
        lines: list[str] = []
        for matrix, update in self.applied.items():
            change = self._change(update, "apply", updating) if updating else None
            products = [n for n, flag in enumerate(self.early) if flag and self._matrix_of(n) == matrix]
            consumers = [self._consumer(n, preparing) for n in products] if preparing else []
            if change or consumers:
                lines += Pass(matrix, self._shape(matrix), change, consumers).print()
        return lines

    def _change(self, update: Update, kind: str, s: str) -> Change | None:
        pairs = tuple((self._ref(u, s), self._ref(v, s)) for u, v in update.pairs)
        scale = None
        if update.kappa is not None:
            kappa = self._ref(update.kappa, s)
            scale = f"1 + {kappa}" if kind == "apply" else f"1 / (1 + {kappa})"
        return Change(kind, scale, pairs) if pairs or scale else None  # type: ignore[arg-type]

    def _consumer(self, number: int, s: str) -> Consumer:
        instruction = self.instructions[number]
        if instruction.op == "dot":
            names = [self.instructions[a].slot for a in instruction.arguments]
            return Consumer("dot", self._ref(number, s), max(names, key=lambda n: n.adjoint))
        return Consumer(instruction.op, self._ref(number, s), self._ref(instruction.arguments[1], s))  # type: ignore[arg-type]

    def _main(self) -> list[str]:
        """Everything of a sample that is not early, matrix products grouped into passes."""
        remaining = [n for n, flag in enumerate(self.early) if not flag]
        done = list(self.early)
        fresh = set(self.undone)
        lines: list[str] = []
        while remaining:
            ready = [n for n in remaining if all(done[a] for a in self.instructions[n].arguments)]
            plain = [n for n in ready if self._matrix_of(n) is None]
            if plain:
                chosen = plain
                lines += [line for n in plain for line in self._instruction(n, "c")]
            else:
                matrix, chosen = self._next_pass(ready, remaining)
                change = self._change(self.undone[matrix], "undo", "c") if matrix in fresh else None
                fresh.discard(matrix)
                lines += Pass(
                    matrix, self._shape(matrix), change, [self._consumer(n, "c") for n in chosen]
                ).print()
            for number in chosen:
                done[number] = True
            remaining = [n for n in remaining if n not in chosen]
        for matrix in sorted(fresh):
            change = self._change(self.undone[matrix], "undo", "c")
            lines += Pass(matrix, self._shape(matrix), change).print() if change else []
        return lines

    def _next_pass(self, ready: list[int], remaining: list[int]) -> tuple[Slot, list[int]]:
        """The matrix to read next: one whose products are all ready, if there is one."""
        matrices = list(dict.fromkeys(m for n in ready if (m := self._matrix_of(n))))

        def waiting(matrix: Slot) -> int:
            return sum(self._matrix_of(n) == matrix for n in remaining) - sum(
                self._matrix_of(n) == matrix for n in ready
            )

        matrix = min(matrices, key=waiting)
        return matrix, [n for n in ready if self._matrix_of(n) == matrix]

    def _instruction(self, number: int, s: str) -> list[str]:
        instruction = self.instructions[number]
        if instruction.op in LOADS:
            return []
        out = self._ref(number, s)
        operands = [self._operand(a, s) for a in instruction.arguments]
        if instruction.op in ("sum", "dot"):
            argument = self.instructions[instruction.arguments[0]]
            inner = operands[0] if instruction.op == "sum" else f"{operands[0]} * {operands[1]}"
            loop = f"for (int i = 0; i < {self._length(argument)}; ++i) sum += {inner};"
            return [
                f"{out} = [&] {{ real sum = 0;",
                "#pragma omp simd reduction(+: sum)",
                f"{loop} return sum; }}();",
            ]
        if instruction.op == "softmax":
            return [f"softmax({self._length(instruction)}, {self._ref(instruction.arguments[0], s)}, {out});"]
        value = _scalar_text(instruction, operands)
        if not instruction.shape:
            return [f"{out} = {value};"]
        return [
            "#pragma omp simd",
            f"for (int i = 0; i < {self._length(instruction)}; ++i) {out}[i] = {value};",
        ]

    def _operand(self, number: int, s: str) -> str:
        reference = self._ref(number, s)
        return f"{reference}[i]" if self.instructions[number].shape else reference


def _scalar_text(instruction: Instruction, operands: list[str]) -> str:
    """One entry of an entrywise op."""
    if instruction.op in ELEMENTWISE:
        return ELEMENTWISE[instruction.op].cpp.format(operands[0], float(instruction.parameter or 1.0))
    text = _SCALAR_TEXT.get(instruction.op)
    if text is None:
        raise InternalError(f"there is no C++ for op `{instruction.op}`")
    return text(operands, instruction)


def _power(operands: list[str], instruction: Instruction) -> str:
    a, exponent = operands[0], float(instruction.parameter or 0.0)
    simple = {
        2.0: f"{a} * {a}",
        -1.0: f"1 / {a}",
        0.5: f"std::sqrt({a})",
        -0.5: f"1 / std::sqrt({a})",
        3.0: f"{a} * {a} * {a}",
        0.0: "real(1)",
    }
    return simple.get(exponent, f"std::pow({a}, real({exponent!r}))")


_SCALAR_TEXT: Mapping[str, Callable[[list[str], Instruction], str]] = {
    "add": lambda o, i: f"{o[0]} + {o[1]}",
    "sub": lambda o, i: f"{o[0]} - {o[1]}",
    "mul": lambda o, i: f"{o[0]} * {o[1]}",
    "neg": lambda o, i: f"-{o[0]}",
    "pow": _power,
    "fill": lambda o, i: o[0],
}
