"""Locality is a certificate: what the index form says is read is what the derivative says is read."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given

import ruledsl
from ruledsl.algebra import Certificate, certify, index_form
from ruledsl.ir import Locality, RuleError, SourceFile
from ruledsl.language import Term, parse
from tests.drawing import layer_quantities, terms
from tests.evaluator import evaluate

N_PRE, N_POST = 4, 3


def certificate_of(text: str) -> Certificate:
    (statement,) = parse(SourceFile("test", f"term t = {text}")).statements
    return certify(index_form(Term("t", statement.expression)))  # type: ignore[union-attr]


POOL = {
    "pseudo_gradient": Locality.synapse,
    "activity_error": Locality.synapse,
    "error_hebb": Locality.synapse,
    "weight_decay": Locality.synapse,
    "presynaptic_error": Locality.synapse,
    "population_gradient": Locality.layer,
    "projected_error_hebb": Locality.layer,
    "projected_gradient": Locality.layer,
    "aligned_error": Locality.layer,
    "oja_subspace": Locality.axon,
}


def test_the_pools_terms_have_the_classes_of_the_design() -> None:
    assert ruledsl.load("pool").locality == POOL
    assert ruledsl.load("oja_single:oja_single").locality == {"oja_single": Locality.synapse}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y_post * y_pre^T", "synapse"),
        ("tanh(W) .* (z_post * z_pre^T)", "synapse"),
        ("n_pre * W / n_post", "synapse"),
        ("(W * y_pre) * e_pre^T", "dendrite"),
        ("(W * e_pre) * y_pre^T", "dendrite"),
        ("((W .* W) * y_pre) * y_pre^T", "dendrite"),
        ("tanh(W * y_pre) * y_pre^T", "dendrite"),
        ("((W .* (y_post * y_pre^T)) * 1_pre) * y_pre^T", "dendrite"),
        ("y_post * (y_post^T * W)", "axon"),
        ("(W * e_pre) * (W^T * e_post)^T", "axon"),
        ("(1_post^T * y_post) * W", "layer"),
        ("sum(y_pre) * W", "layer"),
        ("mean(W) * W", "layer"),
        ("(y_post^T * W * e_pre) * W", "layer"),
        ("W * W^T * W", "layer"),
        ("(W * tanh(W^T * y_post)) * y_pre^T", "layer"),
        ("y_post * y_pre^T + sum(y_post) * W - sum(y_post) * W", "synapse"),
    ],
)
def test_the_class_is_read_off_the_index_form(text: str, expected: str) -> None:
    assert str(certificate_of(text).locality) == expected


def test_the_offending_sum_is_written_in_indices() -> None:
    (reason,) = certificate_of("-(y_post * y_pre^T - y_post * y_post^T * W)").reasons
    assert reason.startswith("Σ_k y_post[k]·W[k,i] is a sum over the synapses that leave cell i")
    (reason,) = certificate_of("(W * e_pre) * y_pre^T").reasons
    assert reason.startswith("Σ_p e_pre[p]·W[j,p] is a sum over the synapses that enter cell j")


def allowed(certificate: Certificate, name: str, j: int, i: int) -> torch.Tensor:
    """Where the certificate says that entry (j, i) may read a quantity."""
    patterns = certificate.reads.get(name, frozenset())
    if name == "W":
        mask = torch.zeros(N_POST, N_PRE, dtype=torch.bool)
        mask[j, i] |= "own" in patterns
        mask[j, :] |= "row" in patterns
        mask[:, i] |= "column" in patterns
        mask |= torch.tensor("all" in patterns)
        return mask
    own = j if name.endswith("post") else i
    mask = torch.full((N_POST if name.endswith("post") else N_PRE,), "all" in patterns)
    mask[own] |= "own" in patterns
    return mask


def jacobian_support(term: Term, j: int, i: int) -> dict[str, torch.Tensor] | None:
    """Non-zero entries of dΔW_ji / d(quantity), over several generic inputs; None when one overflows."""
    support: dict[str, torch.Tensor] = {}
    for seed in range(3):
        values = {
            k: v.mul(0.7).requires_grad_() for k, v in layer_quantities(N_PRE, N_POST, seed=seed).items()
        }
        entry = evaluate(term.expression, values)[j, i]
        if not entry.isfinite() or float(entry.detach().abs()) > 1e8:
            return None
        names = list(values)
        gradients = torch.autograd.grad(entry, [values[n] for n in names], allow_unused=True)
        # Rounding leaves up to about 1e-14 of the largest derivative where terms cancel.
        largest = max((float(g.abs().max()) for g in gradients if g is not None), default=0.0)
        for name, gradient in zip(names, gradients, strict=True):
            if gradient is not None:
                found = gradient.abs() > 1e-12 * largest
                support[name] = support.get(name, torch.zeros_like(found)) | found
    return support


def checked_certificate(term: Term) -> Certificate:
    try:
        return certify(index_form(term))
    except RuleError:
        assume(False)
        raise


@given(terms())
def test_nothing_outside_the_read_set_is_read(term: Term) -> None:
    certificate = checked_certificate(term)
    for j, i in ((0, 0), (2, 1), (1, 3)):
        support = jacobian_support(term, j, i)
        assume(support is not None)
        for name, found in (support or {}).items():
            assert not (found & ~allowed(certificate, name, j, i)).any(), (name, certificate)


@given(terms(3))
def test_everything_in_the_read_set_is_read(term: Term) -> None:
    """Tight: on generic inputs each pattern of the read set shows up in the derivative."""
    certificate = checked_certificate(term)
    support = jacobian_support(term, 2, 1)
    assume(support is not None and support)
    strongest = max(float(f.sum()) for f in (support or {}).values())
    assume(strongest > 0)
    for name in certificate.reads:
        claimed = allowed(certificate, name, 2, 1)
        found = (support or {}).get(name, torch.zeros_like(claimed))
        # Saturated functions (tanh of something large) have derivatives below rounding.
        if not (found == claimed).all():
            assume(not _saturates(term))
        assert (found == claimed).all(), (name, certificate)


def _saturates(term: Term) -> bool:
    return any(word in repr(term.expression) for word in ("tanh", "sigmoid", "softplus"))


def test_a_reading_that_the_certificate_misses_would_be_noticed() -> None:
    """Negative control: with one pattern taken out of the read set, the soundness test fails."""
    certificate = certificate_of("y_post * (y_post^T * W)")
    narrowed = Certificate(certificate.locality, {**certificate.reads, "W": frozenset({"own"})}, ())
    (statement,) = parse(SourceFile("test", "term t = y_post * (y_post^T * W)")).statements
    support = jacobian_support(Term("t", statement.expression), 2, 1)  # type: ignore[union-attr]
    assert support is not None
    assert (support["W"] & ~allowed(narrowed, "W", 2, 1)).any()


def test_the_limit_is_enforced_with_the_reason(tmp_path: object) -> None:
    with pytest.raises(
        RuleError, match=r"axon-local, beyond the limit `synapse`[\s\S]*Σ_k y_post\[k\]·W\[k,i\]"
    ) as error:
        ruledsl.load("bio", allow=Locality.synapse)  # type: ignore[call-arg]
    assert [d.code for d in error.value.diagnostics] == ["not-local"]
