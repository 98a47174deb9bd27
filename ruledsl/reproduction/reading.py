"""Reads files of claims: TOML, with one message for each fault, at its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

from ruledsl.ir import Diagnostic, Location, RuleError, SourceFile, Span, raise_errors
from ruledsl.language import closest
from ruledsl.reproduction.claims import (
    THEORIES,
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
from ruledsl.reproduction.measures import MEASURES, SHOWN, measures_of
from ruledsl.settings import TABLE, Check, Wrong
from ruledsl.settings import checks as c

OWN: Mapping[str, Mapping[str, Check]] = {
    "training": {"rule": c.text, "dataset": c.text, "label": c.text, "l1": c.not_negative,
    "frozen_at": c.text},
    "stream": {
        "rule": c.text, "dataset": c.text, "label": c.text, "samples": c.count, "test_images": c.count,
        "theta": c.coefficients, "theta_of": c.text,
    },
    "theory": {"kind": c.choice(*THEORIES), "label": c.text, "samples": c.count},
}  # fmt: skip
"""Keys of each kind of experiment, besides settings."""
CLAIMED: Mapping[str, Check] = {name: s.check for name, s in TABLE.items() if s.claimed}
"""Every setting that an experiment may change."""
NEEDED = {"training": "rule", "stream": "rule", "theory": "kind"}
CLAIM: Mapping[str, Check] = {
    "name": c.text, "says": c.text, "printed": c.text, "of": c.text, "against": c.text, "measure": c.text,
    "episodes": c.window, "between": c.growing_pair, "at_least": c.number, "at_most": c.number,
    "mark": c.number,
    "within": c.positive, "if_not": c.table, "each": c.entries,
}  # fmt: skip
EXPLANATION: Mapping[str, Check] = {"reason": c.text, "of": c.text, "against": c.text, "measure": c.text}
ALTERNATIVE: Mapping[str, Check] = {
    "name": c.text, "here": c.text, "there": c.text, "of": c.text, "others": c.names, "measures": c.names,
    "there_measures": c.names, "episodes": c.window,
}  # fmt: skip
PANEL: Mapping[str, Check] = {"show": c.choice(*SHOWN), "of": c.names, "title": c.text}
NAME = re.compile(r"[\w-]+")


def read_claims(path: Path) -> ClaimFile:
    """A file of claims. Raises `RuleError` with every fault that was found in it."""
    try:
        text = path.read_text(encoding="utf-8-sig")
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
        self.experiments: dict[str, Experiment] = {}

    def file(self) -> ClaimFile:
        table = self._parsed()
        top = {"title": c.text, "text": c.text, "dataset": c.text}
        sections = dict.fromkeys((*OWN, "claim", "alternative", "panel"), Check("", lambda v: v))
        head = self._checked(table, top | sections, _Place("the file"))
        self.dataset = head.get("dataset", "emnist-bymerge/test")
        for kind in OWN:
            for name, body in self._tables(table, kind):
                self._experiment(kind, name, body)
        self._references()
        claims = [claim for n, body in self._list(table, "claim") for claim in self._claims(body, n)]
        alternatives = [self._alternative(body, n) for n, body in self._list(table, "alternative")]
        panels = [self._panel(body, n) for n, body in self._list(table, "panel")]
        if not claims and not alternatives and not self.faults:
            self._fault("empty", "this file holds no claim", _Place(""))
        for name in {x.name for x in claims if sum(x.name == y.name for y in claims) > 1}:
            self._fault("duplicate", f"there are two claims `{name}`", _Place("", text=f'"{name}"'))
        title, text = head.get("title", self.path.stem), head.get("text", "")
        return ClaimFile(
            self.path, title, text, self.experiments, tuple(claims), tuple(alternatives), tuple(panels)
        )

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
            raise RuleError(
                Diagnostic("not-toml", f"this is not TOML: {message}", at, path=str(self.path))
            ) from None
        except (RecursionError, ValueError) as error:  # nested too deeply, or a number of a million digits
            reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise RuleError(
                Diagnostic("not-toml", f"cannot be read: {reason}", path=str(self.path))
            ) from None

    def _experiment(self, kind: str, name: str, body: Any) -> None:
        place = _Place(f"[{kind}.{name}]", f"{kind}.{name}")
        if not NAME.fullmatch(name):
            self._fault(
                "bad-name", f"an experiment's name is letters, digits, `_` and `-`, not `{name}`", place
            )
        if name in self.experiments:
            self._fault("duplicate", f"there are two experiments `{name}`", place)
        if not isinstance(body, dict):
            self._fault("not-a-table", f"write [{kind}.{name}] with keys below it", place)
            body = {NEEDED[kind]: ""}
        own = OWN[kind]
        found = self._checked(body, {**CLAIMED, **own}, place)
        if NEEDED[kind] not in body:
            self._fault("missing", f"[{kind}.{name}] lacks `{NEEDED[kind]}`", place)
        settings = {key: value for key, value in found.items() if key not in own}
        values: dict[str, Any] = {key: value for key, value in found.items() if key in own}
        values.setdefault(NEEDED[kind], "")
        if kind == "theory":
            self.experiments[name] = Theory(name=name, settings=settings, **values)
            return
        values.setdefault("dataset", self.dataset)
        made = Training if kind == "training" else LongStream
        self.experiments[name] = made(name=name, settings=settings, **values)

    def _references(self) -> None:
        """`frozen_at` and `theta_of` must name trainings, and never come back to where they began."""
        for name, experiment in self.experiments.items():
            for key in ("frozen_at", "theta_of"):
                other = getattr(experiment, key, "")
                kind = "training" if isinstance(experiment, Training) else "stream"
                place = _Place("", f"{kind}.{name}", key)
                if other and not isinstance(self.experiments.get(other), Training):
                    trainings = [
                        n for n, e in self.experiments.items() if isinstance(e, Training) and n != name
                    ]
                    self._unknown("training", other, trainings, place)
                seen = [name]
                while other and isinstance(self.experiments.get(other), Training):
                    if other in seen:
                        self._fault(
                            "circular", f"`{name}` waits for itself: {' → '.join([*seen, other])}", place
                        )
                        break
                    seen.append(other)
                    other = getattr(self.experiments[other], "frozen_at", "")

    def _claims(self, body: Mapping[str, Any], n: int) -> Iterator[Claim]:
        """One claim, or one for each entry of `each`:
        `{}` stands for it, and lists give one value to each."""
        place = _Place(f"[[claim]] number {n + 1}", "claim", number=n)
        if "each" not in body:
            yield self._claim(body, place)
            return
        each = self._checked({"each": body["each"]}, CLAIM, place).get("each", ())
        before = len(self.faults)
        for k, entry in enumerate(each):
            own = {
                key: _for_entry(key, value, entry, k, len(each))
                for key, value in body.items()
                if key != "each"
            }
            claim = self._claim(own, place)
            yield claim
            if len(self.faults) > before:
                return  # the same fault for every entry would say nothing new

    def _claim(self, body: Mapping[str, Any], place: _Place) -> Claim:
        found = self._checked(body, CLAIM, place)
        self._require(body, ("name", "says", "of", "measure"), place)
        of, against = (self._named(found.get(key, ""), place.at(key)) for key in ("of", "against"))
        measure = self._measure(found.get("measure", ""), (of, against), place.at("measure"))
        low, high = self._accepted(body, found, place)
        explanation = None
        if "if_not" in found:
            inner = self._checked(found["if_not"], EXPLANATION, place.at("if_not"))
            self._require(inner, ("reason", "of"), place.at("if_not"))
            others = [
                self._named(inner.get(k, d), place.at("if_not"))
                for k, d in (("of", ""), ("against", against))
            ]
            other = (
                self._measure(inner.get("measure", ""), others, place.at("if_not"))
                if "measure" in inner
                else None
            )
            explanation = Explanation(inner.get("reason", ""), others[0], others[1], other)
        return Claim(
            found.get("name", ""), found.get("says", ""), found.get("printed", ""), of, measure, against,
            found.get("episodes"), low, high, found.get("mark"), explanation,
        )  # fmt: skip

    def _accepted(
        self, body: Mapping[str, Any], found: Mapping[str, Any], place: _Place
    ) -> tuple[float, float]:
        """The numbers that agree: `between`, `at_least` and `at_most`, or `mark` and `within`;
        one way only."""
        ways = [key for key in ("between", "within") if key in body]
        ways += ["at"] if {"at_least", "at_most"} & set(body) else []
        if "within" in body and "mark" not in body:
            self._fault("missing", "`within` needs a `mark` to be around", place.at("within"))
        elif len(ways) != 1:
            message = "accepts every number" if not ways else "says in two ways what agrees"
            help_ = "give one of `between = [a, b]`, `at_least`, `at_most`, or `mark` with `within`"
            self._fault("no-test", f"{place.what} {message}", place, help_)
        if "within" in found and "mark" in found:
            return found["mark"] - found["within"], found["mark"] + found["within"]
        low, high = found.get("between", (found.get("at_least", -inf), found.get("at_most", inf)))
        if low > high:
            self._fault("no-test", f"{place.what} accepts no number", place.at("at_least"))
        return low, high

    def _alternative(self, body: Mapping[str, Any], n: int) -> Alternative:
        place = _Place(f"[[alternative]] number {n + 1}", "alternative", number=n)
        found = self._checked(body, ALTERNATIVE, place)
        self._require(body, ("name", "of", "others"), place)
        of = self._named(found.get("of", ""), place.at("of"))
        others = tuple(self._named(o, place.at("others")) for o in found.get("others", ()))
        measures = tuple(
            self._measure(m, (of,), place.at("measures")) for m in found.get("measures", ("accuracy",))
        )
        asked = found.get("there_measures", found.get("measures", ("accuracy",)))
        there = tuple(self._measure(m, others, place.at("measures")) for m in asked)
        if len(there) != len(measures):
            self._fault(
                "wrong-length", "`there_measures` must be as many as `measures`", place.at("there_measures")
            )
        return Alternative(
            found.get("name", ""), found.get("here", ""), found.get("there", ""), of, others, measures, there,
            found.get("episodes"),
        )  # fmt: skip

    def _panel(self, body: Mapping[str, Any], n: int) -> PanelSpec:
        place = _Place(f"[[panel]] number {n + 1}", "panel", number=n)
        found = self._checked(body, PANEL, place)
        self._require(body, ("show",), place)
        show, of = found.get("show", ""), found.get("of", ())
        for name in of:
            self._named(name, place.at("of"))
        kinds = {type(self.experiments[name]) for name in of if name in self.experiments}
        if show and show != "claims":
            drawable = {Training} if show in ("loss", "theta", "ortho") else {Training, LongStream}
            if len(kinds) != 1 or not kinds <= drawable:
                words = "trainings" if len(drawable) == 1 else "trainings, or long streams,"
                self._fault("wrong-kind", f"a panel of `{show}` shows {words} of one kind", place.at("of"))
        return PanelSpec(show, of, found.get("title", ""))

    def _measure(self, text: str, of: Sequence[str], place: _Place) -> Measure:
        match = re.fullmatch(r"(\w+)(?:\[([^\]]+)\])?", text.strip())
        what, argument = (match[1], match[2] or "") if match else (text, "")
        experiments = [self.experiments[name] for name in of if name in self.experiments]
        kinds = [set(measures_of(type(e).__name__)) for e in experiments]
        known = set.intersection(*kinds) if kinds else set()
        row = MEASURES.get(what)
        if text and kinds and what not in known:
            self._unknown("measure", what, sorted(known), place)
        elif row is None:
            pass  # said already, where its experiments are unknown
        elif row.argument and not argument:
            self._fault("missing", f"`{what}` needs something in brackets: {row.argument}", place)
        elif argument and not row.argument and not row.may_name_layer:
            self._fault("wrong-measure", f"`{what}` takes nothing in brackets", place)
        elif row.is_number and not re.fullmatch(r"\d+(\.\d+)?", argument, re.ASCII):
            self._fault("wrong-measure", f"`{what}[…]` takes a number, not `{argument}`", place)
        return Measure(what, argument)

    def _named(self, name: str, place: _Place) -> str:
        if name and name not in self.experiments:
            self._unknown("experiment", name, list(self.experiments), place)
        return name

    # Faults, and where in the text they stand.

    def _checked(self, body: Mapping[str, Any], known: Mapping[str, Check], place: _Place) -> dict[str, Any]:
        """The values whose keys are known and that are what they must be; a fault for each other one."""
        found = {}
        for key, value in body.items():
            if key not in known:
                near = closest(key, known)
                help_ = f"did you mean `{near}`?" if near else f"known: {', '.join(sorted(known)[:24])}"
                self._fault("unknown-key", f"{place.what} knows no `{key}`", place.at(key), help_)
                continue
            try:
                found[key] = known[key](value)
            except Wrong as expected:
                self._fault("wrong-value", f"`{key}` of {place.what} must be {expected}", place.at(key))
        return found

    def _require(self, body: Mapping[str, Any], keys: Sequence[str], place: _Place) -> None:
        for key in keys:
            if key not in body or body[key] in ("", []):
                self._fault("missing", f"{place.what} lacks `{key}`", place)

    def _unknown(self, what: str, name: str, known: Sequence[str], place: _Place) -> None:
        near = closest(name, known)
        help_ = f"did you mean `{near}`?" if near else None
        expected = f"one of {', '.join(known)}" if known else None
        at = self._at(place)
        message = f"there is no {what} `{name}`"
        fault = Diagnostic("unknown-name", message, at, expected, help=help_, path=str(self.path))
        if fault not in self.faults:
            self.faults.append(fault)

    def _fault(self, code: str, message: str, place: _Place, help_: str = "") -> None:
        self.faults.append(
            Diagnostic(code, message, self._at(place), help=help_ or None, path=str(self.path))
        )

    def _at(self, place: _Place) -> Location | None:
        """A key, with its value's line, inside the n-th table of a name; else the table's own head;
        else nothing."""
        text = self.source.text
        if place.text:
            start = text.find(place.text)
            return Location(self.source, Span(start, start + len(place.text))) if start >= 0 else None
        heads = [m.start() for m in re.finditer(rf"^\[+{re.escape(place.table)}\]+", text, re.MULTILINE)]
        start = heads[min(place.number, len(heads) - 1)] if heads and place.table else 0
        if place.key:
            match = re.compile(rf"^\[*(?:\w+\.)*({re.escape(place.key)})\b", re.MULTILINE).search(text, start)
            match = match or re.compile(rf"\b({re.escape(place.key)})\s*=").search(text, start)
            if match:
                return Location(self.source, Span(*match.span(1)))
        end = text.find("\n", start)
        return (
            Location(self.source, Span(start, end if end > 0 else len(text)))
            if heads and place.table
            else None
        )

    def _tables(self, table: Mapping[str, Any], key: str) -> Iterator[tuple[str, Any]]:
        value = table.get(key, {})
        if isinstance(value, dict):
            yield from value.items()
        else:
            self._fault("not-a-table", f"`{key}` must be written as [{key}.NAME]", _Place("", key=key))

    def _list(self, table: Mapping[str, Any], key: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
        value = table.get(key, [])
        if isinstance(value, list) and all(isinstance(v, dict) for v in value):
            yield from enumerate(value)
        else:
            self._fault("not-a-list", f"`{key}` must be written as [[{key}]]", _Place("", key=key))


class _Place:
    """Where a fault is to be shown: in words, by table and number, by key, or by a text."""

    def __init__(self, what: str, table: str = "", key: str = "", number: int = 0, text: str = "") -> None:
        self.what, self.table, self.key, self.number, self.text = what, table, key, number, text

    def at(self, key: str) -> _Place:
        """A key of the same table."""
        return _Place(self.what, self.table, key, self.number)


def _for_entry(key: str, value: Any, entry: str | int, place: int, total: int) -> Any:
    """A value of a claim with `each`, for one entry."""
    if isinstance(value, str):
        return value.replace("{}", str(entry))
    if isinstance(value, dict):
        return {k: v.replace("{}", str(entry)) if isinstance(v, str) else v for k, v in value.items()}
    listed = isinstance(value, list) and len(value) == total
    own = key in ("mark", "printed") or (
        key == "between" and listed and all(isinstance(v, list) for v in value)
    )
    return value[place] if listed and own else value
