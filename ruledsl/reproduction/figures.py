"""A file's figure, drawn like the paper's, with the printed numbers marked in it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ruledsl.figures import NOTE, SMOOTHED, Colour, Curve, Guide, Mark, Panel, clear_of_zero, draw_panels
from ruledsl.reproduction.claims import ClaimFile, PanelSpec
from ruledsl.reproduction.results import StreamResult, TrainingResult
from ruledsl.reproduction.verdicts import Judged, Results
from ruledsl.settings import ALPHA, ORTHO, THETA

SHARED = {"FA": 0, "backprop": 1, "eHebb": 2, "bio": 3, "Oja": 4, "DFA": 5}
"""Rules keep their colour from figure to figure."""
SUPERSCRIPT_LOG = "log₁₀ E_W (squared units)"


def draw_figure(
    results: Results, file: ClaimFile, judged: Sequence[Judged], share: float, path: Path
) -> list[Path]:
    """Draw a file's panels, PNG and PDF; none for a file without panels."""
    if not file.panels:
        return []
    drawn = _Drawn(results, file, judged, share)
    panels = [panel for spec in file.panels for panel in drawn.panels(spec)]
    return draw_panels(
        path, file.title, panels, f"{NOTE} Dashed lines and crosses: numbers that the paper prints."
    )


@dataclass(frozen=True)
class _Drawn:
    """What a file's figure is drawn from."""

    results: Results
    file: ClaimFile
    judged: Sequence[Judged]
    share: float

    def panels(self, spec: PanelSpec) -> list[Panel]:
        if spec.show == "claims":
            return [self._claims(spec)]
        if all(isinstance(self.results[name], StreamResult) for name in spec.of):
            return [self._streams(spec)]
        if spec.show == "ortho":
            return self._ortho(spec)
        return [self._trainings(spec)]

    def colour(self, name: str, place: int) -> Colour:
        """A rule's own, or the next that no rule has."""
        return Colour("rule", SHARED.get(self.file.label(name), 6 + place))

    def _trained(self, spec: PanelSpec) -> dict[str, TrainingResult]:
        found = {name: self.results[name] for name in spec.of}
        return {name: result for name, result in found.items() if isinstance(result, TrainingResult)}

    def _trainings(self, spec: PanelSpec) -> Panel:
        results = self._trained(spec)
        curves = [
            c for place, name in enumerate(results) for c in self._of_training(spec, name, results, place)
        ]
        chance = 1.0 / next(iter(results.values())).config.settings.task.labels
        label, limits, guide = {
            "accuracy": (
                f"query accuracy (fraction), {SMOOTHED}",
                (0.0, 1.0),
                Guide(chance, "chance in the task"),
            ),
            "loss": (f"meta-loss (nats), {SMOOTHED}", None, None),
            "angle": (
                f"angle to backprop (degrees), {SMOOTHED}",
                (0.0, 100.0),
                Guide(90.0, "90°: unrelated"),
            ),
            "theta": ("coefficient θ (per sample)", None, Guide(0.0)),
        }[spec.show]
        alone = "" if len(results) > 1 or spec.show == "accuracy" else self.file.label(spec.of[0])
        return Panel(
            spec.title or alone, "meta-training episode", label, tuple(curves), self._marks(spec, results),
            limits,
            guides=(guide,) if guide else (),
        )  # fmt: skip

    def _of_training(
        self, spec: PanelSpec, name: str, results: Mapping[str, TrainingResult], place: int
    ) -> list[Curve]:
        result, label, several = results[name], self.file.label(name), len(results) > 1
        depth, lead = result.config.settings.depth, f"{self.file.label(name)} " if several else ""
        if spec.show in ("accuracy", "loss"):
            return [_over_episodes(result, f"meta_{spec.show}", label, self.colour(name, place))]
        if spec.show == "angle":
            return [
                _over_episodes(result, ALPHA.named(n), f"{lead}α{n}", Colour("layer", n, depth))
                for n in range(depth)
            ]
        metrics = result.metrics
        # A term keeps its colour, whatever else is left beside it.
        alive = {
            t: n for n, t in enumerate(metrics.terms) if any(metrics.theta(r, t)[-1] for r in metrics.runs)
        }
        curves = [
            _over_episodes(
                result, THETA.named(term), f"{label}: {term}" if several else term,
                self.colour(name, place) if several else Colour("term", n), smooth=False,
            )
            for term, n in alive.items()
        ]  # fmt: skip
        return list(clear_of_zero(curves))

    def _marks(self, spec: PanelSpec, results: Mapping[str, TrainingResult]) -> tuple[Mark, ...]:
        """Printed numbers of what a panel shows, over the episodes that they are means of."""
        found = self._moments("settles", spec.of, self.share) if spec.show == "theta" else []
        for j in self.judged:
            claim = j.claim
            if (
                claim.mark is None
                or claim.against
                or claim.of not in results
                or claim.measure.what != spec.show
            ):
                continue
            count = results[claim.of].config.settings.episodes
            first, last = claim.episodes or (0, count)
            x = (first * self.share, min(count, last * self.share))
            place = list(results).index(claim.of)
            found.append(Mark(claim.mark, f"printed: {claim.printed}", x, self.colour(claim.of, place)))
        return tuple(found)

    def _moments(self, measure: str, of: Sequence[str], share: float = 1.0) -> list[Mark]:
        """Printed numbers of episodes or samples, as upright lines; each once."""
        claims = [j.claim for j in self.judged if j.claim.measure.what == measure and j.claim.of in of]
        printed = {c.mark * share: c.printed for c in claims if c.mark is not None and not c.against}
        return [Mark(0.0, f"printed: {text}", (x, x), upright=True) for x, text in printed.items()]

    def _ortho(self, spec: PanelSpec) -> list[Panel]:
        results = self._trained(spec)
        panels = []
        for layer in range(1, next(iter(results.values())).config.settings.depth):
            curves = tuple(
                _over_episodes(r, ORTHO.named(layer), self.file.label(n), self.colour(n, p), logarithm=True)
                for p, (n, r) in enumerate(results.items())
            )
            panels.append(
                Panel(f"layer {layer}", "meta-training episode", f"{SUPERSCRIPT_LOG}, {SMOOTHED}", curves)
            )
        return panels

    def _streams(self, spec: PanelSpec) -> Panel:
        curves: list[Curve] = []
        for place, name in enumerate(spec.of):
            result, label = self.results[name], self.file.label(name)
            assert isinstance(result, StreamResult)
            lead = f"{label} " if len(spec.of) > 1 else ""
            if spec.show == "accuracy":
                curves.append(
                    _over_samples(result, label, self.colour(name, place), lambda r, s: r.accuracy[s])
                )
                continue
            depth = len(next(iter(result.alpha[0]))) - 1
            curves += [
                _over_samples(
                    result,
                    f"{lead}α{n}",
                    Colour("layer", n, depth),
                    lambda r, s, n=n: [a[n] for a in r.alpha[s]],
                )
                for n in range(depth)
            ]
        if spec.show == "accuracy":
            first = self.results[next(iter(spec.of))]
            assert isinstance(first, StreamResult)
            guide = Guide(1.0 / first.classes, "chance")
            marks = tuple(self._moments("reaches", spec.of))
            label = "accuracy on held-out images (fraction)"
            return Panel(spec.title, "samples seen", label, tuple(curves), marks, (0, 1), True, (guide,))
        guide = Guide(90.0, "90°: unrelated")
        return Panel(
            spec.title,
            "samples seen",
            "angle to backprop (degrees)",
            tuple(curves),
            (),
            (0, 110),
            True,
            (guide,),
        )

    def _claims(self, spec: PanelSpec) -> Panel:
        """Every claim with a printed number: ours with its interval, and a cross where the paper's is."""
        shown = [j for j in self.judged if j.claim.mark is not None]
        curves, marks, place = [], [], 0
        for number, (_, group) in enumerate(itertools.groupby(shown, key=lambda j: j.claim.of)):
            members = list(group)
            x = range(place, place + len(members))
            place += len(members)
            ours = [j.ours for j in members]
            label, colour = self.file.label(members[0].claim.of), self.colour(members[0].claim.of, number)
            curves.append(Curve(label, x, [i.mean for i in ours], [i.width for i in ours], colour))
            marks += [
                Mark(j.claim.mark or 0.0, j.claim.printed, (n, n)) for n, j in zip(x, members, strict=True)
            ]
        names = tuple(_measure_label(str(j.claim.measure)) for j in shown)
        label = ", ".join(dict.fromkeys(_unit(j.claim.measure.what) for j in shown))
        return Panel(spec.title, "", label, tuple(curves), tuple(marks), kind="points", names=names)


def _measure_label(measure: str) -> str:
    """`α₁` for `angle[1]`; other measures as they are written."""
    what, _, argument = measure.rstrip("]").partition("[")
    return f"α{argument}" if what == "angle" and argument else measure


def _unit(what: str) -> str:
    return {"angle": "angle to backprop (degrees)", "accuracy": "query accuracy (fraction)"}.get(what, what)


def _over_episodes(
    result: TrainingResult,
    column: str,
    label: str,
    colour: Colour,
    smooth: bool = True,
    logarithm: bool = False,
) -> Curve:
    """A column's mean over seeds, of the moving average where it is noisy."""
    rows: list[list[float]] = [result.metrics.column(run, column) for run in result.metrics.runs]
    if logarithm:  # a single stream that blew up would hide all others
        rows = [[math.log10(v) if v > 0 else math.nan for v in row] for row in rows]
    return Curve.of(label, rows, colour, smooth=smooth)


def _over_samples(
    result: StreamResult, label: str, colour: Colour, of: Callable[[StreamResult, int], Sequence[float]]
) -> Curve:
    rows = [of(result, seed) for seed in range(len(result.accuracy))]
    return Curve.of(label, rows, colour, result.samples)
