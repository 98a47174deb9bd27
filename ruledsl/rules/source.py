"""A rule back to text: statements built anew and printed by the language's own printer."""

from __future__ import annotations

from ruledsl.ir import Atom, Attribute, RuleItem, RuleStatement, TermStatement
from ruledsl.language import RuleDefinition, RuleTerm, Term, print_statement


def rule_source(definition: RuleDefinition) -> str:
    """A `.rule` text that defines a rule with nothing else on the search path."""
    terms = dict.fromkeys(_statement(t) for item in definition.terms for t in (item.term, *item.companions))
    items = [part for item in definition.terms for part in _items(item)]
    feedback = (_named("feedback", definition.feedback),) if definition.feedback else ()
    name = _name_of(definition)
    rule = RuleStatement(name, definition.note, tuple(items), feedback)
    return "".join(print_statement(s) + "\n" for s in (*terms, rule))


def _name_of(definition: RuleDefinition) -> str:
    """A name that the language takes, and that none of the terms has."""
    name = "".join(c if c.isalnum() or c == "_" else "_" for c in definition.name)
    return f"{name}_rule" if name in {t.term.name for t in definition.terms} else name


def _statement(term: Term) -> TermStatement:
    cite = (Attribute("cite", (Atom("string", term.options.cite),)),) if term.options.cite else ()
    return TermStatement(term.name, term.note, term.expression, cite, term.target)


def _items(item: RuleTerm) -> list[RuleItem]:
    """The term and those that share its coefficient."""
    own = RuleItem(item.term.name, None, _options(item))
    return [own, *(RuleItem(t.name, None, (_named("same", item.term.name),)) for t in item.companions)]


def _options(item: RuleTerm) -> tuple[Attribute, ...]:
    options = item.options
    numbers = {"init": options.init, "fixed": options.fixed, "min": options.minimum, "max": options.maximum}
    found = [Attribute(name, (Atom("number", repr(v)),)) for name, v in numbers.items() if v is not None]
    if options.layers is not None:
        ranges = [Atom("number", str(a)) if a == b else Atom("range", f"{a}..{b}") for a, b in options.layers]
        found.append(Attribute("layers", tuple(ranges)))
    return tuple(found)


def _named(attribute: str, name: str) -> Attribute:
    return Attribute(attribute, (Atom("name", name),))
