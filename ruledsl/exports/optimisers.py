"""torch: one file with an optimiser for this rule, and a linear layer whose errors travel by feedback."""

from __future__ import annotations

from ruledsl.backend import targets
from ruledsl.exports.code import commented, function, module
from ruledsl.exports.header import header
from ruledsl.exports.refusal import NotExpressible, refuse_other_targets
from ruledsl.exports.subject import Subject
from ruledsl.ir import Kind, Program, Update
from ruledsl.torch import CELLS

FEEDBACKS = {
    "fixed": "error @ layer.B.T",
    "symmetric": "error @ layer.weight",
}


def optimiser_file(subject: Subject, proof: str) -> str:
    """The text of the file. Raises `NotExpressible` for what one small file does not hold."""
    feedback, names = subject.network.feedback, subject.rule.names
    if feedback not in FEEDBACKS:
        raise NotExpressible(
            "torch",
            f"this file carries errors by {' or '.join(FEEDBACKS)} feedback, not `{feedback}`",
            ATTACH,
        )
    program = layer_program(subject)
    reads = sorted(str(slot) for slot in program.inputs() if slot != Kind.weights)
    coefficients = ", ".join(repr(value) for value in subject.theta)
    return module(
        commented(header(subject, "A torch optimiser: learning rule", proof)),
        "import torch\nfrom torch import nn",
        f"TERMS = {names!r}\nTHETA = torch.tensor([{coefficients}], dtype=torch.float64)",
        _change(program, reads),
        _REST.replace("{signal}", FEEDBACKS[feedback])
        .replace("{reads}", repr(tuple(reads)))
        .replace("{heard}", "third=torch.rand(16)" if Kind.third in reads else "")
        .replace("{softmax}", repr(subject.network.output == "softmax")),
    )


ATTACH = "`ruledsl.torch.attach` does, with ruledsl installed"


def layer_program(subject: Subject) -> Program:
    """One layer's update of W, from the cells on its two sides."""
    rule = subject.rule.program
    refuse_other_targets("torch", subject.rule, ATTACH)
    if any(layers is not None for layers in rule.layers):
        raise NotExpressible("torch", "some of its terms act in some layers alone", ATTACH)
    if any(u.target.kind == Kind.trace for u in subject.programs.step.updates):
        raise NotExpressible("torch", "it keeps traces, which this file does not", ATTACH)
    program = rule.update_program
    for slot in program.inputs():
        if slot not in (*CELLS, Kind.third, Kind.age, Kind.weights):
            raise NotExpressible("torch", f"it reads {slot}, which this file has not", ATTACH)
    return program


def _change(program: Program, reads: list[str]) -> str:
    signature = f"change({', '.join(['theta', 'W', 'samples', *reads])})"
    meaning = "The mean over samples of what each alone would do to W (post, pre); cells: (samples, n)."
    total = _summed(program, program.updates[0])
    return function(signature, meaning, targets()["torch"].body(program), f"({total}) / samples")


def _summed(program: Program, update: Update) -> str:
    """Σ over samples of κ W + Σ u vᵀ + dense; no sample's own matrix is written down for the pairs."""
    named = targets()["torch"].named

    def rows(number: int) -> str:
        return f"{named(program, number)}.expand(samples, -1)"

    parts = [f"{rows(u)}.T @ {rows(v)}" for u, v in update.pairs]
    if update.kappa is not None:
        parts.append(f"torch.as_tensor({named(program, update.kappa)}).expand(samples).sum() * W")
    if update.dense is not None:
        parts.append(f"{named(program, update.dense)}.expand(samples, *W.shape).sum(0)")
    return " + ".join(parts) or "torch.zeros_like(W)"


_REST = '''\
class _Carry(torch.autograd.Function):
    """z = W x + b forwards; backwards the error is kept, and x is given what feedback carries."""

    @staticmethod
    def forward(ctx, x, weight, bias, layer):
        ctx.layer = layer
        return nn.functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx, error):
        layer = ctx.layer
        layer.error = error
        layer.signal = {signal}
        return layer.signal, None, error.sum(0) if ctx.needs_input_grad[2] else None, None


class RuleLinear(nn.Linear):
    """A linear layer that remembers what the rule reads. `activation` follows it in the model."""

    def __init__(self, n_pre, n_post, activation=None, bias=True, **factory):
        super().__init__(n_pre, n_post, bias, **factory)
        bound = (6 / (n_pre + n_post)) ** 0.5
        self.register_buffer("B", torch.empty(n_pre, n_post, **factory).uniform_(-bound, bound))
        self.activation = activation

    def forward(self, x):
        z = _Carry.apply(x, self.weight, self.bias, self)
        y = z if self.activation is None else self.activation(z)
        if torch.is_grad_enabled():
            self.x, self.z, self.y = x.detach(), z.detach(), y.detach()
        return y


class RuleOptimizer(torch.optim.Optimizer):
    """Moves the weights of a chain of `RuleLinear` by lr · F(Θ) after loss.backward().

    The loss is a mean over samples of cross-entropy (`softmax`) or of half the squared error; `slope(y)`
    is σ' of the hidden cells from their activity, for the first layer's presynaptic error.
    """

    def __init__(self, model, lr=1.0, theta=THETA, softmax={softmax}, slope=torch.ones_like):
        self.layers = [m for m in model.modules() if isinstance(m, RuleLinear)]
        self.softmax, self.slope = softmax, slope
        groups = [{"params": [m.weight], "theta": theta.clone(), "age": 0} for m in self.layers]
        super().__init__(groups, {"lr": lr})

    @torch.no_grad()
    def step(self, third=None):
        samples, moved = len(self.layers[0].x), []
        for number, (layer, group) in enumerate(zip(self.layers, self.param_groups)):
            group["age"] += 1
            below = self.layers[number - 1] if number else None
            last = layer is self.layers[-1]
            first = None if below else self._carried(layer) * self.slope(layer.x)
            cells = {
                "y_pre": layer.x,
                "z_pre": below.z if below else layer.x,
                "e_pre": samples * (below.error if below else first),
                "y_post": layer.z.softmax(-1) if last and self.softmax else layer.y,
                "z_post": layer.z,
                "e_post": samples * layer.error,
                "third": third,
                "age": layer.weight.new_tensor(float(group["age"])),
            }
            heard = {name: cells[name] for name in {reads}}
            theta = group["theta"].to(layer.weight)
            moved.append((layer, group["lr"] * change(theta, layer.weight, samples, **heard)))
        for layer, step in moved:
            layer.weight += step

    @staticmethod
    def _carried(layer):
        error = layer.error
        return {signal}


def demo(seed=0):
    """A few hundred small batches of noisy prototypes: the loss before and after."""
    torch.manual_seed(seed)
    prototypes = torch.rand(5, 40) * (torch.rand(5, 40) < 0.3)
    hidden = nn.Softplus(10)
    model = nn.Sequential(RuleLinear(40, 30, hidden), RuleLinear(30, 20, hidden), RuleLinear(20, 5))
    optimizer = RuleOptimizer(model, slope=lambda y: 1 - torch.exp(-10 * y))
    losses = []
    for _ in range(300):
        y = torch.randint(5, (16,))
        loss = nn.functional.cross_entropy(model(prototypes[y] + 0.1 * torch.rand(16, 40)), y)
        loss.backward()
        optimizer.step({heard})
        losses.append(float(loss.detach()))
    print(f"loss {losses[0]:.2f} before, {losses[-1]:.2f} after {len(losses)} batches")
    return losses


if __name__ == "__main__":
    demo()
'''
