"""A checked plasticity rule, and its terms as they take part in it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING

from ruledsl.algebra import Certificate, IndexForm, as_written, certify, index_latex, index_text
from ruledsl.compiler import OtherForm, RuleProgram
from ruledsl.ir import Diagnostic, Locality
from ruledsl.language import RuleDefinition, Term
from ruledsl.rules.html import rule_html
from ruledsl.rules.latex import rule_latex
from ruledsl.rules.source import rule_source

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Piece:
    """A term as it takes part in a rule."""

    term: Term
    coefficient: int
    form: IndexForm
    certificate: Certificate

    @property
    def entry(self) -> str:
        """What is moved: `ΔW[j,i]`, `ΔB[i,j]` or `Δbias[j]`."""
        return {"W": "ΔW[j,i]", "B": "ΔB[i,j]", "bias": "Δbias[j]"}[self.term.target]

    @property
    def written(self) -> IndexForm:
        """The form with quantities and cells named as the text names them."""
        return IndexForm(as_written(self.form.entry)) if self.term.target == "B" else self.form

    @property
    def text(self) -> str:
        """One entry of the term, with indices."""
        return index_text(self.written.entry)


@dataclass(frozen=True, repr=False)
class Rule:
    """A checked plasticity rule F(Θ) = Σ_r θ_r F^r. Its `repr` is its text.

    >>> import ruledsl
    >>> rule = ruledsl.load("pool")
    >>> rule.names[0], str(rule.locality["oja_subspace"])
    ('pseudo_gradient', 'axon')
    """

    definition: RuleDefinition
    forms: tuple[IndexForm, ...]
    certificates: tuple[Certificate, ...]
    warnings: tuple[Diagnostic, ...] = ()
    companions: tuple[OtherForm, ...] = ()
    """What coefficients scale besides their own term: terms that share one (`same = …`)."""

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def names(self) -> tuple[str, ...]:
        """One name per coefficient, in the order of Θ."""
        return tuple(t.name for t in self.definition.terms)

    @property
    def init(self) -> Tensor:
        """(R,) where Θ starts, in torch's default dtype."""
        import torch

        return torch.tensor(self.program.initial)

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """Every term with the coefficient that scales it: one per coefficient, then those that share one."""
        items = self.definition.terms
        own = [
            Piece(item.term, r, form, certificate)
            for r, (item, form, certificate) in enumerate(
                zip(items, self.forms, self.certificates, strict=True)
            )
        ]
        sharing = [term for item in items for term in item.companions]
        others = [
            Piece(term, o.coefficient, o.form, certify(o.form, o.target))
            for term, o in zip(sharing, self.companions, strict=True)
        ]
        return (*own, *others)

    @property
    def locality(self) -> dict[str, Locality]:
        """The locality class of each term."""
        return {name: c.locality for name, c in zip(self.names, self.certificates, strict=True)}

    @cached_property
    def source(self) -> str:
        """A self-contained `.rule` text of this rule: terms written out, then their sum."""
        return rule_source(self.definition)

    @cached_property
    def identity(self) -> str:
        """A hash of the algebra: the same for two texts of one rule, whatever their names and spacing."""
        parts = [
            f"{form.entry}|{t.options.layers}" + ("" if t.term.target == "W" else f"|{t.term.target}")
            for form, t in zip(self.forms, self.definition.terms, strict=True)
        ]
        parts += [f"{o.form.entry}|{o.target}|{o.coefficient}" for o in self.companions]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def latex(self) -> str:
        """The rule as one LaTeX equation in matrix notation, without math delimiters."""
        return rule_latex(self.definition)

    def index_latex(self) -> list[str]:
        """Each term's entry ΔW_ji in LaTeX."""
        return [index_latex(piece.written.entry) for piece in self.pieces[: len(self.names)]]

    @cached_property
    def program(self) -> RuleProgram:
        """What the compiler works on."""
        terms = self.definition.terms
        moving_w = [t.term.target == "W" for t in terms]
        others = [
            OtherForm(t.term.target, r, form)
            for r, (t, form) in enumerate(zip(terms, self.forms, strict=True))
            if not moving_w[r]
        ]
        return RuleProgram(
            names=self.names,
            forms=tuple(f if own else None for f, own in zip(self.forms, moving_w, strict=True)),
            initial=tuple(t.initial for t in terms),
            trainable=tuple(t.trainable for t in terms),
            layers=tuple(t.options.layers for t in terms),
            bounds=tuple((_or(t.options.minimum, -inf), _or(t.options.maximum, inf)) for t in terms),
            feedback=self.definition.feedback,
            others=(*others, *self.companions),
        )

    def __repr__(self) -> str:
        return self.source.rstrip()

    def _repr_html_(self) -> str:
        """Its formula and the locality of each term, for a notebook."""
        rows = [(p.term.name, str(p.certificate.locality), p.text) for p in self.pieces]
        return rule_html(self.name, self.latex(), rows)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
