"""Settles the names of one file's expressions: quantities stay, abbreviations are written out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ruledsl.errors import PluginError
from ruledsl.ir import (
    Binary,
    Call,
    Diagnostic,
    Expression,
    InternalError,
    LetStatement,
    Location,
    Module,
    Name,
    Negate,
    Number,
    Power,
    Span,
    TermStatement,
    Transpose,
    children,
)
from ruledsl.language.attributes import AttributeReader
from ruledsl.language.builder import MAX_DEPTH
from ruledsl.language.definitions import Term
from ruledsl.language.functions import Formula
from ruledsl.language.messages import closest
from ruledsl.language.vocabulary import (
    ALIASES,
    FUNCTIONS,
    NON_LOCAL,
    QUANTITIES,
    TARGETS,
    readable_by,
    why_hidden,
)
from ruledsl.registry import find, names_of
from ruledsl.wording import counted

MAX_NODES = 5000


@dataclass
class ModuleResolver:
    """Resolves every term of one module; faults are collected, never raised."""

    module: Module
    faults: list[Diagnostic] = field(default_factory=list)
    _expanded: dict[str, Expression | None] = field(default_factory=dict)
    _open: list[LetStatement] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lets = {s.name: s for s in self.module.statements if isinstance(s, LetStatement)}
        self._terms = {s.name for s in self.module.statements if not isinstance(s, LetStatement)}

    def abbreviations(self) -> None:
        """Resolve each `let` and `const` once, so that faults in unused ones are reported too."""
        for let in self._lets.values():
            self._check_name(let.name, let.name_span)
            self._let(let)

    def term(self, statement: TermStatement) -> Term | None:
        """The resolved term, or None when its expression has a fault."""
        self._check_name(statement.name, statement.name_span)
        if statement.target not in TARGETS:
            near = closest(statement.target, TARGETS)
            self._fault(
                "unknown-target",
                f"a term updates `W`, `B` or `bias`, not `{statement.target}`",
                statement.target_span,
                expected=", ".join(f"`{t.name}` ({t.meaning})" for t in TARGETS.values()),
                help=f"did you mean `{near}`?" if near else f"write `term {statement.name} = …`",
            )
            return None
        reader = AttributeReader(self.module.source, self.faults)
        settings = reader.term_settings(statement.attributes)
        expression = self._resolve(statement.expression)
        if expression is None or self._too_large(expression, statement.expression.span):
            return None
        if not self._readable(expression, statement.target):
            return None
        source, span = self.module.source, statement.name_span
        return Term(statement.name, expression, statement.note, settings, statement.target, source, span)

    def _readable(self, expression: Expression, target: str) -> bool:
        """Whether a term reads only what is present at the synapses, or cells, that it moves."""
        allowed = readable_by(target)
        for node in names_in(expression):
            if node.name not in allowed:
                self._fault(
                    "non-local-name",
                    f"`{node.name}` is not local: {why_hidden(node.name, target)}",
                    node.span,
                    expected="quantities of one synapse layer: " + ", ".join(allowed),
                )
                return False
        return True

    # -------------------------------------------------------------------------

    def _fault(
        self, code: str, message: str, span: Span, expected: str | None = None, help: str | None = None
    ) -> None:
        fault = Diagnostic(code, message, Location(self.module.source, span), expected, help=help)
        if fault not in self.faults:
            self.faults.append(fault)

    def _check_name(self, name: str, span: Span) -> None:
        if name in QUANTITIES or name in FUNCTIONS or name in NON_LOCAL:
            what = "a function" if name in FUNCTIONS else "a quantity"
            self._fault("reserved-name", f"`{name}` already names {what}", span, help=f"call it `my_{name}`")

    def _resolve(self, node: Expression) -> Expression | None:
        match node:
            case Number():
                return node
            case Name(name):
                return node if name in QUANTITIES else self._named(node)
            case Negate(operand) | Transpose(operand):
                inner = self._resolve(operand)
                return inner and replace(node, operand=inner, depth=inner.depth + 1)
            case Binary(_, left, right):
                first, second = self._resolve(left), self._resolve(right)
                if first is None or second is None:
                    return None
                return replace(node, left=first, right=second, depth=1 + max(first.depth, second.depth))
            case Power(base, exponent):
                first, second = self._resolve(base), self._resolve(exponent)
                if first is None or second is None:
                    return None
                return replace(node, base=first, exponent=second, depth=1 + max(first.depth, second.depth))
            case Call():
                return self._call(node)
        raise InternalError(f"the resolver has no case for {type(node).__name__}")

    def _call(self, node: Call) -> Expression | None:
        arguments = [self._resolve(a) for a in node.arguments]
        spec = FUNCTIONS.get(node.function)
        if spec is None:
            return self._from_plugin(node, arguments)
        if spec.arity != len(arguments):
            count = counted(spec.arity, "argument")
            self._fault(
                "wrong-arity", f"`{spec.name}` takes {count}, not {len(arguments)}", node.span, expected=count
            )
            return None
        if any(a is None for a in arguments):
            return None
        inner = tuple(a for a in arguments if a is not None)
        return replace(node, arguments=inner, depth=1 + max(a.depth for a in inner))

    def _from_plugin(self, node: Call, arguments: list[Expression | None]) -> Expression | None:
        """A call of a plugin's function, written out."""
        if node.function not in names_of("function"):
            self._unknown_function(node)
            return None
        if len(arguments) != 1:
            self._fault("wrong-arity", f"`{node.function}` takes 1 argument, not {len(arguments)}", node.span)
            return None
        if arguments[0] is None:
            return None
        try:
            return find("function", node.function).item(Formula(arguments[0], node.span)).expression
        except (PluginError, TypeError, AttributeError) as error:
            self._fault(
                "broken-plugin", f"the plugin of `{node.function}` cannot be used: {error}", node.name_span
            )
            return None

    def _unknown_function(self, node: Call) -> None:
        if node.function in QUANTITIES or node.function in self._lets:
            argument = self.module.source.slice(node.arguments[0].span)
            hint = f"write `{node.function} * ({argument})` for a product"
            self._fault("unknown-function", f"`{node.function}` is not a function", node.name_span, help=hint)
            return
        known = [*FUNCTIONS, *names_of("function")]
        near = ALIASES.get(node.function) or closest(node.function, known)
        self._fault(
            "unknown-function",
            f"there is no function `{node.function}`",
            node.name_span,
            expected=", ".join(known),
            help=f"did you mean `{near}`?" if near else None,
        )

    def _named(self, node: Name) -> Expression | None:
        let = self._lets.get(node.name)
        if let is not None:
            return self._let(let, node)
        if node.name in NON_LOCAL:
            self._fault(
                "non-local-name",
                f"`{node.name}` is not local: {NON_LOCAL[node.name]}",
                node.span,
                expected="quantities of one synapse layer: " + ", ".join(readable_by("W")),
            )
            return None
        self._unknown_name(node)
        return None

    def _unknown_name(self, node: Name) -> None:
        if node.name in self._terms:
            hint = f"terms are summed in a rule: `rule my_rule = {node.name} + …`; `let` names an expression"
            self._fault("unknown-name", f"`{node.name}` is a term, not a quantity", node.span, help=hint)
            return
        near = ALIASES.get(node.name) or closest(node.name, [*QUANTITIES, *self._lets])
        hint = f"did you mean `{near}`?" if near else None
        if node.name in FUNCTIONS:
            hint = f"`{node.name}` is a function: write `{node.name}(…)`"
        self._fault(
            "unknown-name",
            f"`{node.name[:60]}` is not a quantity, constant or abbreviation",
            node.span,
            expected="one of " + ", ".join([*readable_by("W"), *self._lets]),
            help=hint,
        )

    def _let(self, let: LetStatement, use: Name | None = None) -> Expression | None:
        if let.name in self._expanded:
            return self._expanded[let.name]
        if let in self._open:
            names = [s.name for s in self._open[self._open.index(let) :]] + [let.name]
            span = use.span if use else let.name_span
            self._fault(
                "circular-definition", f"this definition leads back to itself: {' → '.join(names)}", span
            )
            return None
        self._open.append(let)
        expression = self._resolve(let.expression)
        self._open.pop()
        if expression is not None and let.constant and not _is_constant(expression):
            self._fault("not-constant", f"`{let.name}` is a constant", let.expression.span, "an expression "
                "of numbers",
                        help=f"write `let {let.name} = …` to abbreviate an expression")  # fmt: skip
            expression = None
        if expression is not None and self._too_large(expression, let.expression.span):
            expression = None
        self._expanded[let.name] = expression
        return expression

    def _too_large(self, expression: Expression, span: Span) -> bool:
        if expression.depth <= MAX_DEPTH and count_nodes(expression, MAX_NODES) <= MAX_NODES:
            return False
        limits = f"at most {MAX_NODES} symbols, nested at most {MAX_DEPTH} deep"
        self._fault("too-large", "this expression is too large once its abbreviations are written out", span,
                    expected=limits, help="split it into several terms")  # fmt: skip
        return True


def names_in(node: Expression) -> Iterator[Name]:
    """Every name of a tree with its place, left to right."""
    pending = [node]
    while pending:
        current = pending.pop()
        if isinstance(current, Name):
            yield current
        pending.extend(reversed(children(current)))


def count_nodes(node: Expression, limit: int) -> int:
    """Number of nodes of the written-out tree; stops counting beyond `limit`."""
    pending, count = [node], 0
    while pending and count <= limit:
        count += 1
        pending.extend(children(pending.pop()))
    return count


def _is_constant(node: Expression) -> bool:
    if isinstance(node, Name):
        return node.name in ("n_pre", "n_post")
    return all(_is_constant(child) for child in children(node))
