"""`list` and `plugin-test`: what there is, and whether it keeps its contract."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ruledsl.ir import RuleError
from ruledsl.language import load_file, packaged_folders, search_folders
from ruledsl.registry import KINDS, check_file, declared, plugin_folders, use_folders
from ruledsl.reproduction import profiles, read_claims, shipped
from ruledsl.wording import counted


def rules() -> int:
    """One line per rule and term, by file."""
    for folder in [*search_folders(), *packaged_folders()]:
        for path in sorted(folder.glob("*.rule")):
            try:
                loaded = load_file(str(path))
            except RuleError as error:
                click.echo(f"{path}: {len(error.diagnostics)} fault(s), see `check {path}`")
                continue
            click.echo(os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path))
            for rule in loaded.rules:
                click.echo(f"  rule {rule.name:<24} {rule.note or ''}")
            for term in loaded.terms:
                click.echo(f"  term {term.name:<24} {term.note or ''}")
    return 0


def plugins() -> int:
    """Every plugin by kind, with its place; what is wrong with files goes to stderr. Nothing is executed."""
    inventory = declared()
    for kind in KINDS.values():
        found = sorted((d for d in inventory.found.values() if d.kind == kind.name), key=lambda d: d.name)
        click.echo(f"{kind.name}: gives {kind.gives}")
        width = max((len(d.name) for d in found), default=0)
        for declaration in found:
            origin = "" if declaration.origin == "product" else f" ({declaration.origin})"
            click.echo(f"  {declaration.name:<{width}}  {declaration.summary}  [{declaration.place}{origin}]")
    folders = ", ".join(f"{folder} ({origin})" for folder, origin in plugin_folders())
    click.echo(f"folders: {folders}; add one with --plugins DIR or $RULEDSL_PLUGINS")
    for fault in inventory.faults:
        click.echo(f"error: {fault}", err=True)
    return 2 if inventory.faults else 0


def claims() -> int:
    """Every file of claims that ships, with its title and how many claims it holds."""
    width = max(map(len, shipped()))
    for name, path in shipped().items():
        file = read_claims(path)
        count = f"{counted(len(file.claims), 'claim'):>9}"
        click.echo(f"{name:<{width}}  {count}  {file.title}")
    for name, path in profiles().items():
        click.echo(f"--profile {name}: {read_claims(path).title}")
    return 0


def plugin_test(path: Path) -> int:
    """One line per check of every plugin in a file; the exit code is 1 when one fails."""
    from ruledsl.contracts import run_contract

    plugins = check_file(path)
    use_folders([path.parent])  # whoever has a file tested wants it found
    failed = False
    for declaration, plugin in plugins:
        click.echo(f"{declaration.kind} {declaration.name} ({declaration.place})")
        for check in run_contract(plugin):
            failed |= not check.passed
            found = f": {check.found}" if check.found else ""
            click.echo(f"  {'ok  ' if check.passed else 'FAIL'} {check.what}{found}")
    return 1 if failed else 0
