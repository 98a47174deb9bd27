"""Names across files: which files can be seen from one, and what a name means among them.

The search path is the file's own folder, `./rules`, every folder of `$RULEDSL_PATH`, and the
packaged rules. The user's folders are equals: two of their files that define one name differently
are an error. The packaged rules come last, like a standard library: a user's definition of the
same name replaces the packaged one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ruledsl.ir.diagnostics import Diagnostic, Location, RuleError
from ruledsl.ir.syntax import LetStatement, Module, RuleItem, RuleStatement, TermStatement
from ruledsl.language.attributes import AttributeReader
from ruledsl.language.definitions import RuleDefinition, RuleTerm, Settings, Term, scaled
from ruledsl.language.messages import closest
from ruledsl.language.parser import parse, parse_partly, read_source
from ruledsl.language.printer import print_statement
from ruledsl.language.resolver import ModuleResolver

PACKAGE = Path(__file__).resolve().parents[1]


def packaged_rules() -> Path:
    """The folder of the rules that ship with ruledsl, in a wheel and in a checkout alike."""
    shipped = PACKAGE / "_shipped" / "rules"
    return shipped if shipped.is_dir() else PACKAGE.parent / "rules"


def search_folders(beside: Path | None = None) -> list[Path]:
    """The user's folders in order, without repeats; the packaged folder is not among them."""
    listed = [beside] if beside else []
    listed.append(Path("rules"))
    listed += [Path(p) for p in os.environ.get("RULEDSL_PATH", "").split(os.pathsep) if p]
    unique: dict[Path, Path] = {}
    for folder in listed:
        if folder.is_dir() and folder.resolve() != packaged_rules().resolve():
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


@dataclass
class Library:
    """Every definition that can be seen, and the rules built from them."""

    main: list[Module]
    _definitions: dict[str, list[Definition]] = field(default_factory=dict)
    _terms: dict[int, dict[str, Term]] = field(default_factory=dict)
    _flat: dict[str, list[tuple[Term, Settings]]] = field(default_factory=dict)
    _cycles: set[frozenset[str]] = field(default_factory=set)
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
        faults: list[Diagnostic] = []
        main: dict[Path, Module] = {}
        for path in paths:
            main[Path(path).resolve()], found = parse_partly(read_source(path))
            faults += found
        library = cls(list(main.values()), faults=faults)
        shipped = packaged_rules().resolve()
        for resolved, module in main.items():
            library._add(module, packaged=resolved.parent == shipped)
        folders = dict.fromkeys(f for path in paths for f in search_folders(Path(path).parent))
        library._add_folders([(f, False) for f in folders] + [(packaged_rules(), True)], set(main))
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
        """Report names defined twice inside a module, or differently in another file in sight."""
        first: dict[str, Location] = {}
        for statement in module.statements:
            at = Location(module.source, statement.name_span)
            if statement.name in first:
                faults.append(_duplicate(statement.name, at, first[statement.name]))
            first.setdefault(statement.name, at)
        for statement in module.statements:
            if not isinstance(statement, LetStatement):
                self._pick(statement.name, faults)

    def _pick(self, name: str, faults: list[Diagnostic]) -> Definition | None:
        """The definition a name stands for; a clash between the user's own files is reported."""
        found = self._definitions.get(name, [])
        own = [d for d in found if not d.packaged] or found
        for other in own[1:]:
            same_file = other.module.source.path == own[0].module.source.path
            if not same_file and print_statement(other.statement) != print_statement(own[0].statement):
                fault = _duplicate(name, other.location, own[0].location)
                if fault not in faults:
                    faults.append(fault)
        return own[0] if own else None

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
            return RuleDefinition(statement.name, _united(terms), statement.note, None, definition.module.source)
        reader = AttributeReader(definition.module.source, faults)
        feedback = reader.rule_feedback(statement.attributes)
        terms = _tied(_united(self._flatten(definition, (), faults)), faults)
        return RuleDefinition(statement.name, terms, statement.note, feedback, definition.module.source)

    def _flatten(
        self, definition: Definition, trail: tuple[str, ...], faults: list[Diagnostic]
    ) -> list[tuple[Term, Settings]]:
        statement, module = definition.statement, definition.module
        if isinstance(statement, TermStatement):
            term = self.module_terms(module, faults).get(statement.name)
            return [(term, term.settings)] if term else []
        if statement.name in self._flat and statement.name not in trail:
            return self._flat[statement.name]
        collected: dict[tuple[str, str], tuple[Term, Settings]] = {}
        for item in statement.items:
            own = AttributeReader(module.source, faults).term_settings(item.attributes)
            target = self._item_target(module, item, (*trail, statement.name), faults)
            if target is not None:
                for term, settings in self._flatten(target, (*trail, statement.name), faults):
                    full = scaled(settings, item.coefficient).overridden_by(own)
                    collected.setdefault((term.name, layers_text(full)), (term, full))
        # Kept, so that rules summed from rules summed from rules cost no more than they are long.
        self._flat[statement.name] = list(collected.values())
        return self._flat[statement.name]

    def _item_target(
        self, module: Module, item: RuleItem, trail: tuple[str, ...], faults: list[Diagnostic]
    ) -> Definition | None:
        at = Location(module.source, item.name_span)
        if item.name in trail:
            cycle = trail[trail.index(item.name) :]
            if frozenset(cycle) not in self._cycles:
                self._cycles.add(frozenset(cycle))
                path = " → ".join((*cycle, item.name))
                faults.append(Diagnostic("circular-definition", f"this rule leads back to itself: {path}", at))
            return None
        target = self._pick(item.name, faults)
        if target is None:
            faults.append(self._missing(item.name, at))
        return target

    def _missing(self, name: str, at: Location) -> Diagnostic:
        near = closest(name, self._definitions)
        hint = (
            f"did you mean `{near}`?" if near else "define it with `term`, here or in any `.rule` file beside this one"
        )
        also = tuple(("a file that could not be read may define it", d.at) for d in self.broken if d.at)[:2]
        return Diagnostic("unknown-term", f"there is no term or rule `{name}`", at,
                          expected="a term or rule of this file or its search path", help=hint, also=also)  # fmt: skip

    def find(self, name: str) -> Definition | None:
        return self._pick(name, [])


def _duplicate(name: str, at: Location, first: Location) -> Diagnostic:
    return Diagnostic(
        "duplicate-definition",
        f"`{name}` is defined twice",
        at,
        help="rename one of the two",
        also=(("the other definition", first),),
    )


def _united(terms: Iterable[tuple[Term, Settings]]) -> tuple[RuleTerm, ...]:
    """Terms in order of first mention. The same term with the same layers is one parameter;
    under different layers it is several, told apart by a suffix such as `oja[2..4]`."""
    unique: dict[tuple[str, str], tuple[Term, Settings]] = {}
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
        partner = item.settings.same
        if partner is None:
            continue
        owner = next((t for t in terms if t.name == partner and t.settings.same is None), None)
        at = Location(item.term.source, item.term.span)
        if owner is None:
            names = [t.name for t in terms if t.settings.same is None]
            near = closest(partner, names)
            hint = f"did you mean `{near}`?" if near else None
            faults.append(Diagnostic("unknown-term", f"`{item.name}` shares the coefficient of `{partner}`, which is "
                                     "not a term of this rule", at, ", ".join(names), help=hint))  # fmt: skip
        elif item.term.target in [owner.term.target, *(c.target for c in companions.get(partner, []))]:
            faults.append(Diagnostic("same-target", f"`{item.name}` and `{partner}` both move `{item.term.target}`", at,
                                     help="write one term that is the sum of the two"))  # fmt: skip
        else:
            companions.setdefault(partner, []).append(item.term)
    kept = [t for t in terms if t.settings.same is None]
    return tuple(replace(t, companions=tuple(companions.get(t.name, ()))) for t in kept)


def layers_text(settings: Settings) -> str:
    """`[1,3..4]` for a confined term, nothing for one that acts everywhere."""
    if settings.layers is None:
        return ""
    return "[" + ",".join(str(a) if a == b else f"{a}..{b}" for a, b in settings.layers) + "]"


def union(rules: Sequence[RuleDefinition]) -> RuleDefinition:
    """One rule with the terms of all: what `train A.rule B.rule` trains."""
    if len(rules) == 1:
        return rules[0]
    terms = _united((t.term, t.settings) for rule in rules for t in rule.terms)
    companions = {t.name: t.companions for rule in reversed(rules) for t in rule.terms}
    terms = tuple(replace(t, companions=companions.get(t.name, ())) for t in terms)
    feedback = next((r.feedback for r in rules if r.feedback), None)
    return RuleDefinition("+".join(r.name for r in rules), terms, None, feedback, rules[0].source)
