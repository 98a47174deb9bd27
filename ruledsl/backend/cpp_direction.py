"""One direction through a stream, printed as a C++ function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ruledsl.backend.cpp_entries import EntryPass
from ruledsl.backend.cpp_guards import Guards, guarded
from ruledsl.backend.cpp_inputs import Inputs, stride_of
from ruledsl.backend.cpp_lists import ListPass
from ruledsl.backend.cpp_passes import Change, Consumer, Forms, MatrixShape, Pass, Rows
from ruledsl.backend.cpp_places import Places
from ruledsl.backend.cpp_schedule import Schedule
from ruledsl.backend.cpp_structure import SUMS, Pair, Structure
from ruledsl.backend.cpp_text import scalar_text
from ruledsl.backend.cpp_values import ZEROS, Values
from ruledsl.backend.silence import INPUT
from ruledsl.ir import ENTRYWISE, LOADS, Instruction, Program, Slot, Update

ONES = "ones_"
"""Before a dimension's name: a vector of ones, and of 0 up to a whole number of lanes."""


@dataclass
class Direction:
    """Prints one function that runs a program over all samples, forwards or backwards."""

    program: Program
    sizes: Mapping[str, int]
    name: str
    traced: Mapping[int, int]
    inputs: Inputs
    guards: Guards
    forms: Forms

    def __post_init__(self) -> None:
        self.instructions = self.program.instructions
        self.structure = Structure(self.instructions)
        self.backwards = self.name == "backward"
        changes = {u.target: u for u in self.program.updates if u.rank == 2}
        own = {t: u for t, u in changes.items() if self.backwards and not t.adjoint}
        self.undone = {t: u for t, u in own.items() if t in self.inputs.looked_back}
        self.borders = {
            t: found for t, u in changes.items() if (found := self.structure.borders(u.dense)) is not None
        }
        self.applied = {t: u for t, u in changes.items() if t not in own and t in self.borders}
        self.dense = {t: u for t, u in changes.items() if t not in own and t not in self.applied}
        self.moved = {u.target: u for u in self.program.updates if u.rank == 1}
        self.early = self.structure.early(self.applied)
        self.users: list[list[int]] = [[] for _ in self.instructions]
        for number, instruction in enumerate(self.instructions):
            for argument in instruction.arguments:
                self.users[argument].append(number)
        self.kept = frozenset([*self.program.roots(), *self.traced])
        self.summed: set[int] = set()
        """Vectors that entries are summed up from, there or not."""
        self.room = 0
        """The longest list of a pass that was printed, see `ListPass`."""

    def _values(self, numbers: Sequence[int], s: str) -> list[str]:
        """Values of cells, those that are needed."""
        return Values(
            self.instructions, lambda n: self._ref(n, s), self._entries, self.guards.when,
            self.guards.within, lambda n: self._alone(n, s), guarded, self.users, self.kept,
        ).print(numbers)  # fmt: skip

    def _entries(self, number: int) -> int:
        """How many entries a vector has; 0 of a scalar."""
        instruction = self.instructions[number]
        return self._length(instruction) if instruction.shape else 0

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
        if instruction.op == "input" and not self._is_copied(number):
            if instruction.slot in self.inputs.constants:
                return f"{instruction.slot}[0]" if scalar else str(instruction.slot)
            return f"{s}->{instruction.slot}[0]" if scalar else f"{s}->{instruction.slot}"
        return f"{s}->v{number}"

    def _is_copied(self, number: int) -> bool:
        """Vectors that the step updates are copied first: what comes later in a sample reads the old ones."""
        instruction = self.instructions[number]
        return instruction.op == "input" and instruction.slot.primal in self.inputs.vectors

    def _place(self, matrix: Slot) -> str:
        """Where a matrix is read: weights that `forward` kept lie elsewhere at every sample."""
        return f"{matrix}_now" if matrix in self.undone else str(matrix)

    def _length(self, instruction: Instruction) -> int:
        return self.sizes[instruction.shape[0]]

    def _shape(self, matrix: Slot) -> MatrixShape:
        dims = self.inputs.shapes[matrix.primal]
        return self._sized(dims[::-1] if self.inputs.is_turned(matrix) else dims)

    def _pass(
        self, matrix: Slot, place: str, change: Change | None, consumers: list[Consumer], s: str
    ) -> list[str]:
        """One pass; over what belongs to the active inputs of a sample, where that is all that matters."""
        if self.inputs.is_turned(matrix):
            change = change and change.turned()
            consumers = [c.turned() for c in consumers]
        silent = matrix.primal in self.inputs.silent
        some = Rows(f"{s}->active", f"{s}->actives") if silent else None
        given = (place, self._shape(matrix), change, consumers, some)
        listed = change or len(consumers) > 1 or consumers[0].when
        # Gains have no lists: those of absent terms are read as 0.
        if not self.guards.conditions or not listed or (change and change.gains):
            return Pass(*given).print(self.forms)
        lists = ListPass(*given)
        self.room = max(self.room, lists.room)
        return lists.print_either(self.forms)

    def _sized(self, dims: tuple[str, ...]) -> MatrixShape:
        rows, columns = (self.sizes[d] for d in dims)
        return MatrixShape(rows, columns, stride_of(columns))

    # printing ----------------------------------------------------------------

    def print(self, trace_length: int) -> str:
        given = ["const real* theta", "const bool* present", "int samples"]
        given += ["const real* xs", "const real* targets", "real* traces", "int held"]
        given += [f"real* {name}" for name in self.inputs.arguments()]
        if self.backwards:
            given += [f"real* {slot.cotangent}" for slot in self.inputs.carried] + ["double* gradient"]
        begun = [*self._early_values("c"), *self._joint_passes(None, "c")]
        main = [*self._kept(), *self._main(), *self._ends()]
        ended = self._joint_passes("c", None)
        vectors = [n for n in range(len(self.instructions)) if self._entries(n)]
        kinds = {n: (self._entries(n), self.guards.when(n) if self._outlives(n) else "") for n in vectors}
        places = Places.shared([*begun, *main, *ended], kinds)
        body = self._body(trace_length, begun, main, ended)
        return (
            f"struct {self.name}_values {{\n"
            + "\n".join("  " + line for line in self._fields(places))
            + f'\n}};\n\nextern "C" void {self.name}({", ".join(given)}) {{\n'
            + "\n".join("  " + places.placed(line) for line in (*self.guards.declared(), *body))
            + "\n}\n"
        )

    def _outlives(self, number: int) -> bool:
        """Whether a vector is read, as 0, where what needs it is absent; loops of `Values` look before."""
        lone = (u for u in self.users[number] if self.instructions[u].op not in ENTRYWISE)
        return number in self.summed or not all(self.guards.within(u, number) for u in lone)

    def _fields(self, places: Places) -> list[str]:
        """What a sample's values are."""
        fields = ["const real* x; const real* target; real* trace;"]
        fields += [f"const real* {signal};" for signal in self.inputs.signals]
        if self.inputs.silent:
            fields.append(f"int active[{self.sizes[INPUT] + 1}]; int actives;")
        scalars = [n for n, i in enumerate(self.instructions) if not i.shape and i.op not in LOADS]
        fields += [f"real v{n};" for n in scalars if n not in self.traced]
        lengths = enumerate(places.lengths)
        return fields + [f"alignas(64) real place{k}[{stride_of(length)}];" for k, length in lengths]

    def _body(
        self, trace_length: int, begun: Sequence[str], main: Sequence[str], ended: Sequence[str]
    ) -> list[str]:
        s = f"{self.name}_values"
        first, following, more = (
            ("samples - 1", "t - 1", "t > 0") if self.backwards else ("0", "t + 1", "t + 1 < samples")
        )
        lines = ["if (samples <= 0) return;", *self._constants(), f"plain::owned<{s}> one, two;"]
        lines += [f"{s}* c = one.at; {s}* n = two.at;"]
        lines += [f"auto at = [&]({s}* p, int t) {{ {self._setting(trace_length)} }};"]
        lines += [f"at(c, {first});", *begun]
        loop = f"for (int t = {first}; {'t >= 0; --t' if self.backwards else 't < samples; ++t'}) {{"
        lines += [loop, *("  " + line for line in main)]
        lines += [f"  if ({more}) {{", f"    at(n, {following});"]
        lines += ["    " + line for line in self._early_values("n")]
        lines += ["    " + line for line in self._joint_passes("c", "n")]
        lines += ["  } else {", *("    " + line for line in ended)]
        lines += ["  }", f"  {s}* done = c; c = n; n = done;", "}"]
        return lines

    def _constants(self) -> list[str]:
        """Vectors of ones, since sums over rows and columns are products with them and send back such, and
        one of zeros."""
        summed = [self.instructions[i.arguments[0]].shape for i in self.instructions if i.op in SUMS]
        summed += [self.inputs.shapes[target.primal] for target, found in self.borders.items() if found]
        dims = dict.fromkeys(dim for shape in summed for dim in shape)
        made = [(f"ones_of<{self.sizes[d]}>", f"{ONES}{d}") for d in dims]
        made.append((f"zeros_of<{stride_of(max(self.sizes.values()))}>", ZEROS))
        return [f"plain::owned<{t}> all_{name}; const real* {name} = all_{name}.at->at;" for t, name in made]

    def _setting(self, trace_length: int) -> str:
        """Where a sample's signals and saved values lie."""
        lengths = {"x": self.sizes["n0"], "target": self.sizes[f"n{len(self.sizes) - 1}"]}
        parts = [f"p->{name} = {name}s + (size_t)t * {length};" for name, length in lengths.items()]
        parts += [
            f"p->{signal} = {signal}_stream + (size_t)t * {self.sizes[shape[0]] if shape else 1};"
            for signal, shape in self.inputs.signals.items()
        ]
        if self.inputs.silent:
            parts.append(f"p->actives = find_active({self.sizes[INPUT]}, p->x, p->active);")
        parts.append(f"p->trace = traces + (size_t)(t % held) * {trace_length};")
        if self.backwards:
            # Samples are gone through against the direction in which processors look ahead.
            fetched = {"trace": trace_length, "x": lengths["x"]}
            before = " ".join(f"ahead({n}, p->{name} - {n});" for name, n in fetched.items())
            parts.append(f"if (t > 0) {{ {before} }}")
        return " ".join(parts)

    def _kept(self) -> list[str]:
        """Forward keeps the weights before a sample where it is given a place; backward reads them there."""
        lines: list[str] = []
        for name in self.inputs.weights:
            shape = self._shape(name)
            size = shape.rows * shape.stride
            place = f"kept_{name} + (size_t)t * {size}"
            if not self.backwards:
                lines.append(f"if (kept_{name}) std::memcpy({place}, {name}, {size} * sizeof(real));")
            elif name in self.undone:
                lines.append(f"real* {name}_now = kept_{name} ? {place} : {name};")
        return lines

    def _ends(self) -> list[str]:
        """What a sample does when all its values are there, but for updates that share their pass with the
        next sample."""
        lines: list[str] = []
        for dims in dict.fromkeys(self.inputs.shapes[t.primal] for t in self.dense):
            updates = {t: u for t, u in self.dense.items() if self.inputs.shapes[t.primal] == dims}
            lines += self._dense(dims, updates)
        for target, update in self.moved.items():
            lines += self._moved(target, update)
        if self.backwards:
            lines += [
                f"gradient[{slot.number}] += {self._ref(number, 'c')};"
                for slot, number in self.program.outputs
            ]
        return lines

    def _dense(self, dims: tuple[str, ...], updates: Mapping[Slot, Update]) -> list[str]:
        """Updates entry by entry; several at once, since one may read what another moves."""
        whole = self._entry_pass(dims, (), [(str(t), u) for t, u in updates.items()])
        (target, update), *others = updates.items()
        when = self.guards.when(update.dense) if update.dense is not None and not others else ""
        change = self._change(update, "apply", "c") if when else None
        rest = ["else", *self._pass(target, str(target), change, [], "c")] if change else []
        return [*guarded(when, whole), *rest]

    def _moved(self, target: Slot, update: Update) -> list[str]:
        """A vector's own update; what is small is summed before it meets an entry, see `Change`."""
        parts = [] if update.kappa is None else [f"{self._ref(update.kappa, 'c')} * {target}[i]"]
        if update.dense is not None:
            self.summed.add(update.dense)
            parts.append(self._operand(update.dense, "c"))
        length = self.sizes[self.inputs.vectors[target.primal][0]]
        added = " + ".join(parts) or "0"
        return ["#pragma omp simd", f"for (int i = 0; i < {length}; ++i) {target}[i] += {added};"]

    def _entry_pass(
        self, dims: tuple[str, ...], reductions: Sequence[int], updates: Sequence[tuple[str, Update]] = ()
    ) -> list[str]:
        def ref(number: int) -> str:
            self.summed.add(number)
            return self._ref(number, "c")

        return EntryPass(
            self.instructions, self._sized(dims), ref,
            lambda n: self._place(self.instructions[n].slot), lambda n: self._consumer(n, "c"),
            reductions, updates,
        ).print(self.forms)  # fmt: skip

    def _early_values(self, s: str) -> list[str]:
        early = [n for n, flag in enumerate(self.early) if flag and self.structure.matrix_of(n) is None]
        return self._values(early, s)

    def _joint_passes(self, updating: str | None, preparing: str | None) -> list[str]:
        """Updates with the values of sample `updating`, feeding early products of sample `preparing`."""
        lines: list[str] = []
        for matrix, update in self.applied.items():
            change = self._change(update, "apply", updating) if updating else None
            products = [
                n for n, flag in enumerate(self.early) if flag and self.structure.matrix_of(n) == matrix
            ]
            consumers = [self._consumer(n, preparing) for n in products] if preparing else []
            if change and consumers and matrix.primal in self.inputs.silent:
                # Two samples have other active inputs.
                lines += self._pass(matrix, matrix, change, [], str(updating))
                change = None
            if change or consumers:
                lines += self._pass(
                    matrix, matrix, change, consumers, str(preparing if consumers else updating)
                )
        return lines

    def _change(self, update: Update, kind: str, s: str) -> Change | None:
        rows, columns = self.inputs.shapes[update.target.primal]
        sides: list[Pair] = [*update.pairs, *(self.borders.get(update.target) or ())]
        met: list[Pair] = [*sides, *update.gains]
        if update.gains:
            self.summed.update(n for pair in met for n in pair if n is not None)
        found = Change(
            kind,  # type: ignore[arg-type]
            None if update.kappa is None else self._ref(update.kappa, s),
            tuple((self._side(u, rows, s), self._side(v, columns, s)) for u, v in sides),
            tuple(all(self._is_padded(pair[n]) for pair in met) for n in range(2)),  # type: ignore[arg-type]
            tuple(self.guards.both(n for n in pair if n is not None) for pair in sides),
            tuple((self._ref(p, s), self._ref(q, s)) for p, q in update.gains),
        )
        return found if found.pairs or found.kappa or found.gains else None

    def _side(self, number: int | None, dim: str, s: str) -> str:
        return ONES + dim if number is None else self._ref(number, s)

    def _is_padded(self, number: int | None) -> bool:
        """Whether a vector is 0 up to a whole number of lanes: if computed here, not if it is given."""
        if number is None:
            return True
        return self.instructions[number].op != "input" or number in self.traced or self._is_copied(number)

    def _consumer(self, number: int, s: str) -> Consumer:
        instruction = self.instructions[number]
        if instruction.op == "dot":
            names = [self.instructions[a].slot for a in instruction.arguments]
            other = max(names, key=lambda n: n.adjoint)
            return Consumer("dot", self._ref(number, s), other, when=self.guards.when(number))
        out, when = self._ref(number, s), self.guards.when(number)
        if instruction.op in SUMS:
            rows, columns = self.instructions[instruction.arguments[0]].shape
            dim = columns if instruction.op == "row_sum" else rows
            return Consumer(SUMS[instruction.op], out, ONES + dim, when=when)
        operand = instruction.arguments[1]
        found = (out, self._ref(operand, s), self._is_padded(operand), when)
        return Consumer(instruction.op, *found)  # type: ignore[arg-type]

    def _main(self) -> list[str]:
        """Everything of a sample that is not early, matrix products grouped into passes."""
        fresh = set(self.undone)
        lines: list[str] = []
        remaining = [n for n, flag in enumerate(self.early) if not flag]
        for numbers in Schedule(self.structure, self.guards.when, self.users).steps(remaining):
            lines += self._step(numbers, fresh)
        for matrix in sorted(fresh):
            lines += self._undo(matrix, [])
        return lines

    def _step(self, numbers: list[int], fresh: set[Slot]) -> list[str]:
        """Lines of one step of a schedule. Weights in `fresh` are undone when they are first read."""
        matrix = self.structure.matrix_of(numbers[0])
        if matrix is not None:
            consumers = [self._consumer(n, "c") for n in numbers]
            if matrix in fresh:
                fresh.discard(matrix)
                return self._undo(matrix, consumers)
            return self._pass(matrix, self._place(matrix), None, consumers, "c")
        if not self.structure.by_entries(numbers[0]):
            return self._values(numbers, "c")
        read = sorted(fresh & self.structure.sources(numbers))
        fresh.difference_update(read)
        undone = [line for matrix in read for line in self._undo(matrix, [])]
        entries = self._entry_pass(self.structure.dims(numbers[0]), numbers)
        return [*undone, *guarded(self.guards.when(numbers[0]), entries)]

    def _undo(self, matrix: Slot, consumers: list[Consumer]) -> list[str]:
        """The first pass over a weight in a sample: undone on the way, unless it was kept."""
        kept = self._pass(matrix, self._place(matrix), None, consumers, "c") if consumers else []
        change = self._change(self.undone[matrix], "undo", "c") if self.inputs.rebuilds else None
        if change is None:
            return kept
        undone = self._pass(matrix, matrix, change, consumers, "c")
        return [f"if (kept_{matrix}) {{", *kept, "} else {", *undone, "}"]

    def _alone(self, number: int, s: str) -> list[str]:
        """What is in no loop with others: what is loaded, scalars, sums, and a softmax."""
        instruction = self.instructions[number]
        if self.structure.is_matrix(number) or (instruction.op in LOADS and not self._is_copied(number)):
            return []
        out = self._ref(number, s)
        if instruction.op == "input":
            return [f"std::memcpy({out}, {instruction.slot}, {self._length(instruction)} * sizeof(real));"]
        if instruction.op in ("sum", "dot"):
            vectors = [self._ref(a, s) for a in instruction.arguments]
            length = self._length(self.instructions[instruction.arguments[0]])
            if all(map(self._is_padded, instruction.arguments)):
                length = stride_of(length)
            form = "sum" if instruction.op == "sum" else "inner"
            return [f"{out} = {form}({length}, {', '.join(vectors)});"]
        if instruction.op == "softmax":
            return [f"softmax({self._length(instruction)}, {self._ref(instruction.arguments[0], s)}, {out});"]
        return [f"{out} = {scalar_text(instruction, [self._operand(a, s) for a in instruction.arguments])};"]

    def _operand(self, number: int, s: str) -> str:
        reference = self._ref(number, s)
        return f"{reference}[i]" if self.instructions[number].shape else reference
