"""From what a user names (`FILE`, `FILE:NAME` or `NAME`) to rule definitions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ruledsl.ir import Diagnostic, LetStatement, Module, RuleError, RuleStatement, SourceFile, raise_errors
from ruledsl.language.definitions import RuleDefinition, RuleTerm, Term, scaled
from ruledsl.language.library import Definition, Library, search_folders
from ruledsl.language.messages import closest


@dataclass(frozen=True)
class LoadedFile:
    """Everything one file defines that has no fault, with names settled; and its faults."""

    module: Module
    terms: tuple[Term, ...]
    rules: tuple[RuleDefinition, ...]
    faults: tuple[Diagnostic, ...] = ()


def split_spec(spec: str) -> tuple[str, str | None]:
    """`FILE:NAME` into its parts; a bare file or name has no second part."""
    path, colon, name = spec.rpartition(":")
    return (path, name) if colon and path and not Path(spec).exists() else (spec, None)


def locate(spec: str) -> tuple[str, str | None]:
    """The file a spec means, and the name within it; a bare name is looked up on the search path."""
    path, name = split_spec(spec)
    if Path(path).exists() or path.endswith(".rule") or "/" in path or "\\" in path:
        return path, name
    library = Library.for_files([])
    library._add_folders([(folder, False) for folder in search_folders()], set())
    definition = library.find(path)
    if definition is None:
        near = closest(path, library.names())
        hint = f"did you mean `{near}`?" if near else "name a `.rule` file, or a rule of the search path"
        raise RuleError(Diagnostic("no-such-rule", f"there is no file or rule `{path}`", help=hint))
    return definition.module.source.path, name or path


def load_file(path: str) -> LoadedFile:
    """Everything a file defines; raises `RuleError` with all its faults."""
    loaded = load_partly(path)
    raise_errors(loaded.faults)
    return loaded


def load_partly(path: str) -> LoadedFile:
    """What can be made of a file, however faulty; raises `RuleError` only when it cannot be read."""
    return _loaded(Library.for_files([path]))


def load_text(source: SourceFile) -> tuple[LoadedFile, RuleDefinition]:
    """What a text defines, and the rule it means: as a file of that name would. Raises `RuleError`."""
    loaded = _loaded(Library.for_sources([source]))
    raise_errors(loaded.faults)
    return loaded, _chosen(loaded, loaded.terms[0].name if len(loaded.terms) == 1 else "unnamed", source.path)


def _loaded(library: Library) -> LoadedFile:
    faults = list(library.faults)
    module = library.main[0]
    library.check_duplicates(module, faults)
    terms = tuple(library.module_terms(module, faults).values())
    rules = [
        library.rule(Definition(module, s, packaged=False), faults)
        for s in module.statements
        if isinstance(s, RuleStatement)
    ]
    return LoadedFile(module, terms, tuple(r for r in rules if r is not None), tuple(faults))


def load_rule(spec: str) -> RuleDefinition:
    """The rule a spec means.

    A file with terms and no rule is the sum of its terms. Among several rules the one named like
    the file is taken, else one must be named. Raises `RuleError` with every fault of the file.
    """
    path, name = locate(spec)
    loaded = load_file(path)
    named = {r.name: r for r in loaded.rules}
    if name is not None:
        return named[name] if name in named else _single_term(loaded, name)
    return _chosen(loaded, Path(path).stem, path)


def _chosen(loaded: LoadedFile, stem: str, path: str) -> RuleDefinition:
    """The rule of a file of which none was named."""
    named = {r.name: r for r in loaded.rules}
    if not loaded.rules:
        return RuleDefinition(stem, _terms_of(loaded), None, None, loaded.module.source)
    if stem in named:
        return named[stem]
    if len(named) == 1:
        return next(iter(named.values()))
    listed = ", ".join(f"`{n}`" for n in named)
    raise RuleError(
        Diagnostic(
            "which-rule",
            "this file defines several rules",
            path=path,
            expected=f"one of {listed}",
            help=f"write `{path}:{next(iter(named))}` or `--rule {next(iter(named))}`",
        )
    )


def _terms_of(loaded: LoadedFile) -> tuple[RuleTerm, ...]:
    return tuple(RuleTerm(t.name, t, t.options) for t in loaded.terms)


def _single_term(loaded: LoadedFile, name: str) -> RuleDefinition:
    for term in loaded.terms:
        if term.name == name:
            return RuleDefinition(
                name, (RuleTerm(name, term, scaled(term.options, None)),), term.note, None, term.source
            )
    defined = [s.name for s in loaded.module.statements if not isinstance(s, LetStatement)]
    near = closest(name, defined)
    raise RuleError(
        Diagnostic(
            "no-such-rule",
            f"this file defines no rule or term `{name}`",
            path=loaded.module.source.path,
            expected=", ".join(f"`{n}`" for n in defined),
            help=f"did you mean `{near}`?" if near else None,
        )
    )
