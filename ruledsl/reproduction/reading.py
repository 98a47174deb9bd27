"""Reads files of claims: TOML, with one message for each fault, at its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from math import inf
from pathlib import Path
from typing import Any

from ruledsl.ir.diagnostics import Diagnostic, Location, RuleError, raise_errors
from ruledsl.ir.source import SourceFile, Span
from ruledsl.language import closest
from ruledsl.reproduction.claims import (
    Alternative,
    Claim,
    ClaimFile,
    Experiment,
    Explanation,
    LongStream,
    Measure,
    PanelSpec,
    Theory,
    Training,
)
from ruledsl.reproduction.vocabulary import MEASURES, SHOWN, THEORIES
from ruledsl.settings import TrainSettings

SHIPPED = Path(__file__).parent / "paper"
PROFILES = Path(__file__).parent / "profiles"
KINDS: Mapping[str, type[Training] | type[LongStream] | type[Theory]] = {
    "training": Training,
    "stream": LongStream,
    "theory": Theory,
}
TOP = ("title", "text", "dataset", *KINDS, "claim", "alternative", "panel")
SETTINGS = {f.name for f in fields(TrainSettings)} - {"threads", "teacher", "device"}


def shipped() -> dict[str, Path]:
    """The files of the paper's own claims, by name: equations, figures by number, tables."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.toml"), key=_order)}


def _order(path: Path) -> tuple[str, bool, int]:
    match = re.fullmatch(r"([a-z]+?)(s?)(\d+)", path.stem)
    return (match[1], bool(match[2]), int(match[3])) if match else (path.stem, False, 0)


def profiles() -> dict[str, Path]:
    """Files that change the settings one by one and compare, by name."""
    return {path.stem: path for path in sorted(PROFILES.glob("*.toml"))}


def locate_claims(name: str) -> Path:
    """The file that a name on the command line means. Raises `RuleError` when there is none."""
    path = Path(name)
    if path.suffix == ".toml" or "/" in name:
        if path.is_file():
            return path
        raise RuleError(Diagnostic("no-such-file", "there is no such file of claims", path=name))
    if name in shipped():
        return shipped()[name]
    near = closest(name, shipped())
    known = ", ".join(shipped())
    hint = f"did you mean `{near}`?" if near else f"there are: {known}; or name a `.toml` file"
    raise RuleError(Diagnostic("no-such-claim", f"there is no claim `{name}`", help=hint))


def read_claims(path: Path) -> ClaimFile:
    """A file of claims. Raises `RuleError` with every fault that was found in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RuleError(Diagnostic("unreadable", f"cannot be read: {error}", path=str(path))) from None
    reader = _Reader(path, SourceFile(str(path), text))
    found = reader.file()
    raise_errors(reader.faults)
    return found


class _Reader:
    """One file being read; faults are collected, so that all are told together."""

    def __init__(self, path: Path, source: SourceFile) -> None:
        self.path, self.source = path, source
        self.faults: list[Diagnostic] = []

    def file(self) -> ClaimFile:
        table = self._parsed()
        self._known(table, TOP, "", "the file")
        self.dataset = self._text(table, "dataset", "emnist-bymerge/test")
        experiments: dict[str, Experiment] = {}
        for kind, made in KINDS.items():
            for name, body in self._table(table, kind).items():
                if name in experiments:
                    self._fault("duplicate", f"there are two experiments `{name}`", f"{kind}.{name}")
                experiments[name] = self._experiment(made, kind, name, body)
        self.experiments = experiments
        self._references()
        claims = [c for n, body in enumerate(self._list(table, "claim")) for c in self._claims(body, n)]
        alternatives = [self._alternative(body, n) for n, body in enumerate(self._list(table, "alternative"))]
        panels = [self._panel(body, n) for n, body in enumerate(self._list(table, "panel"))]
        title, text = self._text(table, "title", self.path.stem), self._text(table, "text", "")
        return ClaimFile(self.path, title, text, experiments, tuple(claims), tuple(alternatives), tuple(panels))

    def _parsed(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self.source.text)
        except tomllib.TOMLDecodeError as error:
            place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
            message = str(error).split(" (at ")[0]
            at = None
            if place:
                lines = self.source.text.splitlines(keepends=True)
                start = sum(len(line) for line in lines[: int(place[1]) - 1]) + int(place[2]) - 1
                at = Location(self.source, Span(start, start + 1))
            raise RuleError(Diagnostic("not-toml", f"this is not TOML: {message}", at, path=str(self.path))) from None

    def _experiment(self, made: Any, kind: str, name: str, body: Any) -> Any:
        where = f"{kind}.{name}"
        if not isinstance(body, dict):
            self._fault("not-a-table", f"`{where}` must be a table", where)
            return made(name, *[""] * 2) if made is not Theory else made(name, "")
        own = {f.name for f in fields(made)} - {"name", "settings"}
        self._known(body, [*own, *SETTINGS], where, f"[{where}]")
        settings = {
            k: tuple(v) if isinstance(v, list) else v for k, v in body.items() if k in SETTINGS and k not in own
        }
        values = {k: v for k, v in body.items() if k in own}
        if "dataset" in own:
            values.setdefault("dataset", self.dataset)
        needed = "kind" if made is Theory else "rule"
        if needed not in values:
            self._fault("missing", f"[{where}] lacks `{needed}`", where)
            values[needed] = ""
        if made is Theory and values["kind"] and values["kind"] not in THEORIES:
            self._unknown("kind of theory", values["kind"], THEORIES, where)
        self._typed(made, values, where)
        return made(name=name, settings=settings, **values)

    def _typed(self, made: Any, values: Mapping[str, Any], where: str) -> None:
        kinds = {"str": str, "int": int, "float": (int, float)}
        for f in fields(made):
            expected = kinds.get(str(f.type))
            if expected and f.name in values and not isinstance(values[f.name], expected):
                self._fault("wrong-type", f"`{f.name}` must be a {f.type}", where, f.name)

    def _references(self) -> None:
        for name, experiment in self.experiments.items():
            for key in ("frozen_at", "theta_of"):
                other = getattr(experiment, key, "")
                if other and not isinstance(self.experiments.get(other), Training):
                    trainings = [n for n, e in self.experiments.items() if isinstance(e, Training) and n != name]
                    self._unknown("training", other, trainings, other)

    def _claims(self, body: Mapping[str, Any], number: int) -> list[Claim]:
        """One claim, or one for each entry of `each`: `{}` stands for it, and lists give one value to each."""
        each = body.get("each")
        if each is None:
            return [self._claim(body, number)]
        rows = []
        for n, entry in enumerate(each):
            own = {k: v for k, v in body.items() if k != "each"}
            for key, value in own.items():
                if isinstance(value, str):
                    own[key] = value.replace("{}", str(entry))
                elif isinstance(value, dict):
                    own[key] = {k: v.replace("{}", str(entry)) if isinstance(v, str) else v for k, v in value.items()}
                elif isinstance(value, list) and len(value) == len(each) and key in ("mark", "between", "printed"):
                    own[key] = value[n]
            rows.append(self._claim(own, number))
        return rows

    def _claim(self, body: Mapping[str, Any], number: int) -> Claim:
        where = f"claim {number + 1}"
        names = ("name", "says", "printed", "of", "against", "measure", "episodes", "between", "at_least", "at_most",
                 "within", "mark", "if_not", "each")  # fmt: skip
        self._known(body, names, "claim", f"[[claim]] {number + 1}")
        for key in ("name", "says", "of", "measure"):
            if key not in body:
                self._fault("missing", f"[[claim]] number {number + 1} lacks `{key}`", "claim", number=number)
        of, against = (self._named(body.get(k, ""), "claim") for k in ("of", "against"))
        low, high = self._accepted(body, number)
        measure = self._measure(str(body.get("measure", "accuracy")), of)
        explanation = None
        if "if_not" in body:
            inner = body["if_not"]
            self._known(inner, ("reason", "of", "against", "measure"), "if_not", f"if_not of {where}")
            of_other, against_other = self._named(inner.get("of", ""), ""), self._named(inner.get("against", ""), "")
            other = self._measure(str(inner["measure"]), of_other) if "measure" in inner else None
            explanation = Explanation(str(inner.get("reason", "")), of_other, against_other, other)
        mark = body.get("mark")
        return Claim(
            str(body.get("name", where)), str(body.get("says", "")), str(body.get("printed", "")), of, measure, against,
            _pair(body.get("episodes")), low, high, None if mark is None else float(mark), explanation,
        )  # fmt: skip

    def _accepted(self, body: Mapping[str, Any], number: int) -> tuple[float, float]:
        """The numbers that agree: `between = [a, b]`, `at_least`, `at_most`, or `mark` ± `within`."""
        if "within" in body and "mark" in body:
            return float(body["mark"]) - float(body["within"]), float(body["mark"]) + float(body["within"])
        if "between" in body:
            pair = body["between"]
            if isinstance(pair, list) and len(pair) == 2 and pair[0] < pair[1]:
                return float(pair[0]), float(pair[1])
            self._fault("wrong-range", "`between` needs two growing numbers", "claim", "between", number)
        low, high = float(body.get("at_least", -inf)), float(body.get("at_most", inf))
        if low == -inf and high == inf and "between" not in body:
            message = f"[[claim]] number {number + 1} accepts every number"
            self._fault(
                "no-test", message, "claim", number=number, help="give `between`, `at_least`, `at_most` or `within`"
            )
        return low, high

    def _alternative(self, body: Mapping[str, Any], number: int) -> Alternative:
        names = ("name", "here", "there", "of", "others", "measures", "there_measures", "episodes")
        self._known(body, names, "alternative", f"[[alternative]] {number + 1}")
        of = self._named(body.get("of", ""), "alternative")
        others = tuple(self._named(o, "alternative") for o in body.get("others", ()))
        measures = tuple(self._measure(m, of) for m in body.get("measures", ("accuracy",)))
        there = tuple(self._measure(m, of) for m in body.get("there_measures", ())) or measures
        if len(there) != len(measures):
            self._fault("wrong-length", "`there_measures` must be as many as `measures`", "alternative", number=number)
        return Alternative(
            str(body.get("name", "")), str(body.get("here", "")), str(body.get("there", "")), of, others, measures,
            there, _pair(body.get("episodes")),
        )  # fmt: skip

    def _panel(self, body: Mapping[str, Any], number: int) -> PanelSpec:
        self._known(body, ("show", "of", "title"), "panel", f"[[panel]] {number + 1}")
        show = str(body.get("show", ""))
        if show not in SHOWN:
            self._unknown("panel", show, SHOWN, show)
        of = tuple(self._named(o, "panel") for o in body.get("of", ()))
        return PanelSpec(show, of, str(body.get("title", "")))

    def _measure(self, text: str, of: str) -> Measure:
        match = re.fullmatch(r"(\w+)(?:\[([^\]]*)\])?", text.strip())
        what, argument = (match[1], match[2] or "") if match else (text, "")
        experiment = self.experiments.get(of)
        known = MEASURES[type(experiment).__name__] if experiment else {m for ms in MEASURES.values() for m in ms}
        if what not in known:
            self._unknown("measure", what, sorted(known), text)
        return Measure(what, argument)

    def _named(self, name: Any, _where: str) -> str:
        if name and name not in self.experiments:
            self._unknown("experiment", str(name), list(self.experiments), str(name))
        return str(name)

    # Faults, and where in the text they stand.

    def _known(self, table: Mapping[str, Any], names: Sequence[str], where: str, what: str) -> None:
        for key in table:
            if key not in names:
                near = closest(key, names)
                help_ = f"did you mean `{near}`?" if near else f"known: {', '.join(sorted(names)[:24])}"
                self._fault("unknown-key", f"{what} knows no `{key}`", where, key, help=help_)

    def _unknown(self, what: str, name: str, known: Sequence[str], find: str) -> None:
        near = closest(name, known)
        help_ = f"did you mean `{near}`?" if near else None
        expected = f"one of {', '.join(known)}" if known else None
        self.faults.append(
            Diagnostic("unknown-name", f"there is no {what} `{name}`", self._at(f'"{find}"', 1), expected, help=help_)
        )

    def _fault(self, code: str, message: str, where: str, key: str = "", number: int = 0, help: str = "") -> None:
        at = self._at_key(where, key, number)
        self.faults.append(Diagnostic(code, message, at, help=help or None, path=str(self.path)))

    def _at_key(self, where: str, key: str, number: int) -> Location | None:
        """A key inside the table `where`, or the table's own head."""
        heads = [m.start() for m in re.finditer(rf"^\[+{re.escape(where)}\]+", self.source.text, re.MULTILINE)]
        start = heads[min(number, len(heads) - 1)] if heads else 0
        if key:
            match = re.compile(rf"^\[*(?:\w+\.)*({re.escape(key)})\b", re.MULTILINE).search(self.source.text, start)
            match = match or re.search(rf"\b({re.escape(key)})\s*=", self.source.text)
            return Location(self.source, Span(*match.span(1))) if match else None
        end = self.source.text.find("\n", start)
        return Location(self.source, Span(start, end if end > 0 else len(self.source.text))) if heads else None

    def _at(self, text: str, inset: int) -> Location | None:
        start = self.source.text.find(text)
        return Location(self.source, Span(start + inset, start + len(text) - inset)) if start >= 0 else None

    def _table(self, table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        value = table.get(key, {})
        if isinstance(value, dict):
            return value
        self._fault("not-a-table", f"`{key}` must be written as [{key}.NAME]", "", key)
        return {}

    def _list(self, table: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
        value = table.get(key, [])
        if isinstance(value, list) and all(isinstance(v, dict) for v in value):
            return value
        self._fault("not-a-list", f"`{key}` must be written as [[{key}]]", "", key)
        return []

    def _text(self, table: Mapping[str, Any], key: str, default: str) -> str:
        value = table.get(key, default)
        if not isinstance(value, str):
            self._fault("wrong-type", f"`{key}` must be a text", "", key)
            return default
        return value


def _pair(value: Any) -> tuple[int, int] | None:
    if isinstance(value, list) and len(value) == 2 and all(isinstance(v, int) for v in value):
        return value[0], value[1]
    return None
