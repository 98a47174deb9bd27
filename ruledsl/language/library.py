"""Names across files: which files can be seen from one, and what a name means among them.

The search path is the file's own folder, `./rules`, every folder of `$RULEDSL_PATH`, and the packaged rules.
A file's own definitions come first, so that two variants of a rule can lie side by side. The user's other
files are equals: a name that a file takes from elsewhere, and that two of them define differently, is an
error. The packaged rules come last,
like a standard library: a user's definition of the same name replaces the packaged one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ruledsl.ir import (
    Diagnostic,
    LetStatement,
    Location,
    Module,
    RuleError,
    RuleItem,
    RuleStatement,
    SourceFile,
    TermStatement,
)
from ruledsl.language.attributes import AttributeReader
from ruledsl.language.definitions import RuleDefinition, RuleTerm, Term, TermOptions, scaled
from ruledsl.language.messages import closest
from ruledsl.language.parser import parse, parse_partly, read_source
from ruledsl.language.printer import print_statement
from ruledsl.language.resolver import ModuleResolver

PACKAGE = Path(__file__).resolve().parents[1]


def packaged_folders() -> tuple[Path, ...]:
    """The folders of the rules that ship with ruledsl, in a wheel and in a checkout alike: what people wrote,
    and what searches found."""
    shipped = PACKAGE / "_shipped" / "rules"
    written = shipped if shipped.is_dir() else PACKAGE.parent / "rules"
    return written, written / "discovered"


def packaged_files() -> list[Path]:
    """Every rule file that ships: what people wrote, then what searches found."""
    return [path for folder in packaged_folders() for path in sorted(folder.glob("*.rule"))]


def search_folders(beside: Path | None = None) -> list[Path]:
    """The user's folders in order, without repeats; the packaged folders are not among them."""
    shipped = [folder.resolve() for folder in packaged_folders()]
    listed = [beside] if beside else []
    listed.append(Path("rules"))
    listed += [Path(p) for p in os.environ.get("RULEDSL_PATH", "").split(os.pathsep) if p]
    unique: dict[Path, Path] = {}
    for folder in listed:
        if folder.is_dir() and folder.resolve() not in shipped:
            unique.setdefault(folder.resolve(), folder)
    return list(unique.values())


@dataclass(frozen=True)
class Definition:
    """A term or rule statement and the module it stands in."""

    module: Module
    statement: TermStatement | RuleStatement
    packaged: bool

    @property
    def location(self) -> Location:
        return Location(self.module.source, self.statement.name_span)

    @property
    def key(self) -> tuple[str, str]:
        """File and name: files may define one name each in their own way."""
        return self.module.source.path, self.statement.name


@dataclass
class Library:
    """Every definition that can be seen, and the rules built from them."""

    main: list[Module]
    _definitions: dict[str, list[Definition]] = field(default_factory=dict)
    _terms: dict[int, dict[str, Term]] = field(default_factory=dict)
    _flat: dict[tuple[str, str], list[tuple[Term, TermOptions]]] = field(default_factory=dict)
    _cycles: set[frozenset[tuple[str, str]]] = field(default_factory=set)
    faults: list[Diagnostic] = field(default_factory=list)
    """Statements of the files asked for that do not parse; the rest of those files is there all the same."""
    broken: list[Diagnostic] = field(default_factory=list)
    """Faults in files beside the ones asked for; they matter only when a name is missing."""

    @classmethod
    def for_files(cls, paths: Sequence[str | Path]) -> Library:
        """Parse the named files and everything on their search path.

        Raises `RuleError` when a named file cannot be read. Statements of it that do not parse are
        noted in `faults`; a faulty file elsewhere is noted in `broken`.
        """
        return cls.for_sources([read_source(path) for path in paths])

    @classmethod
    def for_sources(cls, sources: Sequence[SourceFile]) -> Library:
        """As `for_files`, for texts that are read already; one that is no file stands in this folder."""
        faults: list[Diagnostic] = []
        main: dict[Path, Module] = {}
        for source in sources:
            main[Path(source.path).resolve()], found = parse_partly(source)
            faults += found
        library = cls(list(main.values()), faults=faults)
        shipped = [folder.resolve() for folder in packaged_folders()]
        for resolved, module in main.items():
            library._add(module, packaged=resolved.parent in shipped)
        folders = dict.fromkeys(f for source in sources for f in search_folders(Path(source.path).parent))
        library._add_folders(
            [*((f, False) for f in folders), *((f, True) for f in packaged_folders())], set(main)
        )
        return library

    def _add_folders(self, folders: Iterable[tuple[Path, bool]], seen: set[Path]) -> None:
        for folder, packaged in folders:
            for path in sorted(folder.glob("*.rule")):
                if path.resolve() in seen:
                    continue
                seen.add(path.resolve())
                try:
                    self._add(parse(read_source(path)), packaged)
                except RuleError as error:
                    self.broken.extend(error.diagnostics)

    def _add(self, module: Module, packaged: bool) -> None:
        for statement in module.statements:
            if not isinstance(statement, LetStatement):
                found = self._definitions.setdefault(statement.name, [])
                found.append(Definition(module, statement, packaged))

    # -------------------------------------------------------------------------

    def names(self) -> list[str]:
        return sorted(self._definitions)

    def check_duplicates(self, module: Module, faults: list[Diagnostic]) -> None:
        """Report names defined twice inside a module."""
        first: dict[str, Location] = {}
        for statement in module.statements:
            at = Location(module.source, statement.name_span)
            if statement.name in first:
                faults.append(_duplicate(statement.name, at, first[statement.name]))
            first.setdefault(statement.name, at)

    def _pick(
        self, name: str, seen_from: Module, at: Location, faults: list[Diagnostic]
    ) -> Definition | None:
        """The definition that a name in a module stands for;
        one that others settle differently is reported there."""
        found = self._definitions.get(name, [])
        own = [d for d in found if d.module is seen_from]
        if own:
            return own[0]
        users = [d for d in found if not d.packaged] or found
        for other in users[1:]:
            same_file = other.module is users[0].module
            if not same_file and print_statement(other.statement) != print_statement(users[0].statement):
                fault = _ambiguous(name, at, users[0].location, other.location)
                if fault not in faults:
                    faults.append(fault)
                break
        return users[0] if users else None

    def module_terms(self, module: Module, faults: list[Diagnostic]) -> dict[str, Term]:
        """The resolved terms of a module; its faults are reported the first time."""
        if id(module) not in self._terms:
            resolver = ModuleResolver(module)
            resolver.abbreviations()
            statements = [s for s in module.statements if isinstance(s, TermStatement)]
            terms = {s.name: resolver.term(s) for s in statements}
            self._terms[id(module)] = {name: term for name, term in terms.items() if term is not None}
            faults.extend(resolver.faults)
        return self._terms[id(module)]

    def rule(self, definition: Definition, faults: list[Diagnostic]) -> RuleDefinition | None:
        """A rule statement as a flat sum of terms, names followed across files."""
        statement = definition.statement
        if isinstance(statement, TermStatement):
            terms = self._flatten(definition, (), faults)
            return RuleDefinition(
                statement.name, _united(terms), statement.note, None, definition.module.source
            )
        reader = AttributeReader(definition.module.source, faults)
        feedback = reader.rule_feedback(statement.attributes)
        terms = _tied(_united(self._flatten(definition, (), faults)), faults)
        return RuleDefinition(statement.name, terms, statement.note, feedback, definition.module.source)

    def _flatten(
        self, definition: Definition, trail: tuple[tuple[str, str], ...], faults: list[Diagnostic]
    ) -> list[tuple[Term, TermOptions]]:
        statement, module = definition.statement, definition.module
        if isinstance(statement, TermStatement):
            term = self.module_terms(module, faults).get(statement.name)
            return [(term, term.options)] if term else []
        key = definition.key
        if key in self._flat and key not in trail:
            return self._flat[key]
        collected: dict[tuple[str, str], tuple[Term, TermOptions]] = {}
        for item in statement.items:
            own = AttributeReader(module.source, faults).term_settings(item.attributes)
            target = self._item_target(module, item, (*trail, key), faults)
            if target is not None:
                for term, settings in self._flatten(target, (*trail, key), faults):
                    full = scaled(settings, item.coefficient).overridden_by(own)
                    collected.setdefault((term.name, layers_text(full)), (term, full))
        # Kept, so that rules summed from rules summed from rules cost no more than they are long.
        self._flat[key] = list(collected.values())
        return self._flat[key]

    def _item_target(
        self, module: Module, item: RuleItem, trail: tuple[tuple[str, str], ...], faults: list[Diagnostic]
    ) -> Definition | None:
        at = Location(module.source, item.name_span)
        target = self._pick(item.name, module, at, faults)
        if target is None:
            faults.append(self._missing(item.name, at))
        elif target.key in trail:
            cycle = trail[trail.index(target.key) :]
            if frozenset(cycle) not in self._cycles:
                self._cycles.add(frozenset(cycle))
                path = " → ".join((*(name for _, name in cycle), item.name))
                faults.append(
                    Diagnostic("circular-definition", f"this rule leads back to itself: {path}", at)
                )
            return None
        return target

    def _missing(self, name: str, at: Location) -> Diagnostic:
        near = closest(name, self._definitions)
        hint = (
            f"did you mean `{near}`?"
            if near
            else "define it with `term`, here or in any `.rule` file beside this one"
        )
        also = tuple(("a file that could not be read may define it", d.at) for d in self.broken if d.at)[:2]
        return Diagnostic("unknown-term", f"there is no term or rule `{name}`", at,
                          expected="a term or rule of this file or its search path", help=hint,
                          also=also)  # fmt: skip

    def find(self, name: str) -> Definition | None:
        """What a bare name means: the user's definition, else the packaged one."""
        found = self._definitions.get(name, [])
        return next((d for d in found if not d.packaged), found[0] if found else None)


def _duplicate(name: str, at: Location, first: Location) -> Diagnostic:
    return Diagnostic(
        "duplicate-definition",
        f"`{name}` is defined twice",
        at,
        help="rename one of the two",
        also=(("the other definition", first),),
    )


def _ambiguous(name: str, at: Location, first: Location, second: Location) -> Diagnostic:
    return Diagnostic(
        "ambiguous-name",
        f"two other files define `{name}` differently",
        at,
        help=f"define `{name}` in this file, or rename one of the two",
        also=(("one definition", first), ("the other", second)),
    )


def _united(terms: Iterable[tuple[Term, TermOptions]]) -> tuple[RuleTerm, ...]:
    """Terms in order of first mention. The same term with the same layers is one parameter;
    under different layers it is several, told apart by a suffix such as `oja[2..4]`."""
    unique: dict[tuple[str, str], tuple[Term, TermOptions]] = {}
    for term, settings in terms:
        unique.setdefault((term.name, layers_text(settings)), (term, settings))
    mentions = [name for name, _ in unique]
    return tuple(
        RuleTerm(name if mentions.count(name) == 1 else name + layers, term, settings)
        for (name, layers), (term, settings) in unique.items()
    )


def _tied(terms: tuple[RuleTerm, ...], faults: list[Diagnostic]) -> tuple[RuleTerm, ...]:
    """Terms with `same = NAME` become companions of NAME: one coefficient for both."""
    companions: dict[str, list[Term]] = {}
    for item in terms:
        partner = item.options.same
        if partner is None:
            continue
        owner = next((t for t in terms if t.name == partner and t.options.same is None), None)
        at = Location(item.term.source, item.term.span)
        if owner is None:
            names = [t.name for t in terms if t.options.same is None]
            near = closest(partner, names)
            hint = f"did you mean `{near}`?" if near else None
            faults.append(Diagnostic("unknown-term", f"`{item.name}` shares the coefficient of `{partner}`, "
                f"which is "
                                     "not a term of this rule", at, ", ".join(names), help=hint))  # fmt: skip
        elif item.term.target in [owner.term.target, *(c.target for c in companions.get(partner, []))]:
            faults.append(Diagnostic("same-target", f"`{item.name}` and `{partner}` both move "
                f"`{item.term.target}`", at,
                                     help="write one term that is the sum of the two"))  # fmt: skip
        else:
            companions.setdefault(partner, []).append(item.term)
    kept = [t for t in terms if t.options.same is None]
    return tuple(replace(t, companions=tuple(companions.get(t.name, ()))) for t in kept)


def layers_text(settings: TermOptions) -> str:
    """`[1+3..4]` for a confined term, nothing for one that acts everywhere.

    No comma: names stand in tables and in lists whose columns are told apart by them.
    """
    if settings.layers is None:
        return ""
    return "[" + "+".join(str(a) if a == b else f"{a}..{b}" for a, b in settings.layers) + "]"


def union(rules: Sequence[RuleDefinition]) -> tuple[RuleDefinition, list[tuple[str, ...]]]:
    """One rule with the terms of all, what `train A.rule B.rule` trains; and for each rule its terms' names
    there.

    A term that an earlier rule has under the same name, but with another expression, is called `name_RULE`.
    """
    if len(rules) == 1:
        return rules[0], [tuple(t.name for t in rules[0].terms)]
    known: dict[str, Term] = {}
    told_apart = [
        replace(rule, terms=tuple(_renamed(t, rule.name, known) for t in rule.terms)) for rule in rules
    ]
    terms = _united((t.term, t.options) for rule in told_apart for t in rule.terms)
    companions = {t.name: t.companions for rule in reversed(told_apart) for t in rule.terms}
    terms = tuple(replace(t, companions=companions.get(t.name, ())) for t in terms)
    feedback = next((r.feedback for r in rules if r.feedback), None)
    whole = RuleDefinition("+".join(r.name for r in rules), terms, None, feedback, rules[0].source)
    named = {(t.term.name, layers_text(t.options)): t.name for t in terms}
    groups = [tuple(named[t.term.name, layers_text(t.options)] for t in rule.terms) for rule in told_apart]
    return whole, groups


def _renamed(item: RuleTerm, rule: str, known: dict[str, Term]) -> RuleTerm:
    """A term of a rule, under a name that no other term of the union has."""
    first = known.setdefault(item.term.name, item.term)
    if (first.expression, first.target) == (item.term.expression, item.term.target):
        return item
    name = f"{item.term.name}_{rule}"
    known.setdefault(name, item.term)
    return replace(item, name=item.name.replace(item.term.name, name, 1), term=replace(item.term, name=name))
