"""What a search leaves behind: the front as a table and a figure, its rules as files, the evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ruledsl.discovery.archive import write_archive
from ruledsl.discovery.described import ways_text
from ruledsl.discovery.factoring import factored_terms
from ruledsl.discovery.judging import ACCURACY, Judged, preferred
from ruledsl.discovery.search import Candidate
from ruledsl.evidence import write_sealed
from ruledsl.figures import Colour, Curve, Guide, Panel, draw_panels
from ruledsl.ir import Locality
from ruledsl.language import RuleDefinition
from ruledsl.rules import rule_source
from ruledsl.statistics import Interval
from ruledsl.storage import make_folder, write_rows, write_text
from ruledsl.wording import counted

DISCOVERY, FRONT, FOUND = "discovery.json", "front.csv", "found"


@dataclass(frozen=True)
class Front:
    """Rules of a search beside those that people wrote, judged on classes it never saw.

    >>> Front(Path("runs/found"), "glyphs", (), (), 0.2).dataset
    'glyphs'
    """

    out: Path
    dataset: str
    rules: tuple[Judged, ...]
    baselines: tuple[Judged, ...]
    chance: float
    """Accuracy of guessing among a task's labels."""
    archive: tuple[Candidate, ...] = ()
    """Every rule that reached a second heat, or was made of a finalist and raced."""
    measure: str = ACCURACY
    """What rules were raced and are chosen by."""
    knock_outs: Mapping[str, Interval] = field(default_factory=dict)
    """By term of the preferred rule: the accuracy without it, less that with it."""
    chosen: str = ""
    """The name of the rule that was preferred when it was judged, of a front that was read."""

    @cached_property
    def best(self) -> Judged:
        """Chosen by the classes that are there to choose; those of the test had no say in it: see
        `preferred`."""
        named = [rule for rule in self.rules if rule.name == self.chosen]
        return named[0] if named else preferred(self.rules, self.measure)

    def source(self, rule: Judged) -> str:
        """A `.rule` file with Θ, and where it comes from above it."""
        kept = tuple(
            replace(t, options=replace(t.options, init=float(f"{rule.theta[t.name].mean:.6g}")))
            for t in rule.rule.definition.terms
        )
        return self._commented(rule, replace(rule.rule.definition, name=_name(rule), note=None, terms=kept))

    def factored_source(self, rule: Judged) -> str:
        """The same rule with shared factors taken out, inner numbers held: what a person would write."""
        terms = tuple(factored_terms(rule.means, rule.rule))
        name = f"{_name(rule)}_factored"
        return self._commented(rule, replace(rule.rule.definition, name=name, note=None, terms=terms))

    def _commented(self, rule: Judged, definition: RuleDefinition) -> str:
        people = ", ".join(f"{b.name} {b.mean('test').text('.3f')}" for b in self.baselines)
        count = len(rule.accuracy["test"])
        ways = dict(rule.ways)
        said = [
            f"Found by `ruledsl discover` on {self.dataset}: accuracy on classes never searched",
            f"{rule.mean('test').text('.3f')} (95 %, {count} seeds with a Θ each; here stands their mean).",
            *([f"Rules that people wrote, trained for as many episodes: {people}."] if people else []),
            *([f"With {ways_text(rule.ways)}."] if ways else []),
        ]
        own = replace(definition, feedback=ways.get("feedback", definition.feedback))
        return "".join(f"# {line}\n" for line in said) + rule_source(own)

    def table(self) -> list[dict[str, Any]]:
        """A row for each rule of the front, then for each that people wrote."""
        return [self._row(rule) for rule in (*self.rules, *self.baselines)]

    def _row(self, rule: Judged) -> dict[str, Any]:
        ours = rule in self.rules
        beside = {b.name: rule.beside(b, "test") for b in self.baselines if b.name in ("backprop", "bio")}
        return {
            "rule": rule.name,
            "preferred": rule is self.best,
            "terms": len(rule.terms),
            "products": len(rule.products) if ours else "",
            "locality": str(rule.locality) if ours else "",
            "round": rule.round if ours else "",
            **{f"{part}_accuracy": rule.mean(part).mean for part in ("choice", "test")},
            "test_half_width_95": rule.mean("test").half,
            **{f"above_{n}": i.mean for n, i in beside.items()},
            **{f"above_{n}_half_width_95": i.half for n, i in beside.items()},
            "why": rule.why,
            "formula": rule.text if ours else "",
        }

    def write(self) -> None:
        """front.csv, archive.csv, found/*.rule, front.png and discovery.json."""
        write_rows(self.out / FRONT, self.table())
        write_archive(self.out, self.archive)
        self._write_rules(make_folder(self.out / FOUND))
        write_sealed(
            self.out / DISCOVERY,
            {
                "dataset": self.dataset,
                "best": self.best.name,
                "chance": self.chance,
                "measure": self.measure,
                "knock_outs": {term: lost.json() for term, lost in self.knock_outs.items()},
                "rules": [self._document(rule) for rule in self.rules],
                "baselines": [self._document(rule) for rule in self.baselines],
            },
        )
        draw_panels(self.out / "front", f"Rules found on {self.dataset}", [self.panel()])

    def _write_rules(self, folder: Path) -> None:
        """Each rule as a file; those of a front that was longer, before the search grew on, go."""
        texts = {f"{rule.name}.rule": self.source(rule) for rule in self.rules}
        texts |= {f"{rule.name}-factored.rule": self.factored_source(rule) for rule in self.rules}
        for name, text in texts.items():
            write_text(folder / name, text)
        for path in folder.glob("rule-*.rule"):
            if path.name not in texts:
                path.unlink()

    def _document(self, rule: Judged) -> Mapping[str, Any]:
        return {
            "name": rule.name,
            "terms": list(rule.terms),
            "theta": {name: value.json() for name, value in rule.theta.items()},
            "source": rule.rule.source,
            "ways": dict(rule.ways),
            "why": rule.why,
            "round": rule.round,
            **{name: _by_part(values) for name, values in (("accuracy", rule.accuracy), ("loss", rule.loss))},
        }

    def panel(self) -> Panel:
        """Accuracy on the test's classes: what was found, by number of terms, and what people wrote."""
        # By name: two rules of a front may have as many terms.
        names = [f"{rule.name}, {counted(len(rule.terms), 'term')}" for rule in self.rules]
        names += [rule.name for rule in self.baselines]
        curves, first = [], 0
        for n, (label, rules) in enumerate((("found", self.rules), ("written by people", self.baselines))):
            measured = [rule.mean("test") for rule in rules]
            places = list(range(first, first + len(rules)))
            means, halves = [m.mean for m in measured], [m.half for m in measured]
            told = tuple(f"{rule.text}<br>{rule.locality}; reads {rule.reads}" for rule in rules)
            curves.append(Curve(label, places, means, halves, Colour("rule", n), told=told))
            first += len(rules)
        return Panel(
            "", "", "accuracy on classes never searched (fraction)", tuple(curves),
            limits=(0.0, 1.0), guides=(Guide(self.chance, "chance"),), kind="points", names=tuple(names),
        )  # fmt: skip


def _name(rule: Judged) -> str:
    return rule.name.replace("-", "_")


def _by_part(values: Mapping[str, Mapping[int, float]]) -> dict[str, dict[str, float]]:
    return {part: {str(seed): v for seed, v in by.items()} for part, by in values.items()}


def best_by_locality(front: Front) -> Sequence[tuple[Locality, Judged]]:
    """For each class, the best rule that needs no more: what could a synapse alone run? a dendrite?"""
    found = []
    for kind in Locality:
        able = [rule for rule in front.rules if rule.locality <= kind]
        if any(rule.locality == kind for rule in able):
            found.append((kind, preferred(able, front.measure, front.rules[0])))
    return found
