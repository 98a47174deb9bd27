"""What a training is asked for besides the settings that its runs share:
which rules, which data, which runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ruledsl.ir import LOCALITY_NAMES
from ruledsl.settings import checks
from ruledsl.settings.table import Setting, field, rows_of
from ruledsl.settings.training import META, NETWORK, RULE, RUN, TABLE, TASK

MOST_SEEDS = 100_000


@dataclass(frozen=True)
class Choices:
    """Keywords of `ruledsl.train`, and options of `train`, that become the runs of a batch and their data."""

    theta_per: str = field(
        "network", checks.choice("network", "layer", "population"),
        "One Θ for all, one for each layer, or one for each pair of excitatory and inhibitory populations.",
        group=RULE,
    )  # fmt: skip
    allow: str = field(
        "layer", checks.choice(*LOCALITY_NAMES), "Least strict locality class that is accepted.", group=RULE
    )
    separately: bool = field(
        False, checks.flag, "Train each rule as runs of its own, in one batch.", group=RULE
    )
    dataset: Any = field(
        "glyphs", checks.Check("a name, a file, or a pair (x, y)", lambda v: v, str, "NAME[/PART]|FILE"),
        "Images or samples to use; from Python also a pair of arrays (x, y) or a torch Dataset.", group=TASK,
    )  # fmt: skip
    data_root: str = field(
        "data", checks.Check("a folder", str, str, "DIR"), "Folder of data sets.", group=TASK
    )
    download: bool = field(
        False, checks.flag, "Fetch the data set through torchvision if it is missing.", group=TASK
    )
    l1: tuple[float, ...] = field(
        (0.0,), checks.numbers, "λ of λ‖Θ‖₁; several, as in 0,0.1,1, train one run each per seed.",
        group=META,
        shown_default="0",
    )  # fmt: skip
    plant: Mapping[str, float] | None = field(
        None, checks.coefficients, "Plant a rule: query labels come from networks that learned by this Θ*.",
        group=META, option="--teacher", shown_default="nothing",
    )  # fmt: skip
    seed: int = field(0, checks.whole, "First seed.", group=RUN)
    seeds: int = field(1, checks.whole_up_to(1, MOST_SEEDS), "How many, counting up.", group=RUN)


CHOICES: Mapping[str, Setting] = {s.name: s for s in rows_of(Choices)}
"""What can be chosen besides settings, by name."""
OPTIONS: Mapping[str, Setting] = {**CHOICES, **{name: s for name, s in TABLE.items() if s.option}}
"""Every keyword of `ruledsl.train`, by name."""
EVALUATED: Mapping[str, Setting] = {
    name: s
    for name, s in OPTIONS.items()
    if s.group == NETWORK
    or name in ("allow", "dataset", "data_root", "download", "seed", "device", "threads", "backend")
}
"""Keywords of `ruledsl.evaluate`: what concerns networks, data and the machine."""
EXPORTED: Mapping[str, Setting] = {n: s for n, s in OPTIONS.items() if s.group == NETWORK and n != "init"}
"""Keywords of `ruledsl.export`: what concerns networks, but for their initial weights."""
MEASURED: Mapping[str, Setting] = {n: OPTIONS[n] for n in ("dataset", "data_root", "download")}
"""Keywords of `ruledsl.export` for what it measures: on which data."""
