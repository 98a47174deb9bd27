"""numpy and jax: a file that lives through whole episodes, sample by sample, and needs nothing of ruledsl."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent

from ruledsl.backend import targets
from ruledsl.exports.code import commented, function, module
from ruledsl.exports.header import header
from ruledsl.exports.refusal import NotExpressible, refuse_convolutions
from ruledsl.exports.subject import Subject
from ruledsl.ir import Kind, Slot


@dataclass(frozen=True)
class Dialect:
    """What differs between the two."""

    target: str
    module: str
    imports: str
    loop: str
    """The body of `episode`, which has `theta`, `state`, `x`, `targets` and `signals`."""
    extra: str = ""


NUMPY = Dialect(
    "numpy",
    "np",
    "import numpy as np",
    """\
    for t in range(len(x)):
        state = step(theta, state, x[t], targets[t], **{name: s[t] for name, s in signals.items()})
    return state""",
)
JAX = Dialect(
    "jax",
    "jnp",
    "import jax\nimport jax.numpy as jnp\nimport numpy as np",
    """\
    def body(state, seen):
        sample, target, heard = seen
        return step(theta, state, sample, target, **heard), None

    return jax.lax.scan(body, state, (x, targets, signals))[0]""",
    '''

def meta_loss(theta, state, x, y, x_query, y_query, **signals):
    """What Θ is judged by: the loss of adapted networks on samples they have not seen."""
    return loss(answer(episode(theta, state, x, y, **signals), x_query), y_query)


adapt = jax.jit(episode)
adapt_many = jax.jit(jax.vmap(episode, in_axes=(None, 0, 0, 0)))
meta_gradient = jax.jit(jax.grad(meta_loss))
''',
)


def episode_file(dialect: Dialect, subject: Subject, proof: str) -> str:
    """The text of the file."""
    refuse_convolutions(dialect.target, subject.settings)
    if subject.network.inhibitory:
        raise NotExpressible(
            dialect.target,
            "Dale's law (inhibitory cells) needs initial weights that have signs, which it does not draw",
        )
    programs, np = subject.programs, dialect.module
    told = {*programs.further_signals, *_SAMPLE}
    carried = [slot for slot in programs.shapes if slot not in told]
    initial = {*carried, *(s for s in programs.matrices)}
    names = sorted(initial, key=lambda s: (s.kind != Kind.weights, s.kind, s.number))
    heard = "".join(f", {name}" for name in programs.further_signals)
    theta = f"np.array([{', '.join(map(repr, subject.theta))}])"
    return module(
        commented(header(subject, "Learning rule", proof)),
        dialect.imports,
        f"TERMS = {subject.names!r}\nTHETA = {theta}\nSIZES = {subject.settings.sizes!r}",
        _SOFTMAX.format(np=np),
        _step(subject, dialect, heard),
        _EPISODE.format(loop=_aged(subject, np) + dialect.loop, np=np, heard=_told(subject)),
        _answer(subject, dialect),
        _LOSS[subject.network.output].format(np=np) + dialect.extra.rstrip(),
        _initial(subject, names),
        _DEMO.format(signals=_demo_signals(subject)),
    )


_SAMPLE = (Kind.input, Kind.target)


def _heard(subject: Subject) -> list[Slot]:
    """What comes with every sample besides x and its target, and must be given."""
    return [slot for slot in subject.programs.further_signals if slot != Kind.age]


def _told(subject: Subject) -> str:
    heard = _heard(subject)
    names = ", ".join(heard)
    return f"\n\n    With every sample also, by name: {names}, (T, …) each.\n    " if heard else ""


def _aged(subject: Subject, np: str) -> str:
    """The samples counted, where the rule reads how many there were."""
    counts = f'    signals = {{**signals, "age": {np}.arange(1.0, len(x) + 1)}}\n'
    return counts if Kind.age in subject.programs.further_signals else ""


def _step(subject: Subject, dialect: Dialect, heard: str) -> str:
    program, target = subject.programs.step, targets()[dialect.target]
    told = {*subject.programs.further_signals, *_SAMPLE}
    used = sorted(s for s in program.inputs() if s not in told)
    lines = [f'{slot} = state["{slot}"]' for slot in used]
    lines += target.body(program)
    changed = [f'"{u.target}": {u.target} + {target.update(program, u)},' for u in program.updates]
    after = "{\n    **state,\n" + "".join(f"    {line}\n" for line in changed) + "}"
    meaning = "Learn from one sample: x (n0,), target (n_L,). Gives the state after it, by name."
    return function(f"step(theta, state, x, target{heard})", meaning, lines, after)


def _answer(subject: Subject, dialect: Dialect) -> str:
    """The network's output for many inputs at once: the prediction program, written for rows."""
    program = subject.programs.prediction
    target = targets()[dialect.target]
    used = [slot for slot in program.inputs() if slot.kind not in _SAMPLE]
    lines = [f'{slot} = state["{slot}"]' for slot in used]
    lines += [_by_rows(line) for line in target.body(program)]
    meaning = "Pre-activations of the output, (Q, n_L), for inputs (Q, n0)."
    return function("answer(state, x)", meaning, lines, target.named(program, program.outputs[0][1]))


def _by_rows(line: str) -> str:
    """W3 @ y of one sample is y @ W3.T of many."""
    left, equals, right = line.partition(" = ")
    product, _, comment = right.partition("  # ")
    if " @ " in product:
        matrix, _, vector = product.partition(" @ ")
        product = f"{vector} @ {matrix}.T"
    return f"{left}{equals}{product}  # Q × {comment}"


def _initial(subject: Subject, names: list[Slot]) -> str:
    shapes = {**subject.programs.shapes, **subject.programs.matrices}
    rows = []
    for slot in names:
        size = "(" + "".join(f"sizes[{d[1:]}], " for d in shapes[slot]).rstrip() + ")"
        size = size.replace(",)", ")") if len(shapes[slot]) > 1 else size
        drawn = slot.kind not in (Kind.bias, Kind.trace, Kind.feedback_trace)
        rows.append(f'"{slot}": xavier{size},' if drawn else f'"{slot}": np.zeros({size}),')
    return dedent(
        '''\
        def initial(seed=0, sizes=SIZES):
            """Random weights W (n_l+1, n_l) and feedback (Glorot & Bengio 2010); all else is zero."""
            rng = np.random.default_rng(seed)

            def xavier(rows, columns):
                bound = (6 / (rows + columns)) ** 0.5
                return rng.uniform(-bound, bound, (rows, columns))

            return {{
                {rows}
            }}'''
    ).format(rows="\n        ".join(rows))


def _demo_signals(subject: Subject) -> str:
    """Random numbers for whatever else the network hears."""
    shapes = subject.programs.shapes
    parts = []
    for slot in _heard(subject):
        size = "".join(f", SIZES[{d[1:]}]" for d in shapes[slot])
        parts.append(f"{slot}=rng.standard_normal((samples{size},))")
    return "".join(f", {part}" for part in parts)


_SOFTMAX = '''\
def softmax(z):
    """exp(z) / Σ exp(z), over the last axis."""
    e = {np}.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)'''

_EPISODE = '''\
def episode(theta, state, x, y, **signals):
    """Learn from a stream, in order: x (T, n0), y labels (T,) or targets (T, n_L).{heard}"""
    outputs = max((int(name[1:]), w.shape[0]) for name, w in state.items() if name[0] == "W")[1]
    targets = {np}.eye(outputs)[y] if y.ndim == 1 else y
{loop}'''

_LOSS = {
    "softmax": '''\
def loss(z, y):
    """Mean cross-entropy of outputs z (Q, n_L) and labels (Q,)."""
    shifted = z - z.max(-1, keepdims=True)
    log_p = shifted - {np}.log({np}.exp(shifted).sum(-1, keepdims=True))
    return -{np}.take_along_axis(log_p, y[:, None], -1).mean()''',
    "linear": '''\
def loss(z, y):
    """Mean of half the squared error of outputs z (Q, n_L) and labels (Q,)."""
    return 0.5 * ((z - {np}.eye(z.shape[-1])[y]) ** 2).sum(-1).mean()''',
}

_DEMO = '''\
def demo(seed=0, classes=5, shots=50):
    """One episode on noisy prototypes: accuracy on new samples before and after it."""
    rng = np.random.default_rng(seed)
    samples = classes * shots
    prototypes = rng.random((classes, SIZES[0])) * (rng.random((classes, SIZES[0])) < 0.2)

    def draw(count):
        y = rng.permutation(np.arange(count) % classes)
        return (prototypes[y] + 0.2 * rng.random((count, SIZES[0])) * (prototypes[y] > 0)), y

    (x, y), (x_query, y_query) = draw(samples), draw(10 * classes)
    state = initial(seed)
    adapted = episode(THETA, state, x, y{signals})
    found = [float((answer(s, x_query).argmax(-1) == y_query).mean()) for s in (state, adapted)]
    before, after = found
    print(f"accuracy on {{classes}} classes: {{before:.2f}} before, {{after:.2f}} after {{samples}} samples")
    return found


if __name__ == "__main__":
    demo()'''
