"""`.rule` texts: characters at random, the grammar at random, and shipped rules with a few bytes changed."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import ruledsl
from fuzz.attack import Attack
from ruledsl.language import QUANTITIES, packaged_files

FUNCTIONS = [
    "exp",
    "log",
    "tanh",
    "relu",
    "sigmoid",
    "softplus",
    "sqrt",
    "abs",
    "sign",
    "sum",
    "mean",
    "norm",
    "outer",
    "diag",
    "trace",
    "square",
    "cube",
]
OPERATORS = (" + ", " - ", " * ", " .* ", " / ", " ⊙ ", "·")
NUMBERS = (
    "0",
    "1",
    "2",
    "0.5",
    "1e-300",
    "1e300",
    "1e308",
    "3.14159",
    "1000",
    "1e15",
    "0.1",
    ".5",
    "-1",
    "1e",
)
ODD = "\x00\x1c\x1e\x85\u2028\u2029\ufeff\u200b𝟏ᵀ⊤⊙·×−–\\\"'#/[](){}^*.+-=,;:@!~\t\n\r\v\f é中🙂"
ATTRIBUTES = (
    "init = {n}", "fixed = {n}", "min = {n}", "max = {n}", "bounds = {n} {n}", "sign = positive",
    "layers = {n}", "layers = 1..{n}", "theta = {n}", "cite = \"x\"", "same = t0", "nonsense", "init",
)  # fmt: skip


class Texts(Attack):
    name = "texts"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        ruledsl.rule("term first = W")  # whoever is first loads SymPy and the grammar

    def draw(self, chance: random.Random) -> str:
        kind = chance.random()
        if kind < 0.15:
            return _noise(chance)
        if kind < 0.3:
            return _mutated(chance)
        return _file(chance)

    def attempt(self, case: str) -> str:
        ruledsl.rule(case)
        return "taken"


def _noise(chance: random.Random) -> str:
    alphabet = ODD + "term rule let const y_post W e_pre 0123456789"
    return "".join(chance.choice(alphabet) for _ in range(chance.randrange(60)))


@cache
def _shipped() -> tuple[str, ...]:
    return tuple(p.read_text(encoding="utf-8") for p in packaged_files())


def _mutated(chance: random.Random) -> str:
    text = list(chance.choice(_shipped()))
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(text))
        match chance.randrange(4):
            case 0:
                del text[at : at + chance.randrange(1, 20)]
            case 1:
                text.insert(at, chance.choice(ODD))
            case 2:
                text[at] = chance.choice(ODD)
            case _:
                text[at:at] = text[at : at + chance.randrange(1, 40)]
        text = text or [" "]
    return "".join(text)


def _file(chance: random.Random) -> str:
    names = [f"t{n}" for n in range(chance.choice((1, 1, 1, 2, 4)))]
    lets = [f"let a{n} = {_sum(chance, 2)}" for n in range(chance.choice((0, 0, 0, 1, 3)))]
    terms = [f"term {n}{_target(chance)} = {_term(chance)}{_attributes(chance)}" for n in names]
    rules = [f"rule r = {' + '.join(names)}{_attributes(chance)}"] if chance.random() < 0.2 else []
    return "\n".join([*lets, *terms, *rules])


def _target(chance: random.Random) -> str:
    return chance.choice((" for B", " for bias", " for W", ' "note"')) if chance.random() < 0.1 else ""


def _attributes(chance: random.Random) -> str:
    if chance.random() > 0.15:
        return ""
    chosen = chance.sample(ATTRIBUTES, chance.choice((1, 1, 2)))
    return " [" + ", ".join(c.replace("{n}", chance.choice(NUMBERS)) for c in chosen) + "]"


def _term(chance: random.Random) -> str:
    """Often of the right shape, so that what lies behind the check of shapes is reached."""
    post, pre = _vector(chance, "post", 2), _vector(chance, "pre", 2)
    shape = chance.random()
    if shape < 0.35:
        return f"{post} * ({pre})^T"
    if shape < 0.5:
        return f"{_scalar(chance, 2)} * W"
    if shape < 0.6:
        return f"diag({post}) * W"
    if shape < 0.7:
        return f"({post}) * (({post})^T * W)"
    if shape < 0.75:
        return f"(W * ({pre})) * ({pre})^T"
    return _sum(chance, 4)


def _vector(chance: random.Random, side: str, depth: int) -> str:
    own = [f"{q}_{side}" for q in ("y", "z", "e", "1", "exc", "inh")]
    if depth == 0 or chance.random() < 0.4:
        return chance.choice(own)
    inner = _vector(chance, side, depth - 1)
    match chance.randrange(9):
        case 0:
            return f"{chance.choice(FUNCTIONS[:8])}({inner})"
        case 1:
            return f"({inner} + {_vector(chance, side, depth - 1)})"
        case 2:
            return f"({inner} .* {_vector(chance, side, depth - 1)})"
        case 3:
            return f"({inner}).^{chance.choice(NUMBERS)}"
        case 4:
            return f"{_scalar(chance, depth - 1)} * {inner}"
        case 5:
            return f"trace({inner}, {chance.choice(NUMBERS)})"
        case 6:
            return f"({inner} / {_scalar(chance, depth - 1)})"
        case 7 if side == "post":
            return f"(W * ({_vector(chance, 'pre', depth - 1)}))"
        case _:
            return f"-{inner}"


def _scalar(chance: random.Random, depth: int) -> str:
    number = chance.choice(NUMBERS)
    plain = (number, "n_pre", "n_post", "third", f"({number}^{chance.choice(NUMBERS)})", f"exp({number})",
             f"(n_pre + 1)^{number}", f"(1/{number})", "norm(W)")  # fmt: skip
    if depth == 0 or chance.random() < 0.6:
        return chance.choice(plain)
    function, side = chance.choice(("sum", "mean", "norm")), chance.choice(("pre", "post"))
    return f"{function}({_vector(chance, side, depth - 1)})"


def _sum(chance: random.Random, depth: int) -> str:
    if depth == 0 or chance.random() < 0.25:
        return chance.choice((*QUANTITIES, *NUMBERS, "a0"))
    inner = _sum(chance, depth - 1)
    match chance.randrange(6):
        case 0:
            return f"{inner}{chance.choice(OPERATORS)}{_sum(chance, depth - 1)}"
        case 1:
            return f"{chance.choice(FUNCTIONS)}({inner})"
        case 2:
            return f"({inner}){chance.choice(('^', '.^'))}{chance.choice((*NUMBERS, '(-1)', '(1/3)'))}"
        case 3:
            return f"({inner})^T"
        case 4:
            return f"({inner})"
        case _:
            return f"-{inner}"
