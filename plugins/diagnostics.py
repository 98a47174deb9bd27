"""Further columns of metrics.csv: `--diagnostic NAME`, one number for each adapted network."""

import torch

from ruledsl.plugin import EndView, diagnostic


@diagnostic("weight_norm")
def weight_norm(view: EndView) -> torch.Tensor:
    """Root mean square of all weights after adaptation."""
    flat = torch.cat([w.flatten(1) for w in view.weights], 1)
    return flat.square().mean(1).sqrt()


@diagnostic("confidence")
def confidence(view: EndView) -> torch.Tensor:
    """Mean probability of the answer given, right or wrong, on the query set."""
    return view.outputs().softmax(-1).max(-1).values.mean(1)
