"""`list plugins` and `plugin-test`."""

from __future__ import annotations

from pathlib import Path

import click

from ruledsl.registry import KINDS, check_file, declared, plugin_folders


def list_plugins() -> int:
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


def test_plugins(path: Path) -> int:
    """One line per check of every plugin in a file; the exit code is 1 when one fails."""
    from ruledsl.contracts import run_contract

    failed = False
    for declaration, plugin in check_file(path):
        click.echo(f"{declaration.kind} {declaration.name} ({declaration.place})")
        for check in run_contract(plugin):
            failed |= not check.passed
            click.echo(
                f"  {'ok  ' if check.passed else 'FAIL'} {check.what}" + (f": {check.found}" if check.found else "")
            )
    return 1 if failed else 0
