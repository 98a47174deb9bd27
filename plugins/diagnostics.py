"""Further columns of metrics.csv: `--diagnostic NAME`, one number for each adapted network."""

import torch

from ruledsl.plugin import AdaptedView, diagnostic


@diagnostic("weight_norm")
def weight_norm(view: AdaptedView) -> torch.Tensor:
    """Root mean square of all weights after adaptation."""
    flat = torch.cat([w.flatten(1) for w in view.weights], 1)
    return flat.square().mean(1).sqrt()


@diagnostic("confidence")
def confidence(view: AdaptedView) -> torch.Tensor:
    """Mean probability of the answer given, right or wrong, on the query set."""
    return view.outputs().softmax(-1).max(-1).values.mean(1)


@diagnostic("vector_angle")
def vector_angle(view: AdaptedView) -> torch.Tensor:
    """Mean angle, degrees, between single queries' errors as carried and as Wᵀ would carry them, layers 1 …
    L−1.

    The angles α_ℓ of metrics.csv average errors over the queries first, which hides much of what differs.
    """
    carried, exact = view.errors(), view.errors(exact=True)
    angles = []
    for layer in range(1, len(view.weights)):
        cosine = torch.cosine_similarity(carried[layer].double(), exact[layer].double(), dim=-1).clamp(-1, 1)
        angles.append(torch.rad2deg(torch.arccos(cosine)).mean(1))
    return torch.stack(angles).mean(0).to(view.x.dtype)
