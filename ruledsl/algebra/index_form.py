"""Tree to index form: what every node says about one entry, with matrix products as sums over cells."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import sympy as sp

from ruledsl.algebra.contraction import MAX_BOUND, TooManySums, contract, expand
from ruledsl.algebra.entries import (
    COLUMN,
    ROW,
    SIZE,
    Contract,
    Entry,
    entry,
    factors_of,
    free_indices,
    fresh_index,
    make_function,
    make_trace,
    product_of,
    renamed,
    summands_of,
)
from ruledsl.algebra.sides import seen_from_feedback
from ruledsl.checks import shape_of
from ruledsl.ir import (
    ELEMENTWISE,
    SCALAR,
    Binary,
    Call,
    Diagnostic,
    Expression,
    InternalError,
    Location,
    Name,
    Negate,
    Number,
    Power,
    RuleError,
    Shape,
    Side,
    SourceFile,
    Transpose,
)
from ruledsl.language import Term, shape_of_quantity

MAX_MONOMIALS = 500
MAX_EXPONENT = 1000
MAX_SUM_EXPONENT = 50
"""Of a sum over cells: it is multiplied out as so many sums."""
MAX_MAGNITUDE = 308
"""Powers of ten that a number may be away from 1 after a power: as a float it would be 0 or infinite."""
MAX_DIGITS = 10_000
"""Of an exact number after a power."""
LARGEST = 10**308


@dataclass(frozen=True)
class IndexForm:
    """ΔW[j, i] of a term, expanded: a sum of products of entries, functions and sums over cells."""

    entry: sp.Expr

    @property
    def reads(self) -> frozenset[str]:
        """The names of all quantities that occur."""
        return frozenset(atom.quantity for atom in self.entry.atoms(Entry))

    @property
    def monomials(self) -> tuple[sp.Expr, ...]:
        return tuple(summands_of(self.entry))  # type: ignore[arg-type]

    @property
    def written_size(self) -> float:
        """The largest number that multiplies a product: 1000 for `-1000 * e_post * y_pre^T + W`."""
        return max(abs(float(product.as_coeff_Mul()[0])) for product in self.monomials)


@lru_cache(maxsize=4096)
def index_form(term: Term) -> IndexForm:
    """The canonical index form of a shape-checked term; kept, since a file is checked before its rules are.

    Raises `RuleError` when the term is identically zero, holds a number that is not finite, or
    grows beyond reason when multiplied out.
    """
    expression = seen_from_feedback(term.expression) if term.target == "B" else term.expression
    form = expand(_Folder(term.source).fold(expression))
    at = Location(term.source, term.span)
    if not _is_finite(form):
        message = f"`{term.name}` holds a number that is not real and finite"
        raise RuleError(
            Diagnostic("not-finite", message, at, help="is something divided by zero, or a root negative?")
        )
    if form == 0:
        raise RuleError(
            Diagnostic(
                "zero-term",
                f"`{term.name}` is identically zero",
                at,
                found="everything cancels",
                help="remove the term, or mend the sign",
            )
        )
    return IndexForm(form)


def _is_finite(form: sp.Expr) -> bool:
    """Whether every number in a form is real and fits a float."""
    if form.has(sp.zoo, sp.nan, sp.oo, -sp.oo, sp.I):
        return False
    if any(power.is_real is False for power in form.atoms(sp.Pow)):
        return False
    return all(abs(number) < LARGEST for number in form.atoms(sp.Number))


@dataclass
class _Folder:
    """Each node becomes its entry at row index `ROW[side]` and column index of its column side.

    A column vector is indexed by ROW; a matrix by (ROW of rows, and for its columns ROW of the
    other side or COLUMN of the same side), so that a finished term is indexed by (j, i).
    """

    source: SourceFile

    def fold(self, node: Expression) -> sp.Expr:
        try:
            value = self._fold(node)
        except TooManySums:
            message = f"this product sums over more than {MAX_BOUND} populations at once"
            at = Location(self.source, node.span)
            raise RuleError(
                Diagnostic("too-large", message, at, help="split it into several terms")
            ) from None
        self._limit(len(summands_of(value)), node)
        return value

    def _fold(self, node: Expression) -> sp.Expr:
        match node:
            case Number(value):
                return sp.Rational(value.numerator, value.denominator)
            case Name(name):
                return _quantity(name)
            case Negate(operand):
                return -self.fold(operand)
            case Transpose(operand):
                return _transpose(self.fold(operand), shape_of(operand))
            case Binary("+", left, right):
                return self.fold(left) + self.fold(right)
            case Binary("-", left, right):
                return self.fold(left) - self.fold(right)
            case Binary("/", left, right):
                return expand(self.fold(left) / self._divisor(right))
            case Binary(".*", left, right):
                return expand(self.fold(left) * self.fold(right))
            case Binary("*", left, right):
                return self._product(left, right)
            case Power(base, exponent):
                return self._power(node, base, self.fold(exponent))
            case Call():
                return self._call(node)
        raise InternalError(f"the index form has no case for {type(node).__name__}")

    def _divisor(self, node: Expression) -> sp.Expr:
        value = self.fold(node)
        if value == 0:
            at = Location(self.source, node.span)
            raise RuleError(Diagnostic("not-finite", "this is zero, and something is divided by it", at))
        return value

    def _product(self, left: Expression, right: Expression) -> sp.Expr:
        first, second = self.fold(left), self.fold(right)
        a, b = shape_of(left), shape_of(right)
        self._limit(len(summands_of(first)) * len(summands_of(second)), left)
        if a.is_scalar or b.is_scalar:
            return expand(first * second)
        renaming: dict[sp.Symbol, sp.Symbol] = {}
        if b.columns is not None:
            renaming[column_index(b)] = column_index(Shape(a.rows, b.columns))
        if a.columns is None:
            return expand(first * renamed(second, renaming))
        bound = fresh_index(a.columns)
        renaming[ROW[a.columns]] = bound
        return contract(renamed(first, {column_index(a): bound}) * renamed(second, renaming), [bound])

    def _limit(self, summands: int, node: Expression) -> None:
        """Refuse what would grow beyond reason before it is multiplied out."""
        if summands > MAX_MONOMIALS:
            message = f"this expression has more than {MAX_MONOMIALS} summands when multiplied out"
            at = Location(self.source, node.span)
            raise RuleError(Diagnostic("too-large", message, at, help="split it into several terms"))

    def _power(self, node: Power, base: Expression, exponent: sp.Expr) -> sp.Expr:
        value = self.fold(base)
        self._refuse_diagonal(value, node)
        if value == 0 and exponent.is_negative:
            raise RuleError(
                Diagnostic(
                    "not-finite", "zero is raised to a negative power", Location(self.source, node.span)
                )
            )
        self._refuse_power(node, value, exponent)
        return expand(sp.Pow(value, exponent))

    def _refuse_power(self, node: Power, value: sp.Expr, exponent: sp.Expr) -> None:
        """Refuse what would grow beyond reason, by its size alone: the same text on every machine."""
        fault: tuple[str, str] | None = None
        numbers = [n for n in value.atoms(sp.Rational) if n not in (0, 1, -1)]
        if value.has(sp.zoo, sp.nan, sp.oo, -sp.oo):
            fault = ("not-finite", "this is a power of something that is not finite")
        elif abs(exponent) > MAX_EXPONENT:
            fault = ("too-large", f"this exponent is beyond ±{MAX_EXPONENT}")
        elif value.has(Contract) and abs(exponent) > MAX_SUM_EXPONENT:
            fault = ("too-large", f"this exponent of a sum over cells is beyond ±{MAX_SUM_EXPONENT}")
        elif abs(exponent) * max(map(_magnitude, numbers), default=0) > MAX_MAGNITUDE:
            fault = ("not-finite", "a number in this power is too large or too small for floating point")
        elif abs(exponent) * max(map(_digits, numbers), default=0) > MAX_DIGITS:
            fault = ("too-large", f"a number in this power has more than {MAX_DIGITS} digits")
        elif _expanded(value, exponent) > math.log(MAX_MONOMIALS):
            fault = ("too-large", f"this power has more than {MAX_MONOMIALS} summands when multiplied out")
        if fault:
            at = Location(self.source, node.span)
            hint = "use a smaller exponent" if fault[0] == "too-large" else None
            raise RuleError(Diagnostic(*fault, at, help=hint))

    def _call(self, node: Call) -> sp.Expr:
        argument = node.arguments[0]
        value, shape = self.fold(argument), shape_of(argument)
        match node.function:
            case "sum":
                return _total(value, shape)
            case "mean":
                return expand(_total(value, shape) / _count(shape))
            case "norm":
                return sp.sqrt(_total(expand(value**2), shape))
            case "outer":
                second = self.fold(node.arguments[1])
                same = shape.rows == shape_of(node.arguments[1]).rows
                side = shape.rows
                return expand(
                    value * (renamed(second, {ROW[side]: COLUMN[side]}) if same and side else second)
                )
            case "diag":
                side = shape.rows or "post"
                return expand(value * sp.KroneckerDelta(ROW[side], COLUMN[side]))
            case "trace":
                return self._trace(node, value)
        self._refuse_diagonal(value, node)
        found = _elementwise(node.function, value)
        if found is sp.nan:
            message = f"`{node.function}` of this number is not real and finite"
            raise RuleError(Diagnostic("not-finite", message, Location(self.source, node.span)))
        return found

    def _trace(self, node: Call, value: sp.Expr) -> sp.Expr:
        """A trace is linear: one for each monomial, numbers and sizes in front of it."""
        self._refuse_diagonal(value, node)
        tau = self.fold(node.arguments[1])
        total: sp.Expr = sp.S.Zero
        for monomial in summands_of(value):
            numbers = [f for f in factors_of(monomial) if not f.has(Entry)]
            followed = product_of(*(f for f in factors_of(monomial) if f.has(Entry)))
            if not free_indices(followed):
                message = "a trace of something that no single cell or synapse has"
                at = Location(self.source, node.span)
                raise RuleError(
                    Diagnostic("bad-trace", message, at, help="take numbers and ones out of the trace")
                )
            total += product_of(*numbers) * (followed if tau == 1 else make_trace(tau, followed))
        return expand(total)

    def _refuse_diagonal(self, value: sp.Expr, node: Expression) -> None:
        if value.has(sp.KroneckerDelta):
            message = "a function of a diagonal matrix is not supported: its zeros would no longer be zeros"
            raise RuleError(
                Diagnostic(
                    "diagonal-function",
                    message,
                    Location(self.source, node.span),
                    help="apply the function to the vector inside `diag(…)`",
                )
            )


def _expanded(value: sp.Expr, exponent: sp.Expr) -> float:
    """The logarithm of how many summands a power has at most when multiplied out, divisors of it too."""
    bases = [(value, exponent), *((p.base, p.exp * exponent) for p in value.atoms(sp.Pow))]
    whole = [(base, abs(int(power))) for base, power in bases if power.is_Integer]
    return max((math.log(len(summands_of(base))) * power for base, power in whole if power > 1), default=0.0)


def _magnitude(number: sp.Rational) -> float:
    """How many powers of ten an exact number is away from 1."""
    return abs(math.log10(abs(int(number.p))) - math.log10(int(number.q)))


def _digits(number: sp.Rational) -> float:
    """About how many digits an exact number is written with, which every factor of itself adds."""
    return math.log10(max(abs(int(number.p)), int(number.q)))


def column_index(shape: Shape) -> sp.Symbol:
    """The index symbol of a matrix's columns."""
    side: Side = shape.columns  # type: ignore[assignment]
    return COLUMN[side] if shape.rows == side else ROW[side]


def _quantity(name: str) -> sp.Expr:
    shape = shape_of_quantity(name)
    if shape == SCALAR:
        return SIZE["pre" if name == "n_pre" else "post"] if name.startswith("n_") else entry(name)
    if shape.columns is None:
        return entry(name, ROW[shape.rows])  # type: ignore[index]
    return entry(name, ROW["post"], ROW["pre"])


def _transpose(value: sp.Expr, shape: Shape) -> sp.Expr:
    if shape.rows is not None and shape.rows == shape.columns:
        return renamed(value, {ROW[shape.rows]: COLUMN[shape.rows], COLUMN[shape.rows]: ROW[shape.rows]})
    return value


def _total(value: sp.Expr, shape: Shape) -> sp.Expr:
    """Σ over every entry."""
    renaming: dict[sp.Symbol, sp.Symbol] = {}
    if shape.rows is not None:
        renaming[ROW[shape.rows]] = fresh_index(shape.rows)
    if shape.columns is not None:
        renaming[column_index(shape)] = fresh_index(shape.columns)
    return contract(renamed(value, renaming), list(renaming.values()))


def _count(shape: Shape) -> sp.Expr:
    return product_of(*(SIZE[side] for side in (shape.rows, shape.columns) if side is not None))


def _elementwise(function: str, value: sp.Expr) -> sp.Expr:
    row = ELEMENTWISE.get(function)
    if row is None:
        raise InternalError(f"the index form has no case for {function}")
    if row.rewritten is not None:
        rewritten = row.rewritten(sp, value)
        return rewritten if row.atom else expand(rewritten) if rewritten.is_polynomial() else rewritten
    if value.is_number:
        return _exact(row.exact(sp, value))
    if row.odd and value.could_extract_minus_sign():
        return -make_function(function, -value)
    return make_function(function, value)


def _exact(number: sp.Expr) -> sp.Expr:
    """A number that a float can hold, or NaN: SymPy would go on with e^(e^1000) for as long as it takes."""
    try:
        size = float(number)
    except (TypeError, ValueError, OverflowError):  # complex, undefined, or beyond any exponent
        return sp.nan
    return number if math.isfinite(size) else sp.nan
