"""What an episode is judged by; `--objective "query + 0.1*activity"` adds them up."""

import torch

from ruledsl.plugin import EndView, SampleView, Value, absolute, objective


@objective("query")
def query(view: EndView) -> torch.Tensor:
    """Loss on the query set after the last sample (Algorithm 1)."""
    return view.query_loss()


@objective("area", points=8)
def area_under_the_learning_curve(view: EndView) -> torch.Tensor:
    """Query loss averaged over eight equally spaced points of the stream: learn soon, not only in the end."""
    return view.query_loss()


@objective("weight_noise", when="end")
def loss_under_weight_noise(view: EndView) -> torch.Tensor:
    """Query loss of the adapted network with 10 % noise on every weight, over four draws."""
    losses = []
    for draw in range(4):
        noisy = {
            name: value * (1.0 + 0.1 * view.normal(value, 16 * draw + number))
            for number, (name, value) in enumerate(view.state.items())
        }
        losses.append(view.query_loss(noisy))
    return torch.stack(losses).mean(0)


@objective("feedback_noise", network={"feedback_noise": 0.2})
def loss_under_feedback_noise(view: EndView) -> torch.Tensor:
    """Query loss of networks that learned with noise on every carried error,
    a fifth of its root mean square."""
    return view.query_loss()


@objective("activity", when="sample")
def mean_squared_activity(view: SampleView) -> Value | float:
    """Energy of firing: the mean squared activity of hidden cells, averaged over layers and samples."""
    total = view.y[1] * 0.0
    hidden = view.y[1:-1]
    total = sum((y.dot(y) / y.size() for y in hidden), start=total.sum())
    return total / max(1, len(hidden))


@objective("change", when="sample")
def total_weight_change(view: SampleView) -> Value:
    """Energy of plasticity: Σ |ΔW| over all synapses and samples, without passive decay κW."""
    costs = []
    for pairs, rest in zip(view.changes, view.rests, strict=True):
        if rest is None and len(pairs) == 1 and not pairs[0][0].is_grid:  # Σ |u_j v_i| needs no matrix
            costs.append(absolute(pairs[0][0]).sum() * absolute(pairs[0][1]).sum())
        elif pairs or rest is not None:
            parts = [u.outer(v) for u, v in pairs] + ([] if rest is None else [rest])
            costs.append(absolute(sum(parts[1:], start=parts[0])).sum())
    return sum(costs[1:], start=costs[0]) if costs else 0.0 * view.loss


@objective("online", when="sample")
def loss_while_learning(view: SampleView) -> Value:
    """Loss of each sample before it is learned from: what an animal pays while it learns."""
    return view.loss
