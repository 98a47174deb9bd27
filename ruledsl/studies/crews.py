"""Meta-steps over an executor: portions of streams are handed out, and put together in their order.

A portion decides every bit of what comes back, so that neither how many workers there are nor which of them
dies changes a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ruledsl import __version__
from ruledsl.backend import compile_rule
from ruledsl.errors import RunError, UserError
from ruledsl.meta import Computer, Crew, Lived, Portion, Streams
from ruledsl.rules import rule
from ruledsl.runs import DATA, Crews, Spec, use_threads
from ruledsl.settings import TrainSettings
from ruledsl.storage import in_full
from ruledsl.studies.cells import DEATHS, Place
from ruledsl.studies.places import HERE, joined, named_folders, open_place, told
from ruledsl.tasks import open_dataset, split_name

AT_ONCE = 8
"""Streams that are handed out together where nobody says how many."""
KNOWN = 4
"""Rules and settings that a worker keeps compiled."""


@dataclass(frozen=True)
class Blueprint:
    """What a worker makes its `Streams` from; a few kilobytes."""

    rule: str
    settings: TrainSettings
    dataset: str
    data_root: str


@contextmanager
def crews(executor: str) -> Iterator[Crews | None]:
    """Who computes the portions of trainings; None for this process.

    Raises:
        PluginError: there is no such executor.
        RunError: it can have no workers.
    """
    if executor == HERE:
        yield None
        return
    with open_place(executor) as place:
        yield partial(_crew, place)


def portioned(executor: str, at_once: int) -> int:
    """`at_once` as it must be where portions are to be handed out."""
    return at_once or (0 if executor == HERE else AT_ONCE)


def _crew(place: Place, folder: Path, spec: Spec) -> Crew:
    """The workers of a place, for one training. Raises `RunError` for one that is not made of portions."""
    config = spec.config
    if not config.settings.at_once:
        raise RunError(
            f"{folder} computes its streams all at once, so that nothing can be handed to an executor; "
            f"only a training that began with one, or with `--at-once {AT_ONCE}`, can"
        )
    own = folder / DATA
    file = split_name(config.dataset)[0]
    part = config.dataset.removeprefix(file)
    dataset = str(own.absolute()) if config.dataset == DATA else f"{in_full(file)}{part}"
    settings = config.settings.put(episodes=TrainSettings.episodes)  # stages that differ in it are alike
    return _Handed(place, Blueprint(spec.rule.source, settings, dataset, in_full(config.data_root)))


@dataclass(frozen=True)
class _Handed:
    """Computes portions by the workers of a place."""

    place: Place
    blueprint: Blueprint

    def __call__(self, portions: Sequence[Portion]) -> list[Lived]:
        """Raises `RunError` when a worker cannot, or too many die."""
        found: dict[int, Lived] = {}
        for _ in range(DEATHS + 1):
            try:
                futures = {n: self._submit(p) for n, p in enumerate(portions) if n not in found}
                for n, future in futures.items():
                    found[n] = _received(future.result())
                return [found[n] for n in range(len(portions))]
            except BrokenExecutor:  # a worker died, and its pool: what is missing is asked for again
                self.place.renew()
            except CancelledError:
                break
            except UserError:
                raise
            except Exception as error:  # of an executor's own, such as dask's of a worker that died too often
                raise RunError(f"the workers failed: {type(error).__name__}: {error}") from None
        raise RunError("workers die, or nobody answers for them any more; `resume` goes on where it was")

    def _submit(self, portion: Portion) -> Future[str | Message]:
        asked = (__version__, named_folders(), self.blueprint, _sent(portion))
        return self.place.executor.submit(_lived, *asked)


Message = tuple[Any, ...]
"""Numbers as NumPy arrays: tensors would travel as open files."""


def _sent(portion: Portion) -> Message:
    theta, present = portion.theta.numpy(), portion.present.numpy()
    return portion.keys, theta, present, portion.engine, portion.computed_by


def _received(message: str | Message) -> Lived:
    """What a worker found. Raises `RunError` for what went wrong there."""
    if isinstance(message, str):
        raise RunError(message)
    *found, measured, engine = message
    loss, accuracy, grad = map(torch.from_numpy, found)
    return Lived(loss, accuracy, grad, [torch.from_numpy(m) for m in measured], engine)


@lru_cache(maxsize=KNOWN)
def _streams(blueprint: Blueprint, computed_by: Computer) -> Streams:
    """Raises `SettingsError` where it cannot be computed as it is by whoever asks."""
    source = open_dataset(blueprint.dataset, Path(blueprint.data_root))
    settings = blueprint.settings.put(backend=computed_by)
    made = Streams(compile_rule(rule(blueprint.rule)), settings, source, computed_by)
    _ = made.computed_by
    return made


def _lived(version: str, plugins: tuple[Path, ...], blueprint: Blueprint, message: Message) -> str | Message:
    """Compute a portion wherever this is: what it says, or what went wrong, in words."""
    if fault := joined(version, plugins):
        return fault
    keys, theta, present, engine, computed_by = message
    try:
        use_threads(blueprint.settings.threads_used)
        lived = _streams(blueprint, computed_by).live(
            Portion(keys, torch.from_numpy(theta), torch.from_numpy(present), engine, computed_by)
        )
    except Exception as error:  # whatever it is, it must be told where somebody reads it
        return told(error)
    return (
        *map(_array, (lived.loss, lived.accuracy, lived.grad)),
        [_array(m) for m in lived.measured],
        lived.engine,
    )


def _array(value: Tensor) -> Any:
    return value.contiguous().numpy()
