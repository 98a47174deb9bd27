"""What a proposer is given, and what it gives: rules to try, as text that is parsed and never executed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import log
from pathlib import Path
from random import Random
from typing import Any

from ruledsl.algebra import direction
from ruledsl.discovery.budget import Search
from ruledsl.discovery.factoring import divided, where
from ruledsl.discovery.merging import merged
from ruledsl.enumeration import Alphabet, mutant
from ruledsl.errors import SettingsError, UserError
from ruledsl.evidence import refuse_edited_document, write_sealed
from ruledsl.ir import Binary, Locality, Name, Number, RuleError
from ruledsl.language import RuleDefinition, RuleTerm, Term, TermOptions, names_in, print_expression
from ruledsl.registry import find
from ruledsl.rules import Rule, check, rule, rule_source
from ruledsl.statistics import Interval
from ruledsl.storage import read_json

WAYS = ("feedback", "activation")
"""Settings that a rule to try may change: how errors travel, and what hidden cells compute."""
ATTEMPTS = 20
"""Mutants that are drawn for one that means something."""
WIDER = Alphabet(functions=("tanh", "relu", "square", "mean", "norm"), operators=("+", "-", "*", ".*", "/"))
"""What mutants are made of, beside what the library is."""


@dataclass(frozen=True)
class Idea:
    """A rule to try.

    `text` is a `.rule` text of one rule; Θ starts where its terms say `init`. `ways` are settings other than
    the search's: `{"feedback": "direct"}`.

    >>> Idea("term hebb = y_post * y_pre^T\\nrule mine = pseudo_gradient[init=0.02] + hebb").ways
    {}
    """

    text: str
    why: str = ""
    ways: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Grown:
    """A rule that is to be changed: its terms start at the Θ that it learned."""

    definition: RuleDefinition
    theta: Mapping[str, Interval]
    """Over seeds."""
    accuracy: float
    ways: Mapping[str, str]

    @property
    def terms(self) -> tuple[RuleTerm, ...]:
        return self.definition.terms

    @property
    def free(self) -> tuple[RuleTerm, ...]:
        """Terms for W that are an expression and a number that is learned: those that can be rewritten."""
        return tuple(t for t in self.terms if t.term.target == "W" and not t.companions and t.trainable)

    def idea(self, terms: Sequence[RuleTerm], why: str, **ways: str) -> Idea:
        """A rule of other terms, and with other ways, than this one's."""
        definition = replace(self.definition, name="proposed", note=None, terms=tuple(terms))
        return Idea(rule_source(definition), why, {**self.ways, **ways})

    def adding(self, *items: RuleTerm) -> Idea:
        return self.idea((*self.terms, *items), f"adds {' and '.join(map(shown, items))}")

    def without(self, item: RuleTerm) -> Idea:
        return self.idea([t for t in self.terms if t is not item], f"drops {shown(item)}")

    def replacing(self, item: RuleTerm, *others: RuleTerm) -> Idea:
        """Others in a term's place."""
        at = self.terms.index(item)
        put = ", ".join(map(shown, others))
        return self.idea((*self.terms[:at], *others, *self.terms[at + 1 :]), f"{shown(item)} → {put}")

    @staticmethod
    def silent(item: RuleTerm) -> RuleTerm:
        """The term with a coefficient that starts at 0."""
        return replace(item, options=replace(item.options, init=None))

    @staticmethod
    def confined(item: RuleTerm, low: int, high: int) -> RuleTerm:
        """The term in some layers only, from 1 for the first layer of weights."""
        name = item.term.name + (f"[{low}]" if low == high else f"[{low}..{high}]")
        return replace(item, name=name, options=replace(item.options, layers=((low, high),)))


def shown(item: RuleTerm) -> str:
    """A term as it is written, the layers that it is confined to, and what it moves if not W."""
    return print_expression(item.term.expression) + where(item)


@dataclass(frozen=True)
class Scene:
    """A round of a search, as a proposer sees it."""

    round: int
    parents: tuple[Grown, ...]
    """The rules that the last round kept, the best first."""
    library: Rule
    """Every term that was enumerated, and the start's."""
    promising: tuple[str, ...]
    """Terms of the library that no parent has, those first that did best in the last round's first heat."""
    alphabet: Alphabet
    allow: Locality
    search: Search
    depth: int
    """Layers of weights."""
    samples: int
    """In a stream."""
    chance: Random
    """The only source of chance: equal searches propose the same."""

    def absent(self, parent: Grown) -> list[RuleTerm]:
        """The library's terms that a rule lacks, from 0."""
        own = {t.name for t in parent.terms}
        return [self.term(name) for name in self.library.names if name not in own]

    def term(self, name: str) -> RuleTerm:
        """A term of the library, from 0."""
        item = next(t for t in self.library.definition.terms if t.name == name)
        return replace(item, options=TermOptions(layers=item.options.layers))

    @staticmethod
    def text(item: RuleTerm) -> str:
        """A term's expression, as the language writes it."""
        return print_expression(item.term.expression)

    @staticmethod
    def reads(item: RuleTerm) -> frozenset[str]:
        """The quantities that a term reads."""
        return frozenset(name.name for name in names_in(item.term.expression))

    @staticmethod
    def written(name: str, text: str, like: RuleTerm) -> RuleTerm:
        """A term from text, with the start and the layers of another. Raises `RuleError` for text that is
        none."""
        (item,) = rule(f"term {name} = {text}").definition.terms
        return replace(item, options=like.options)

    def slowing(self, item: RuleTerm, share: float) -> RuleTerm:
        """The term divided by 1 + age / τ, τ being a share of the stream; in all it moves W as before."""
        tau = max(1, round(share * self.samples))
        slowness = Binary("+", Number(Fraction(1)), Binary("/", Name("age"), Number(Fraction(tau))))
        name = f"{item.term.name}_slow{tau}"
        term = replace(item.term, name=name, expression=divided(item.term.expression, slowness))
        mean = tau / self.samples * log(1 + self.samples / tau)
        start = float(f"{item.initial / mean:.4g}")
        where = item.name.removeprefix(item.term.name)
        return replace(item, name=name + where, term=term, options=replace(item.options, init=start))

    def mutant(self, item: RuleTerm, name: str) -> RuleTerm | None:
        """The term with a small change, drawn, of a class that is allowed; None when none was found."""
        alphabet = self.alphabet
        functions = alphabet.functions or WIDER.functions
        wider = replace(alphabet, functions=functions, operators=WIDER.operators)
        for _ in range(ATTEMPTS):
            tree = mutant(item.term.expression, wider, self.chance)
            if tree is None:
                return None
            changed = replace(item, name=name, term=Term(name, tree, target=item.term.target))
            if self._is_new(changed, item):
                return changed
        return None

    def merged(self, parent: Grown) -> Iterator[Idea]:
        """The parent with outer products put together into one, see `merging`."""
        free = {t.name: t for t in parent.free if t.options.layers is None}
        for gone, item in merged({n: parent.theta[n] for n in free}, free):
            terms = [t for t in parent.terms if t.name not in gone]
            yield parent.idea((*terms, item), f"merges {len(gone)} terms into {shown(item)}")

    def _is_new(self, item: RuleTerm, old: RuleTerm) -> bool:
        """Whether it means something, of a class that is allowed, and no multiple of what it was."""
        try:
            one, before = (check(RuleDefinition("one", (term,)), self.allow) for term in (item, old))
        except RuleError:
            return False
        return direction(one.forms[0]) != direction(before.forms[0])


@dataclass(frozen=True)
class Proposed:
    """Ideas of a round that are rules, and how many were none."""

    ideas: tuple[tuple[Idea, Rule], ...]
    refused: int


Tried = Callable[[Rule, Mapping[str, str]], None]
"""(rule, ways): raises `UserError` for what cannot be trained here."""


def proposed(path: Path, scene: Scene, seed: str, tried: Tried) -> Proposed:
    """What the proposers say to a scene: asked once, then read, since a model need not repeat itself.

    What is no rule of the allowed class, or none that can be trained in this search's networks, is kept with
    the reason.
    """
    if not path.is_file():
        rows = [row for name in scene.search.proposers for row in _asked(name, scene, seed, tried)]
        write_sealed(path, {"ideas": rows})
    refuse_edited_document(path)
    rows = read_json(path)["ideas"]
    found = [Idea(row["text"], row["why"], row["ways"]) for row in rows if not row["refused"]]
    return Proposed(tuple((idea, rule(idea.text, scene.allow)) for idea in found), len(rows) - len(found))


def _asked(name: str, scene: Scene, seed: str, tried: Tried) -> Iterator[Mapping[str, Any]]:
    own = replace(scene, chance=Random(f"{seed} {scene.round} {name}"))
    for idea in find("proposer", name).item(own):
        own_words = {"proposer": name, "text": idea.text, "why": idea.why, "ways": dict(idea.ways)}
        yield {**own_words, "refused": _refusal(idea, scene.allow, tried)}


def _refusal(idea: Idea, allow: Locality, tried: Tried) -> str:
    """Why an idea is no rule to try; nothing where it is."""
    try:
        unknown = [name for name in idea.ways if name not in WAYS]
        if unknown:
            raise SettingsError(f"a proposal may change {' and '.join(WAYS)}, not `{unknown[0]}`")
        tried(rule(idea.text, allow), idea.ways)
    except UserError as error:
        return str(error)
    return ""
