"""A recurrent network that reads an image row by row and answers at the end: errors travel back in time."""

from __future__ import annotations

from learners import WAYS, compare, options
from torch import Tensor, nn


class RowReader(nn.Module):
    """28 moments of 28 pixels, 100 cells, one answer."""

    def __init__(self, classes: int = 47) -> None:
        super().__init__()
        self.core, self.readout = nn.RNN(28, 100, batch_first=True), nn.Linear(100, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.core(x)[0][:, -1])


if __name__ == "__main__":
    args = options(__doc__ or "")
    ways = [name for name in WAYS if name != "direct feedback alignment"]  # what it sends has no moment
    print(compare("RNN of 100 cells, 28 rows", RowReader, args.ways.split(",") if args.ways else ways, args))
