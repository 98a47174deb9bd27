"""Every term that a search has met, each once: what two rules have in common has one name in both."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace

from ruledsl.algebra import IndexForm, direction, express
from ruledsl.compiler import normal_form
from ruledsl.ir import Locality
from ruledsl.language import RuleTerm, print_expression
from ruledsl.rules import Rule, check
from ruledsl.selection import Support


@dataclass(frozen=True)
class Shelved:
    """A term as the first rule that had it wrote it."""

    item: RuleTerm
    form: IndexForm
    entrywise: bool
    """Whether it moves weights entry by entry: no step of a rule with such a term can be undone."""


class Shelf:
    """Terms by name, in the order in which they came."""

    def __init__(self, library: Rule) -> None:
        """`library` comes first; its definition says what else its rules declare, such as a pathway."""
        self.library = library
        self._kept: dict[str, Shelved] = {}
        self._names: dict[Hashable, str] = {}
        self._rules: dict[Support, Rule] = {}
        self.put(library)

    def put(self, rule: Rule) -> dict[str, float]:
        """Where the rule's Θ starts, by the names that its terms have here; new ones are put beside them.

        A multiple of a known term is that term with another coefficient.
        """
        theta: dict[str, float] = {}
        for number, (item, form) in enumerate(zip(rule.definition.terms, rule.forms, strict=True)):
            name, factor = self._known(item, form) or (self._new(rule, number), 1.0)
            theta[name] = theta.get(name, 0.0) + factor * item.initial
        return theta

    def rule(self, names: Iterable[str]) -> Rule:
        """These terms as one rule, in the shelf's order."""
        wanted = set(names)
        terms = tuple(name for name in self._kept if name in wanted)
        if terms not in self._rules:
            items = tuple(self._kept[name].item for name in terms)
            definition = replace(self.library.definition, name="library", note=None, terms=items)
            self._rules[terms] = check(definition, max(Locality))
        return self._rules[terms]

    def replacements(self, item: RuleTerm) -> list[RuleTerm]:
        """Terms of the library that move the same as a term, and whose coefficients anything may be."""
        others = self.library.definition.terms
        return [t for t in others if t.term.target == item.term.target and _is_free(t)]

    def is_entrywise(self, names: Iterable[str]) -> bool:
        return any(self._kept[name].entrywise for name in names)

    def _known(self, item: RuleTerm, form: IndexForm) -> tuple[str, float] | None:
        name = self._names.get(_key(item, form))
        if name is None:
            return None
        if not _is_free(item):
            return name, 1.0
        found = express(form, item.name, {name: self._kept[name].form}).sum
        return (name, float(found[name])) if found else None

    def _new(self, rule: Rule, number: int) -> str:
        item, form = rule.definition.terms[number], rule.forms[number]
        item = self._renamed(item)
        self._names.setdefault(_key(item, form), item.name)
        self._kept[item.name] = Shelved(item, form, normal_form([(0, form)]).is_by_entries)
        return item.name

    def _renamed(self, item: RuleTerm) -> RuleTerm:
        """Under a name of its own: one word may stand for two expressions in two proposals."""
        taken = {k.item.term.name: print_expression(k.item.term.expression) for k in self._kept.values()}
        name, text = item.term.name, print_expression(item.term.expression)
        while (item.name in self._kept) or taken.get(name, text) != text:
            name += "_"
            where = item.name.removeprefix(item.term.name)
            item = replace(item, name=name + where, term=replace(item.term, name=name))
        return item


def _is_free(item: RuleTerm) -> bool:
    """Whether it is an expression and a number that is learned without bounds."""
    options = item.options
    bounds = (options.fixed, options.minimum, options.maximum)
    return not item.companions and all(bound is None for bound in bounds)


def _key(item: RuleTerm, form: IndexForm) -> Hashable:
    """Equal for terms that are the same but for a factor."""
    where = (item.term.target, item.options.layers)
    if _is_free(item):
        return (direction(form), *where)
    others = tuple((t.target, print_expression(t.expression)) for t in item.companions)
    options = (item.options.fixed, item.options.minimum, item.options.maximum)
    return (print_expression(item.term.expression), *where, options, others)
