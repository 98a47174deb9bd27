"""What a search leaves behind: the front as a table and a figure, its rules as files, the evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ruledsl.discovery.archive import Entry, write_archive
from ruledsl.discovery.factoring import Product, factored, factored_terms, formula
from ruledsl.discovery.judging import Judged
from ruledsl.evidence import write_sealed
from ruledsl.figures import Colour, Curve, Guide, Panel, draw_panels
from ruledsl.ir import Locality
from ruledsl.language import RuleDefinition
from ruledsl.rules import Rule, rule_source
from ruledsl.storage import make_folder, write_rows, write_text
from ruledsl.wording import counted

DISCOVERY, FRONT, FOUND = "discovery.json", "front.csv", "found"


@dataclass(frozen=True)
class Front:
    """Rules of a search beside those that people wrote, judged on classes it never saw.

    >>> import ruledsl
    >>> Front(Path("runs/found"), ruledsl.load("bio"), "glyphs", (), (), 0.2).dataset
    'glyphs'
    """

    out: Path
    library: Rule
    dataset: str
    rules: tuple[Judged, ...]
    baselines: tuple[Judged, ...]
    chance: float
    """Accuracy of guessing among a task's labels."""
    archive: tuple[Entry, ...] = ()
    """Every rule that reached a second heat."""

    @property
    def best(self) -> Judged:
        """Chosen by the classes that are there to choose; those of the test had no say in it."""
        return max(self.rules, key=lambda rule: rule.mean("choice").mean)

    def locality(self, rule: Judged) -> Locality:
        """The class of its most demanding term."""
        return max(self.library.locality[name] for name in rule.terms)

    def products(self, rule: Judged) -> list[Product]:
        """The rule with terms that share a factor put together: their number is its complexity."""
        return factored({name: value.mean for name, value in rule.theta.items()}, self.library)

    def text(self, rule: Judged) -> str:
        """F(Θ) on one line, with its numbers."""
        return formula({name: value.mean for name, value in rule.theta.items()}, self.library)

    def source(self, rule: Judged) -> str:
        """A `.rule` file with Θ, and where it comes from above it."""
        kept = tuple(
            replace(t, options=replace(t.options, init=float(f"{rule.theta[t.name].mean:.6g}")))
            for t in self.library.definition.terms
            if t.name in rule.terms
        )
        return self._commented(
            rule, replace(self.library.definition, name=_name(rule), note=None, terms=kept)
        )

    def factored_source(self, rule: Judged) -> str:
        """The same rule with shared factors taken out, inner numbers held: what a person would write."""
        terms = tuple(factored_terms({n: v.mean for n, v in rule.theta.items()}, self.library))
        name = f"{_name(rule)}_factored"
        return self._commented(rule, replace(self.library.definition, name=name, note=None, terms=terms))

    def _commented(self, rule: Judged, definition: RuleDefinition) -> str:
        people = ", ".join(f"{b.name} {b.mean('test').text('.3f')}" for b in self.baselines)
        count = len(rule.accuracy["test"])
        said = [
            f"Found by `ruledsl discover` on {self.dataset}: accuracy on classes never searched",
            f"{rule.mean('test').text('.3f')} (95 %, {count} seeds with a Θ each; here stands their mean).",
            f"Rules that people wrote, trained for as many episodes: {people}.",
        ]
        return "".join(f"# {line}\n" for line in said) + rule_source(definition)

    def table(self) -> list[dict[str, Any]]:
        """A row for each rule of the front, then for each that people wrote."""
        return [self._row(rule) for rule in (*self.rules, *self.baselines)]

    def _row(self, rule: Judged) -> dict[str, Any]:
        ours = rule in self.rules
        by_name = {b.name: b for b in self.baselines}
        beside = {n: rule.beside(by_name[n], "test") for n in ("backprop", "bio")}
        return {
            "rule": rule.name,
            "terms": len(rule.terms),
            "products": len(self.products(rule)) if ours else "",
            "locality": str(self.locality(rule)) if ours else "",
            "round": rule.round if ours else "",
            **{f"{part}_accuracy": rule.mean(part).mean for part in ("choice", "test")},
            "test_half_width_95": rule.mean("test").half,
            **{f"above_{n}": i.mean for n, i in beside.items()},
            **{f"above_{n}_half_width_95": i.half for n, i in beside.items()},
            "formula": self.text(rule) if ours else "",
        }

    def write(self) -> None:
        """front.csv, archive.csv, found/*.rule, front.png and discovery.json."""
        write_rows(self.out / FRONT, self.table())
        write_archive(self.out, self.archive)
        folder = make_folder(self.out / FOUND)
        for rule in self.rules:
            write_text(folder / f"{rule.name}.rule", self.source(rule))
            write_text(folder / f"{rule.name}-factored.rule", self.factored_source(rule))
        write_sealed(
            self.out / DISCOVERY,
            {
                "dataset": self.dataset,
                "best": self.best.name,
                "rules": [self._document(rule) for rule in self.rules],
                "baselines": [self._document(rule) for rule in self.baselines],
            },
        )
        draw_panels(self.out / "front", f"Rules found on {self.dataset}", [self.panel()])

    def _document(self, rule: Judged) -> Mapping[str, Any]:
        return {
            "name": rule.name,
            "terms": list(rule.terms),
            "theta": {name: value.json() for name, value in rule.theta.items()},
            "accuracy": {part: {str(s): a for s, a in by.items()} for part, by in rule.accuracy.items()},
        }

    def panel(self) -> Panel:
        """Accuracy on the test's classes: what was found, by number of terms, and what people wrote."""
        names = [counted(len(rule.terms), "term") for rule in self.rules]
        names += [rule.name for rule in self.baselines]
        curves, first = [], 0
        for n, (label, rules) in enumerate((("found", self.rules), ("written by people", self.baselines))):
            measured = [rule.mean("test") for rule in rules]
            places = list(range(first, first + len(rules)))
            means, halves = [m.mean for m in measured], [m.half for m in measured]
            curves.append(Curve(label, places, means, halves, Colour("rule", n)))
            first += len(rules)
        return Panel(
            "", "", "accuracy on classes never searched (fraction)", tuple(curves),
            limits=(0.0, 1.0), guides=(Guide(self.chance, "chance"),), kind="points", names=tuple(names),
        )  # fmt: skip


def _name(rule: Judged) -> str:
    return rule.name.replace("-", "_")


def best_by_locality(front: Front) -> Sequence[tuple[Locality, Judged]]:
    """For each class, the best rule that needs no more: what could a synapse alone run? a dendrite?"""
    found = []
    for kind in Locality:
        able = [rule for rule in front.rules if front.locality(rule) <= kind]
        if able and any(front.locality(rule) == kind for rule in able):
            found.append((kind, max(able, key=lambda rule: rule.mean("choice").mean)))
    return found
