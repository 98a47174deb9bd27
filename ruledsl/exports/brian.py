"""Brian2: layers as neuron groups, W and B as synapses; sums over a cell's synapses are summed variables.

A sample is shown for as many time steps as signals need to travel forth and back: a summed variable lags one
step behind what it sums, and everything settles. In the last of these steps every synapse moves its weight by
what its own two cells hold. So terms up to the classes `dendrite` and `axon` can be written; sums over
whole populations cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ruledsl.exports.code import commented, module
from ruledsl.exports.header import header
from ruledsl.exports.refusal import (
    Fault,
    NotExpressible,
    refuse_convolutions,
    refuse_other_targets,
    refuse_whole_populations,
)
from ruledsl.exports.subject import Subject
from ruledsl.ir import ELEMENTWISE, Builder, Instruction, Kind, Program, Value
from ruledsl.network import Activity, Pathway
from ruledsl.registry import find

NAME = "brian2"
BINARY = {"add": "({} + {})", "sub": "({} - {})", "mul": "({} * {})"}
VARIABLES = {"y": "y", "z": "z", "e": "err"}
"""Of cells, by the quantities of the language: Brian2 keeps `e` for itself."""
FEEDBACKS = {"fixed": "b * err_pre", "symmetric": "w * err_post"}
NEAREST = "leave it out of the rule, or let its cells gather the sum by synapses of their own"


def brian_file(subject: Subject, proof: str) -> str:
    """The text of the file. Raises `NotExpressible` for what cells and synapses of Brian2 cannot hold."""
    _refuse(subject)
    depth, network = subject.settings.depth, subject.network
    layers = [LayerText.of(subject, number) for number in range(1, depth + 1)]
    steps = 2 * depth + 4 + max(layer.lag for layer in layers)
    groups = "\n".join(_group(subject, number, layers) for number in range(depth + 1))
    synapses = "\n".join(_synapses(layer, network.feedback) for layer in layers)
    theta = ", ".join(f"{value!r}" for value in subject.theta)
    return module(
        commented(header(subject, "Brian2 network: learning rule", proof)),
        _IMPORTS,
        f"TERMS = {subject.names!r}\nTHETA = np.array([{theta}])\nSIZES = {subject.settings.sizes!r}\n"
        f"STEPS = {steps}  # time steps for which a sample is shown: signals settle, then weights move",
        _EPISODE.replace("{groups}", _indented(groups))
        .replace("{synapses}", _indented(synapses))
        .replace("{depth}", str(depth)),
        _INITIAL,
        _DEMO,
    )


def _refuse(subject: Subject) -> None:
    rule, network = subject.rule, subject.network
    refuse_convolutions(NAME, subject.settings)
    refuse_other_targets(NAME, rule)
    refuse_whole_populations(NAME, rule, NEAREST)
    if network.feedback not in FEEDBACKS:
        known = " or ".join(FEEDBACKS)
        raise NotExpressible(NAME, f"errors are carried by {known} feedback there, not `{network.feedback}`")
    if network.bias or network.inhibitory or network.feedback_noise:
        raise NotExpressible(NAME, "biases, Dale's law and noise are not written down there")
    for piece in rule.pieces:
        unknown = (
            set(piece.certificate.reads) - {f"{q}_{s}" for q in VARIABLES for s in ("pre", "post")} - {"W"}
        )
        others = {u for u in unknown if not u.startswith(("1_", "n_"))}
        if others:
            raise NotExpressible(
                NAME, f"it reads {', '.join(sorted(others))}, which no cell there holds", "", Fault(piece)
            )
    if any(u.target.kind == Kind.trace for u in subject.programs.step.updates):
        raise NotExpressible(NAME, "its traces count samples, which time steps there do not")


@dataclass
class LayerText:
    """The rule at the synapses into one layer: equations of their cells, and how a weight moves."""

    program: Program
    number: int
    cells: dict[str, list[str]] = field(default_factory=lambda: {"pre": [], "post": []})
    sums: list[str] = field(default_factory=list)
    """What cells gather over these synapses."""
    lag: int = 0
    """The longest chain of sums: each is a time step behind what it sums."""

    @classmethod
    def of(cls, subject: Subject, number: int) -> LayerText:
        """Every vector of the layer's program gets an equation. Terms of other layers take no part."""
        rule = subject.rule.program
        builder = Builder()
        inputs = {f"{q}_{s}": builder.input(f"{q}_{s}", (s,)) for q in VARIABLES for s in ("pre", "post")}
        inputs["W"] = builder.input(Kind.weights, ("post", "pre"))
        found = cls(rule.layer_program(builder, number, inputs), number)
        lags: list[int] = []
        for position, i in enumerate(found.program.instructions):
            lags.append(max((lags[a] for a in i.arguments), default=0))
            if len(i.shape) != 1 or i.op == "input":
                continue
            (side,) = i.shape
            summand = found._summand(i)
            if summand is None:
                found.cells[side].append(f"{found._name(position)} = {found._of_cell(position, True)} : 1")
            else:
                lags[-1] += 1
                found.cells[side].append(f"{found._name(position)} : 1")
                found.sums.append(f"{found._name(position)}_{side} = {summand} : 1 (summed)")
        found.lag = max(lags, default=0)
        return found

    def _name(self, number: int) -> str:
        return f"v{number}_{self.number}"

    def _summand(self, i: Instruction) -> str | None:
        if i.op in ("matvec", "rmatvec"):
            return " * ".join(self._of_synapse(a) for a in i.arguments)
        return self._of_synapse(i.arguments[0]) if i.op in ("row_sum", "column_sum") else None

    def _of_synapse(self, number: int) -> str:
        """A value as a synapse sees it."""
        i = self.program.instructions[number]
        if i.op == "input":
            return "w" if i.slot == Kind.weights else _variable(str(i.slot))
        if len(i.shape) == 1:
            return f"{self._name(number)}_{i.shape[0]}"
        return written(i, [self._of_synapse(a) for a in i.arguments])

    def _of_cell(self, number: int, written_out: bool = False) -> str:
        """A value as the cell sees it that holds it."""
        i = self.program.instructions[number]
        if i.op == "input":
            return _variable(str(i.slot)).rpartition("_")[0]
        if len(i.shape) == 1 and not written_out:
            return self._name(number)
        return written(i, [self._of_cell(a) for a in i.arguments])

    @property
    def change(self) -> str:
        """By how much a synapse moves its weight."""
        (update,) = self.program.updates
        text = self._of_synapse
        parts = [f"{text(u)} * {text(v)}" for u, v in update.pairs]
        parts += [f"{text(update.kappa)} * w"] if update.kappa is not None else []
        parts += [text(update.dense)] if update.dense is not None else []
        return " + ".join(parts) or "0.0"


def _variable(quantity: str) -> str:
    name, _, side = quantity.partition("_")
    return f"{VARIABLES[name]}_{side}"


def written(i: Instruction, inside: Sequence[str]) -> str:
    """An op on texts. Raises `NotExpressible` for one that is neither entrywise nor a sum over synapses."""
    if i.op in BINARY:
        return BINARY[i.op].format(*inside)
    if i.op in ELEMENTWISE:
        row = ELEMENTWISE[i.op]
        beta = float(i.parameter or 1.0) if row.has_beta else 1.0
        text = row.brian_text or row.numpy_text.replace("np.", "")
        return (
            f"({text.format(inside[0])})"
            if beta == 1.0
            else f"({text.format(f'({beta!r} * {inside[0]})')} / {beta!r})"
        )
    texts: dict[str, Callable[[], str]] = {
        "theta": lambda: f"theta_{i.parameter}",
        "const": lambda: f"({float(i.parameter or 0.0)!r})",
        "size": lambda: f"N_{i.parameter}",
        "neg": lambda: f"(-{inside[0]})",
        "pow": lambda: f"({inside[0]})**({float(i.parameter or 0.0)!r})",
        "outer": lambda: f"({inside[0]} * {inside[1]})",
        **dict.fromkeys(("rows", "columns", "fill"), lambda: inside[0]),
    }
    if i.op not in texts:
        raise NotExpressible(NAME, f"a step of it, `{i.op}`, is no sum over the synapses of one cell")
    return texts[i.op]()


def _entrywise(program: Program) -> str:
    """The one output of a program of a cell's z and y, as an expression."""

    def text(number: int) -> str:
        i = program.instructions[number]
        return str(i.slot)[0] if i.op == "input" else written(i, [text(a) for a in i.arguments])

    return text(program.outputs[0][1])


def _cell(subject: Subject, layer: int) -> tuple[str, str]:
    """y of z, and σ′, of a cell of a hidden layer, or (0) of an input."""
    b, network = Builder(), subject.network
    z, y = (Value(b, b.input(name, ("n1",))) for name in ("z1", "y1"))
    pathway = Pathway(1, Activity([z, z], [y, y]), b, network, 0)
    activity = find("activation", network.activation).item(z, network.beta)
    return _entrywise(b.finish({Kind.cost: activity.number})), _entrywise(
        b.finish({Kind.cost: pathway.slope(layer).number})
    )


def _group(subject: Subject, number: int, layers: Sequence[LayerText]) -> str:
    """The neuron group of a layer: z gathered from below, y, err, and what the rule needs of its cells."""
    depth = subject.settings.depth
    equations = ["z = inputs(t, i) : 1", "y = z : 1"] if number == 0 else ["z : 1"]
    if number == depth and subject.network.output == "softmax":
        equations += ["total : 1", "y = exp(z) / total : 1"]
    elif number == depth:
        equations += ["y = z : 1"]
    elif number:
        equations += [f"y = {_cell(subject, 1)[0]} : 1"]
    if number == depth:
        equations += ["err = y - targets(t, i) : 1"]
    else:
        equations += ["carried : 1", f"err = carried * {_cell(subject, min(number, 1))[1]} : 1"]
    equations += layers[number - 1].cells["post"] if number else []
    equations += layers[number].cells["pre"] if number < depth else []
    body = "\n".join(f"    {line}" for line in equations)
    lines = [f'layers.append(NeuronGroup(sizes[{number}], """\n{body}\n""", namespace=names))']
    if number == depth and subject.network.output == "softmax":
        lines += [
            'lateral.append(Synapses(layers[-1], layers[-1], "total_post = exp(z_pre) : 1 (summed)"))',
            "lateral[-1].connect()",
            "layers[-1].total = 1.0  # until the first sum is there",
        ]
    return "\n".join(lines)


def _synapses(layer: LayerText, feedback: str) -> str:
    """The synapses into a layer, their feedback, and how they learn."""
    n = layer.number
    sums = ["z_post = w * y_pre : 1 (summed)", *layer.sums]
    sums += [f"carried_pre = {FEEDBACKS[feedback]} : 1 (summed)"] if feedback == "symmetric" else []
    body = "\n".join(f"    {line}" for line in ["w : 1", *sums])
    lines = [
        f"names_{n} = dict(names, N_pre=sizes[{n - 1}], N_post=sizes[{n}])",
        f'forward.append(Synapses(layers[{n - 1}], layers[{n}], """\n{body}\n""", namespace=names_{n}))',
        f"connected(forward[-1], 'w', state['W{n - 1}'])",
        f'forward[-1].run_regularly("w += learning(t) * ({layer.change})", dt=defaultclock.dt, when="end")',
    ]
    if feedback == "fixed":
        lines += [
            f'equations = "b : 1\\ncarried_post = {FEEDBACKS[feedback]} : 1 (summed)"',
            f"back.append(Synapses(layers[{n}], layers[{n - 1}], equations))",
            f"connected(back[-1], 'b', state['B{n - 1}'])",
        ]
    return "\n".join(lines)


def _indented(text: str) -> str:
    """Inside a function; lines of multi-line strings are equations, which may stand anywhere."""
    return "\n".join(f"    {line}" if line.strip() else line for line in text.splitlines())


_IMPORTS = """\
import numpy as np
from brian2 import Network, NeuronGroup, Synapses, TimedArray, defaultclock, prefs, start_scope

prefs.codegen.target = "numpy\""""

_EPISODE = '''\
def episode(theta, state, x, y):
    """Learn from a stream, in order: x (T, n0), labels y (T,). Gives W after it, by name as in `state`."""
    start_scope()
    sizes = [state["W0"].shape[1]] + [state[f"W{n}"].shape[0] for n in range({depth})]
    shown = STEPS * defaultclock.dt
    names = {f"theta_{r}": value for r, value in enumerate(theta)}
    names["inputs"] = TimedArray(x, dt=shown)
    names["targets"] = TimedArray(np.eye(sizes[-1])[y], dt=shown)
    names["learning"] = TimedArray(np.tile([0.0] * (STEPS - 1) + [1.0], len(x)), dt=defaultclock.dt)
    layers, forward, back, lateral = [], [], [], []

    def connected(synapses, name, matrix):
        """All to all, with the entries of a matrix (post, pre)."""
        synapses.connect()
        getattr(synapses, name)[:] = matrix[synapses.j[:], synapses.i[:]]

{groups}
{synapses}
    Network(*layers, *forward, *back, *lateral).run(len(x) * shown, namespace=names)
    after = dict(state)
    for n, synapses in enumerate(forward):
        after[f"W{n}"] = np.zeros_like(state[f"W{n}"])
        after[f"W{n}"][synapses.j[:], synapses.i[:]] = synapses.w[:]
    return after'''

_INITIAL = '''\
def initial(seed=0, sizes=SIZES):
    """Random weights W (n_l+1, n_l) and feedback B (n_l, n_l+1) (Glorot & Bengio 2010)."""
    rng = np.random.default_rng(seed)
    state = {}
    for n, (below, above) in enumerate(zip(sizes, sizes[1:])):
        bound = (6 / (below + above)) ** 0.5
        state[f"W{n}"] = rng.uniform(-bound, bound, (above, below))
        state[f"B{n}"] = rng.uniform(-bound, bound, (below, above))
    return state'''

_DEMO = '''\
def demo(seed=0, samples=20):
    """A few samples in a small network: how far every matrix of weights moved."""
    rng = np.random.default_rng(seed)
    state = initial(seed, [min(size, 20) for size in SIZES])
    x = rng.random((samples, state["W0"].shape[1]))
    y = rng.integers(min(SIZES[-1], 20), size=samples)
    after = episode(THETA, state, x, y)
    moved = {n: float(np.abs(after[n] - state[n]).max()) for n in state if n[0] == "W"}
    print("largest change:", ", ".join(f"{n} {v:.2g}" for n, v in moved.items()))
    return moved


if __name__ == "__main__":
    demo()'''
