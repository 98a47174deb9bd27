"""A file's figure, drawn like the paper's, with the printed numbers marked in it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ruledsl.report import AVERAGE, Curve, Mark, Panel, draw_panels
from ruledsl.reproduction.claims import ClaimFile, PanelSpec
from ruledsl.reproduction.experiments import Workshop
from ruledsl.reproduction.results import StreamResult, TrainingResult
from ruledsl.reproduction.verdicts import Judged
from ruledsl.runs import mean_and_interval, moving_average

SHARED = {"FA": 0, "backprop": 1, "eHebb": 2, "bio": 3, "Oja": 4, "DFA": 5}
"""Rules keep their colour from figure to figure."""


def draw_figure(workshop: Workshop, file: ClaimFile, judged: Sequence[Judged], path: Path) -> list[Path]:
    """Draw a file's panels, PNG and PDF; none for a file without panels."""
    if not file.panels:
        return []
    panels = [p for spec in file.panels for p in _panels(workshop, file, spec, judged)]
    return draw_panels(path, _plain(file.title), panels)


def _panels(workshop: Workshop, file: ClaimFile, spec: PanelSpec, judged: Sequence[Judged]) -> list[Panel]:
    if spec.show == "claims":
        return [_claims_panel(file, spec, judged)]
    streams = [isinstance(workshop.result(file, name), StreamResult) for name in spec.of]
    if all(streams):
        return [_stream_panel(workshop, file, spec, judged)]
    if spec.show == "ortho":
        return _ortho_panels(workshop, file, spec)
    return [_training_panel(workshop, file, spec, judged)]


def _label(file: ClaimFile, name: str) -> str:
    return _plain(file.label(name))


def _plain(text: str) -> str:
    """A text of the file's as it is: matplotlib would read mathematics between dollars."""
    return text.replace("$", r"\$")


def _colour(label: str, place: int) -> int:
    return SHARED.get(label, 6 + place)


def _over_episodes(
    result: TrainingResult, column: str, label: str, colour: int, smooth: bool = True, logarithm: bool = False
) -> Curve:
    """A column's mean over seeds, of the moving average over 11 episodes where it is noisy."""
    rows: list[list[float]] = [result.metrics.column(run, column) for run in result.metrics.runs]
    if logarithm:  # a single stream that blew up would hide all others
        rows = [[math.log10(v) if v > 0 else math.nan for v in row] for row in rows]
    rows = [moving_average(row, AVERAGE) for row in rows] if smooth else rows
    points = [mean_and_interval(values) for values in zip(*rows, strict=False)]
    return Curve(label, range(len(points)), [m for m, _ in points], [h for _, h in points], colour)


def _training_panel(workshop: Workshop, file: ClaimFile, spec: PanelSpec, judged: Sequence[Judged]) -> Panel:
    results = {name: _training(workshop, file, name) for name in spec.of}
    several = len(results) > 1
    curves: list[Curve] = []
    for place, (name, result) in enumerate(results.items()):
        label = _label(file, name)
        depth = len(result.config.settings.sizes) - 1
        if spec.show in ("accuracy", "loss"):
            curves.append(_over_episodes(result, f"meta_{spec.show}", label, _colour(label, place)))
        elif spec.show == "angle":
            lead = f"{label} " if several else ""
            curves += [_over_episodes(result, f"alpha_{n}", rf"{lead}$\alpha_{{{n}}}$", n) for n in range(depth)]
        else:
            alive = [
                t
                for t in result.metrics.terms
                if any(result.metrics.column(r, f"theta[{t}]")[-1] for r in result.metrics.runs)
            ]
            for n, term in enumerate(alive):
                curves.append(
                    _over_episodes(
                        result, f"theta[{term}]", f"{label}: {term}" if several else term,
                        _colour(label, place) if several else n, smooth=False,
                    )
                )  # fmt: skip
    marks = _marks(workshop, file, spec, judged, results)
    chance = 1.0 / next(iter(results.values())).config.settings.labels
    label, limits, guide = {
        "accuracy": ("query accuracy", (0.0, 1.0), chance),
        "loss": ("meta-loss", None, None),
        "angle": ("angle to backprop, degrees", (0.0, 100.0), 90.0),
        "theta": ("coefficient θ", None, 0.0),
    }[spec.show]
    title = spec.title or ("" if several or spec.show == "accuracy" else _label(file, spec.of[0]))
    return Panel(title, "meta-training episode", label, tuple(curves), marks, limits, guide=guide)


def _marks(
    workshop: Workshop,
    file: ClaimFile,
    spec: PanelSpec,
    judged: Sequence[Judged],
    results: Mapping[str, TrainingResult],
) -> tuple[Mark, ...]:
    """Printed numbers of what a panel shows, over the episodes that they are means of."""
    found = _moments(judged, "settles", spec.of, workshop.budget.share) if spec.show == "theta" else []
    for j in judged:
        claim = j.claim
        if claim.mark is None or claim.against or claim.of not in results or claim.measure.what != spec.show:
            continue
        share, count = workshop.budget.share, results[claim.of].config.settings.episodes
        first, last = claim.episodes or (0, count)
        x = (first * share, min(count, last * share))
        place = list(results).index(claim.of)
        colour = _colour(_label(file, claim.of), place)
        found.append(Mark(claim.mark, f"printed: {_plain(claim.printed)}", x, colour))
    return tuple(found)


def _moments(judged: Sequence[Judged], measure: str, of: Sequence[str], share: float = 1.0) -> list[Mark]:
    """Printed numbers of episodes or samples, as upright lines; each once."""
    claims = [j.claim for j in judged if j.claim.measure.what == measure and j.claim.of in of and not j.claim.against]
    printed = {c.mark * share: _plain(c.printed) for c in claims if c.mark is not None}
    return [Mark(0.0, f"printed: {text}", (x, x), upright=True) for x, text in printed.items()]


def _training(workshop: Workshop, file: ClaimFile, name: str) -> TrainingResult:
    result = workshop.result(file, name)
    assert isinstance(result, TrainingResult)
    return result


def _ortho_panels(workshop: Workshop, file: ClaimFile, spec: PanelSpec) -> list[Panel]:
    results = {name: _training(workshop, file, name) for name in spec.of}
    layers = range(1, len(next(iter(results.values())).config.settings.sizes) - 1)
    panels = []
    for layer in layers:
        curves = tuple(
            _over_episodes(r, f"ortho_{layer}", _label(file, n), _colour(_label(file, n), p), logarithm=True)
            for p, (n, r) in enumerate(results.items())
        )
        panels.append(Panel(f"layer {layer}", "meta-training episode", r"$\log_{10} E_W$", curves))
    return panels


def _stream_panel(workshop: Workshop, file: ClaimFile, spec: PanelSpec, judged: Sequence[Judged]) -> Panel:
    curves = []
    several = len(spec.of) > 1
    for place, name in enumerate(spec.of):
        result = workshop.result(file, name)
        assert isinstance(result, StreamResult)
        label = _label(file, name)
        lead = f"{label} " if several else ""
        if spec.show == "accuracy":
            curves.append(_over_samples(result, label, _colour(label, place), lambda r, s: r.accuracy[s]))
            continue
        for layer in range(len(result.alpha[0][0]) - 1):
            curves.append(
                _over_samples(
                    result, rf"{lead}$\alpha_{{{layer}}}$", layer, lambda r, s, n=layer: [a[n] for a in r.alpha[s]]
                )
            )
    if spec.show == "accuracy":
        label, guide = "accuracy on held-out images", workshop.chance(file, spec.of[0])
        marks = tuple(_moments(judged, "reaches", spec.of))
        return Panel(spec.title, "samples seen", label, tuple(curves), marks, (0, 1), True, guide)
    return Panel(
        spec.title, "samples seen", "angle to backprop, degrees", tuple(curves), (), (0, 110), True, guide=90.0
    )


def _over_samples(
    result: StreamResult, label: str, colour: int, of: Callable[[StreamResult, int], Sequence[float]]
) -> Curve:
    rows = [of(result, seed) for seed in range(len(result.accuracy))]
    points = [mean_and_interval(values) for values in zip(*rows, strict=True)]
    return Curve(label, result.samples, [m for m, _ in points], [h for _, h in points], colour)


def _claims_panel(file: ClaimFile, spec: PanelSpec, judged: Sequence[Judged]) -> Panel:
    """Every claim with a printed number: ours with its interval, and a cross where the paper's is."""
    shown = [j for j in judged if j.claim.mark is not None]
    curves, marks, place = [], [], 0
    for colour, (_, group) in enumerate(itertools.groupby(shown, key=lambda j: j.claim.of)):
        members = list(group)
        x = range(place, place + len(members))
        place += len(members)
        halves = [0.0 if math.isnan(j.ours.half) else j.ours.half for j in members]
        curves.append(Curve(_label(file, members[0].claim.of), x, [j.ours.mean for j in members], halves, colour))
        marks += [Mark(j.claim.mark or 0.0, j.claim.printed, (n, n)) for n, j in zip(x, members, strict=True)]
    names = tuple(str(j.claim.measure) for j in shown)
    label = ", ".join(dict.fromkeys(j.claim.measure.what for j in shown))
    return Panel(spec.title, "", label, tuple(curves), tuple(marks), names=names)
