"""Reads the brackets behind a term, an item or a rule's name into typed settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ruledsl.ir import Atom, Attribute, Diagnostic, Location, SourceFile
from ruledsl.language.definitions import LayerRange, TermOptions
from ruledsl.language.messages import closest

MAX_LAYER_DIGITS = 6
TERM_ATTRIBUTES = ("init", "fixed", "sign", "min", "max", "bounds", "cite", "layers", "same")
RULE_ATTRIBUTES = ("feedback", "cite")


@dataclass
class AttributeReader:
    """Turns attributes into `TermOptions`, collecting one diagnostic per fault."""

    source: SourceFile
    faults: list[Diagnostic]

    def term_settings(self, attributes: Sequence[Attribute]) -> TermOptions:
        found: dict[str, object] = {}
        readers: dict[str, Callable[[Attribute], dict[str, object]]] = {
            "init": lambda a: {"init": self._number(a)},
            "fixed": self._fixed,
            "sign": self._sign,
            "min": lambda a: {"minimum": self._number(a)},
            "max": lambda a: {"maximum": self._number(a)},
            "bounds": self._bounds,
            "cite": lambda a: {"cite": self._text(a)},
            "layers": lambda a: {"layers": self._layers(a)},
            "same": lambda a: {"same": self._name(a, "the term whose coefficient this one shares")},
        }
        for attribute in self._known(attributes, TERM_ATTRIBUTES):
            found.update(readers[attribute.name](attribute))
        if found.get("fixed") == "init":
            found["fixed"] = found.get("init", 1.0)
        self._check_bounds(attributes, found)
        return TermOptions(**found)  # type: ignore[arg-type]

    def rule_feedback(self, attributes: Sequence[Attribute]) -> str | None:
        """The feedback pathway a rule asks for, if it names one."""
        feedback = None
        for attribute in self._known(attributes, RULE_ATTRIBUTES):
            if attribute.name == "feedback":
                feedback = self._name(attribute, "the name of a feedback pathway")
            else:
                self._text(attribute)
        return feedback

    def _known(self, attributes: Sequence[Attribute], known: Sequence[str]) -> list[Attribute]:
        kept: dict[str, Attribute] = {}
        for attribute in attributes:
            if attribute.name not in known:
                self._unknown(attribute, known)
            elif attribute.name in kept:
                self._fault("duplicate-attribute", f"`{attribute.name}` is given twice", attribute)
            else:
                kept[attribute.name] = attribute
        return list(kept.values())

    def _unknown(self, attribute: Attribute, known: Sequence[str]) -> None:
        near = closest(attribute.name, known)
        hint = f"did you mean `{near}`?" if near else None
        if attribute.name in RULE_ATTRIBUTES:
            hint = f"`{attribute.name}` belongs to a rule: write `rule NAME [{attribute.name} = …] = …`"
        elif attribute.name in TERM_ATTRIBUTES:
            hint = f"`{attribute.name}` belongs to a term: write it behind the term"
        self._fault(
            "unknown-attribute",
            f"`{attribute.name}` is not an attribute here",
            attribute,
            expected=", ".join(f"`{k}`" for k in known),
            help=hint,
        )

    def _fault(
        self, code: str, message: str, at: Attribute, expected: str | None = None, help: str | None = None
    ) -> None:
        span = at.name_span if code.startswith(("unknown", "duplicate")) else at.span
        found = None if code.startswith(("unknown", "duplicate")) else f"`{self.source.slice(at.span)}`"
        self.faults.append(Diagnostic(code, message, Location(self.source, span), expected, found, help))

    def _single(self, attribute: Attribute, kind: str, expected: str) -> Atom | None:
        if len(attribute.values) == 1 and attribute.values[0].kind == kind:
            return attribute.values[0]
        example = {"number": "1e-3", "string": '"…"', "name": "…"}[kind]
        self._fault(
            "bad-attribute",
            f"`{attribute.name}` needs {expected}",
            attribute,
            expected=expected,
            help=f"write `{attribute.name} = {example}`",
        )
        return None

    def _number(self, attribute: Attribute) -> float | None:
        atom = self._single(attribute, "number", "one number")
        return float(atom.text) if atom else None

    def _text(self, attribute: Attribute) -> str | None:
        atom = self._single(attribute, "string", 'a text in "…"')
        return atom.text if atom else None

    def _name(self, attribute: Attribute, expected: str) -> str | None:
        atom = self._single(attribute, "name", expected)
        return atom.text if atom else None

    def _fixed(self, attribute: Attribute) -> dict[str, object]:
        if not attribute.values:
            return {"fixed": "init"}
        return {"fixed": self._number(attribute)}

    def _sign(self, attribute: Attribute) -> dict[str, object]:
        text = attribute.values[0].text if len(attribute.values) == 1 else ""
        if text == "positive":
            return {"minimum": 0.0}
        if text == "negative":
            return {"maximum": 0.0}
        near = closest(text, ("positive", "negative"))
        hint = f"did you mean `{near}`?" if near else "leave `sign` out for a free sign"
        self._fault(
            "bad-attribute", "`sign` is `positive` or `negative`", attribute, "`positive` or `negative`", hint
        )
        return {}

    def _bounds(self, attribute: Attribute) -> dict[str, object]:
        values = [v for v in attribute.values if v.kind == "number"]
        if len(values) != 2 or len(attribute.values) != 2:
            self._fault(
                "bad-attribute",
                "`bounds` needs two numbers",
                attribute,
                "two numbers",
                "write `bounds = -1 1`",
            )
            return {}
        return {"minimum": float(values[0].text), "maximum": float(values[1].text)}

    def _layers(self, attribute: Attribute) -> tuple[LayerRange, ...] | None:
        ranges: list[LayerRange] = []
        for atom in attribute.values:
            first, _, last = atom.text.partition("..")
            whole = all(n.isdigit() and len(n) <= MAX_LAYER_DIGITS for n in (first, last or first))
            if atom.kind not in ("number", "range") or not whole:
                ranges = []
                break
            ranges.append((int(first), int(last or first)))
        if ranges and all(1 <= low <= high for low, high in ranges):
            return tuple(ranges)
        self._fault(
            "bad-attribute",
            "`layers` lists postsynaptic layers, counted from 1",
            attribute,
            expected="whole numbers or ranges",
            help="write `layers = 1 3` or `layers = 2..4`",
        )
        return None

    def _check_bounds(self, attributes: Sequence[Attribute], found: dict[str, object]) -> None:
        low, high = found.get("minimum"), found.get("maximum")
        low = low if isinstance(low, float) else float("-inf")
        high = high if isinstance(high, float) else float("inf")
        if low > high:
            self._fault("bad-attribute", f"the bounds {low:g} and {high:g} leave no value", attributes[-1])
            return
        for name in ("init", "fixed"):
            value = found.get(name)
            if isinstance(value, float) and not low <= value <= high:
                at = next((a for a in attributes if a.name == name), attributes[-1])
                self._fault("bad-attribute", f"θ would start at {value:g}, outside its bounds", at)
