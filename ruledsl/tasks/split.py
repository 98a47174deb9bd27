"""Parts of a data set that share no class, so that nothing is judged on what it was searched on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ruledsl.errors import DataError
from ruledsl.language import closest
from ruledsl.tasks.source import ImageSource, Indices, Pixels

SHARES = {"search": 2, "choice": 1, "test": 1}
"""Of every four classes, in a random order that the seed decides."""


def split_name(spec: str) -> tuple[str, str, int]:
    """`NAME@PART:SEED` as its three parts; without them the whole, and seed 0.

    Raises `DataError` for a part that there is none of.
    """
    name, at, rest = spec.rpartition("@")
    if not at or "/" in rest:  # a path may have one in the name of a folder
        return spec, "", 0
    part, _, seed = rest.partition(":")
    if part not in SHARES:
        near = closest(part, SHARES)
        hint = f"; did you mean `{near}`?" if near else ""
        raise DataError(f"a data set is split into {', '.join(SHARES)}, not `{part}`{hint}")
    if seed and not (seed.isdecimal() and len(seed) < 10):
        raise DataError(f"`{spec}`: the split's seed is a whole number, as in `{name}@{part}:1`")
    return name, part, int(seed or 0)


def split_source(source: ImageSource, part: str, seed: int) -> ImageSource:
    """The classes of one part. Raises `DataError` for a regression, or where a part would be empty."""
    if source.targets is not None:
        raise DataError(f"`{source.name}` holds real numbers as targets; only classes are split")
    order = np.random.default_rng([seed, 0x5917]).permutation(source.classes)
    ends = np.cumsum([0, *SHARES.values()]) * source.classes // sum(SHARES.values())
    place = list(SHARES).index(part)
    classes = np.sort(order[ends[place] : ends[place + 1]])
    if not len(classes):
        raise DataError(f"`{source.name}` has {source.classes} classes, too few to be split")
    kept = np.sort(np.concatenate([source.members[c] for c in classes]))

    def read(places: Indices) -> Pixels:
        return source.read(kept[places])

    name = f"{source.name}@{part}" + (f":{seed}" if seed else "")
    return replace(source, name=name, labels=source.labels[kept], read=read, members=(), classes=0)
