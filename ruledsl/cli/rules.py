"""`check`, `fmt` and `show`: everything about a rule's text. Never loads torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from ruledsl.backend import silent_matrices, targets
from ruledsl.checks import literal_cost
from ruledsl.compiler import step_adjoint
from ruledsl.ir import LOCALITY_NAMES, Locality, RuleError, program_cost, program_text
from ruledsl.language import format_source, locate, print_expression, read_source
from ruledsl.rules import Rule, check_file, load
from ruledsl.settings import TrainSettings
from ruledsl.wording import counted


def check_files(files: Sequence[str], allow: str | None) -> int:
    """Print one line per term of each file or name, and every fault; 0 when there is none."""
    failed = 0
    for spec in files:
        try:
            path = spec if ":" in spec else locate(spec)[0]
            rules = check_file(path, _allowed(allow))
        except RuleError as error:
            click.echo(str(error), err=True)
            failed = 2
            continue
        seen: dict[str, str] = {}
        for rule in rules:
            for warning in rule.warnings:
                click.echo(warning.render(), err=True)
            for piece in rule.pieces:
                name, certificate = piece.term.name, piece.certificate
                moves = "" if piece.term.target == "W" else f"moves {piece.term.target}"
                reasons = "".join(f"\n      {reason}" for reason in certificate.reasons)
                seen.setdefault(name, f"  {name:<24} {certificate.locality!s:<9}{moves}{reasons}".rstrip())
        count = counted(len(seen), "term")
        click.echo(f"{path}: ok, {count}, rules: {', '.join(r.name for r in rules)}")
        click.echo("\n".join(seen.values()))
    return failed


def format_files(files: Sequence[str], check_only: bool, write: bool) -> int:
    """Canonical text of each file, printed or written; 1 when `check_only` finds a file to change."""
    different = 0
    for path in files:
        source = read_source(path)
        text = format_source(source)
        if check_only and text != source.text:
            click.echo(f"{path} is not in canonical form", err=True)
            different = 1
        elif write and text != source.text:
            Path(path).write_text(text, encoding="utf-8")
            click.echo(f"{path}: rewritten")
        elif not check_only and not write:
            click.echo(text, nl=False)
    return different


def show_rule(spec: str, form: str, allow: str | None) -> str:
    """One level of a rule as text."""
    rule = load(spec, allow=_allowed(allow))
    return {
        "text": _text,
        "latex": lambda r: r.latex(),
        "index": _index,
        "sympy": _sympy,
        **dict.fromkeys(targets(), lambda r: targets()[form].source(r.program.update_program, r.names)),
        "program": _program,
        "cost": _cost,
        "explain": _explain,
        "json": _json,
    }[form](rule)


def _allowed(name: str | None) -> Locality:
    return LOCALITY_NAMES[name or "layer"]


def _text(rule: Rule) -> str:
    return rule.source.rstrip()


def _index(rule: Rule) -> str:
    moved: dict[str, list[str]] = {}
    lines = []
    for number, piece in enumerate(rule.pieces):
        moved.setdefault(piece.entry, []).append(f"θ{piece.coefficient}·F{number}")
        cells = piece.entry[piece.entry.index("[") :]
        lines.append(f"F{number}{cells} = {piece.text}    ({piece.term.name}; {piece.certificate.locality})")
        lines += [f"    {reason}" for reason in piece.certificate.reasons]
    return "\n".join([*(f"{entry} = {' + '.join(parts)}" for entry, parts in moved.items()), *lines])


def _sympy(rule: Rule) -> str:
    return rule.program.normal_form().text()


def _program(rule: Rule) -> str:
    forward = rule.program.update_program
    gains = rule.program.normal_form().gains
    note = "; W ∘ (p qᵀ), which networks undo entry by entry, is among what is dense" if gains else ""
    parts = [f"# update{note}", program_text(forward)]
    parts += [
        "# adjoint: adjoint_W is the cotangent of the updated weights",
        program_text(step_adjoint(forward).backward),
    ]
    return "\n".join(parts).rstrip()


def _cost(rule: Rule) -> str:
    sizes = {"post": 170, "pre": 784}
    rows = [f"multiplications per sample in a layer with {sizes['pre']} pre and {sizes['post']} post cells"]
    rows.append(f"{'term':<26}{'as written':>16}{'compiled':>14}")
    total = 0
    for number, (name, item) in enumerate(zip(rule.names, rule.definition.terms, strict=True)):
        written = literal_cost(item.term.expression, lambda side: sizes[side] if side else 1)
        total += written
        rows.append(
            f"{name:<26}{written:>16,}{program_cost(rule.program.single_program(number), sizes):>14,}"
        )
    rows.append(f"{'the whole rule':<26}{total:>16,}{program_cost(rule.program.update_program, sizes):>14,}")
    update, normal = rule.program.update_program.updates[0], rule.program.normal_form()
    dense = "a dense rest" if normal.dense else "no dense rest"
    decay = "κW, " if update.kappa is not None else ""
    gains = "W ∘ (p qᵀ), " if normal.gains else ""
    rows.append(f"update: {decay}{gains}{len(update.pairs)} outer product(s), {dense}")
    return "\n".join([*rows, _silent(rule)])


def _silent(rule: Rule) -> str:
    """Which matrices of the first layer compiled code reads and moves for active inputs alone."""
    from ruledsl.network import programs_of  # loads torch

    settings = TrainSettings.of(feedback=rule.definition.feedback or "fixed")
    found = silent_matrices(programs_of(rule.program, settings).adjoint)
    spared = " and ".join(sorted(found, reverse=True))
    if "W0" in found:
        return f"where a pixel is 0: nothing of {spared} is read or moved"
    moved = "W0 is read and moved all the same, since the update of some term is not 0 there"
    return f"where a pixel is 0: {moved}" + (f"; {spared} is not read" if spared else "")


def _explain(rule: Rule) -> str:
    from ruledsl.theory import explain_rule  # loads torch, for what it measures

    return str(explain_rule(rule, {}))


def _json(rule: Rule) -> str:
    terms = []
    for number, item in enumerate(rule.definition.terms):
        piece = rule.pieces[number]
        certificate = piece.certificate
        shared = [p for p in rule.pieces[len(rule.names) :] if p.coefficient == number]
        terms.append({
            "name": rule.names[number],
            "note": item.term.note,
            "cite": item.options.cite,
            "text": print_expression(item.term.expression),
            "target": item.term.target,
            "index": piece.text,
            "shares_its_coefficient_with": [p.term.name for p in shared],
            "init": item.initial,
            "trainable": item.trainable,
            "bounds": [item.options.minimum, item.options.maximum],
            "layers": item.options.layers,
            "locality": str(certificate.locality),
            "reads": {q: sorted(p) for q, p in certificate.reads.items()},
            "reasons": certificate.reasons,
        })  # fmt: skip
    document = {
        "name": rule.name,
        "identity": rule.identity,
        "feedback": rule.definition.feedback,
        "terms": terms,
    }
    return json.dumps(document, indent=2, ensure_ascii=False)
