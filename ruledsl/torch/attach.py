"""A rule, or what a run found, on a user's own torch model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from ruledsl.errors import ModelError
from ruledsl.language import closest
from ruledsl.rules import Rule
from ruledsl.runs import Run
from ruledsl.studies import rule_of, run_of
from ruledsl.torch.optimizer import Reading, RuleOptimizer, attach_to
from ruledsl.torch.tape import Activation

Theta = Sequence[float] | Tensor | Mapping[str, float]
_OUTPUTS: dict[str, Activation | None] = {"softmax": Activation(torch.softmax, (-1,)), "linear": None}


def attach(
    model: nn.Module,
    rule: str | Path | Rule | Run,
    *,
    theta: Theta | None = None,
    feedback: str | None = None,
    layers: Sequence[str] | None = None,
    theta_of: Mapping[str, Theta] | None = None,
    lr: float = 1.0,
    output: Literal["softmax", "linear"] = "softmax",
    activation: Callable[[Tensor], Tensor] | None = None,
    reduction: Literal["mean", "sum"] = "mean",
    batch_axis: int = 0,
    seed: int = 0,
) -> RuleOptimizer:
    """Let a model learn by a rule: its backward pass carries errors by feedback, `step()` applies F(Θ).

    The usual loop stays as it is: `loss = cross_entropy(model(x), y); loss.backward(); opt.step()`. Every
    Linear, Conv1d, Conv2d, RNNCell and RNN is wired. A batch does what the mean of its samples would, each
    alone with the same weights; positions of a convolution and moments of a sequence are added up.

    Args:
        model: its weights are moved in place. Layers of other kinds keep their exact gradients, for an
            optimiser of their own (`RuleOptimizer.unattached`).
        rule: a rule, its name, file or text's path, or a run folder, whose Θ is then the default.
        theta: (R,) coefficients, or by term's name; by default those of the run, or what the rule starts
            from.
        feedback: a feedback plugin without coefficients of its own: `fixed` (layer by layer through random
            B), `direct`, `symmetric` (backprop), …; by default the run's or the rule's own, or `fixed`.
        layers: names of the layers to wire; all by default.
        theta_of: Θ of single weight matrices, by the names that `param_groups` give.
        lr: a factor on every update, for schedulers.
        output: what the last layer's activity y is: softmax of z for cross-entropy, z itself for a squared
            error. Its error is the loss's gradient at z.
        activation: σ of hidden layers, in place of the function of torch that the model is seen to call: for
            models whose own code makes y of z.
        reduction: how the loss joins the batch: errors are of single samples, so a mean is undone.
        batch_axis: which axis of the model's first tensor counts samples.
        seed: of random feedback.

    Raises:
        ModelError: the model, or a layer of it, is not one that the rule can be attached to.
        RuleError, RunError, PluginError: the rule, run or pathway cannot be used.

    >>> import ruledsl, torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Softplus(10), torch.nn.Linear(8, 3))
    >>> opt = attach(model, "bio", theta={"pseudo_gradient": 0.01})
    >>> loss = torch.nn.functional.cross_entropy(model(torch.rand(5, 4)), torch.tensor([0, 1, 2, 0, 1]))
    >>> loss.backward(); opt.step()
    >>> [group["name"] for group in opt.param_groups]
    ['0', '2']
    """
    for name, value, known in (("output", output, _OUTPUTS), ("reduction", reduction, ("mean", "sum"))):
        if value not in known:
            raise ModelError(f"{name} is {' or '.join(known)}, not {value!r}")
    found, learned, pathway = _read(rule)
    own = learned if theta is None else _vector(found, theta, learned)
    single = {name: _vector(found, t, own) for name, t in (theta_of or {}).items()}
    reading = Reading(
        feedback or pathway or "fixed",
        _OUTPUTS[output],
        None if activation is None else Activation(activation),
        reduction == "mean",
        batch_axis,
        seed,
    )
    opt = attach_to(model, found, lambda name: single.get(name, own).clone(), layers, lr, reading)
    names = [group["name"] for group in opt.param_groups]
    for name in single:
        if name not in names:
            opt.detach()
            raise ModelError(
                f"theta_of names `{name}`; the weights are called {', '.join(f'`{n}`' for n in names)}"
            )
    return opt


def _read(rule: str | Path | Rule | Run) -> tuple[Rule, Tensor, str | None]:
    """The rule, its Θ, and the feedback it is meant for."""
    found = rule_of(rule)
    if (run := run_of(rule)) is not None:
        learned = run.theta
        means = torch.tensor([learned[name].mean for name in found.names], dtype=torch.float64)
        return found, means, run.config.settings.network.feedback
    return found, torch.tensor(found.program.initial, dtype=torch.float64), found.definition.feedback


def _vector(rule: Rule, theta: Theta, otherwise: Tensor) -> Tensor:
    """(R,) what a user gave. Raises `ModelError` for terms that are not the rule's."""
    if isinstance(theta, Mapping):
        for name in theta:
            if name not in rule.names:
                close = closest(name, rule.names)
                hint = f"did you mean `{close}`?" if close else f"its terms are {', '.join(rule.names)}"
                raise ModelError(f"theta names `{name}`, which is no term of `{rule.name}`; {hint}")
        rest = dict(zip(rule.names, otherwise.tolist(), strict=True))
        theta = [theta.get(n, rest[n]) for n in rule.names]
    try:
        found = torch.as_tensor(theta, dtype=torch.float64).detach().clone()
    except (TypeError, ValueError):
        raise ModelError(f"theta holds what is no number: {theta!r}") from None
    if not bool(found.isfinite().all()):
        raise ModelError(f"theta holds what is no finite number: {found.tolist()}")
    if found.shape != (len(rule.names),):
        raise ModelError(
            f"theta must hold {len(rule.names)} numbers, one for each of {', '.join(rule.names)}"
        )
    return found
