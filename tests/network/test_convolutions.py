"""Layers that share their synapses over the positions of a picture, in episodes of our own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from torch import Tensor, nn

import ruledsl
from ruledsl import CompiledRule, Episode, Network
from ruledsl.errors import PluginError, SettingsError
from ruledsl.ir import Patches
from ruledsl.language import Term
from ruledsl.measures import gradient_content, probe_values
from ruledsl.network import network_of, programs_of
from ruledsl.settings import Convolution, TrainSettings, least_bytes
from ruledsl.tasks import WEIGHTS, draw_weights
from tests.algebra.test_algebra import compiled as program_of
from tests.algebra.test_algebra import term_of
from tests.commands import run
from tests.drawing import terms
from tests.evaluator import evaluate
from tests.torch.models import largest_difference, learn, scaled

LAYERS = "36-3x3+1-2x2/2-4"
"""6 × 6 cells, three maps of 6 × 6, two of 3 × 3, four outputs."""
SETTINGS = TrainSettings.of(sizes=LAYERS)
SAMPLES = 6
ATTACHED = [*((n, "fixed") for n in ("pool", "competition", "soft_bound", "kolen_pollack",
                                     "rules/discovered/outgoing_rest.rule")),
            ("biased", "fixed"),
            *(("bio", p)
              for p in ("fixed", "symmetric", "direct", "sign_fixed", "sign_uniform"))]  # fmt: skip
EVERY_RULE = ["pool", "bio", "ehebb", "bcm", "covariance", "competition", "oja", "oja_single", "soft_bound",
              "shrunk", "kolen_pollack", "weight_mirror", "rules/discovered/balanced.rule",
              "rules/discovered/outgoing_rest.rule", "rules/discovered/error_gated.rule"]  # fmt: skip


def network(**given: object) -> Network:
    return replace(network_of(SETTINGS), **given)  # type: ignore[arg-type]


def drawn(pathway: str = "fixed", batch: int = 1, samples: int = SAMPLES, seed: int = 1) -> Episode:
    """Random weights, feedback, samples and noise of `batch` networks in float64."""
    torch.manual_seed(seed)
    first, second = (c for c in SETTINGS.convolutions if c is not None)
    shapes = [(first.channels, first.patches.size), (second.channels, second.patches.size), (4, 18)]
    above = {"direct": [(36, 4), (108, 4), (18, 4)]}.get(pathway, [(k, c) for c, k in shapes])

    def normal(*shape: int) -> Tensor:
        return 0.3 * torch.randn(batch, *shape, dtype=torch.float64)

    return Episode(
        [normal(*s) for s in shapes],
        {f"B{n}": normal(*s) for n, s in enumerate(above)},
        torch.rand(batch, samples, 36, dtype=torch.float64),
        torch.randint(0, 4, (batch, samples)),
        torch.rand(batch, 5, 36, dtype=torch.float64),
        torch.randint(0, 4, (batch, 5)),
        {f"noise{n}": normal(samples, size) for n, size in enumerate((36, 108, 18))}
        | {f"gain{n}": normal(samples, size) for n, size in enumerate((36, 108, 18, 4))},
    )


def channels_first(matrix: Tensor, side: int) -> Tensor:
    """Columns in torch's order (channel, row, column) of those in the order (row, column, channel)."""
    return matrix.unflatten(-1, (side, side, -1)).movedim(-1, -3).flatten(-3)


def torch_model(episode: Episode, bias: bool) -> nn.Sequential:
    """The same network of torch's own layers."""

    def softplus() -> nn.Softplus:
        return nn.Softplus(10, threshold=1000)

    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1, bias=bias), softplus(),
        nn.Conv2d(3, 2, 2, stride=2, bias=bias), softplus(),
        nn.Flatten(), nn.Linear(18, 4, bias=bias),
    ).double()  # fmt: skip
    with torch.no_grad():
        for number, side in ((0, 3), (2, 2), (5, 3)):
            weight = next(model[number].parameters())
            own = {0: 0, 2: 1, 5: 2}[number]
            weight.copy_(channels_first(episode.W[own][0], side).reshape(weight.shape))
            if bias:
                list(model[number].parameters())[1].zero_()
    return model


def hear(opt: ruledsl.torch.RuleOptimizer, episode: Episode, pathway: str) -> None:
    """Give the attached model the episode's feedback."""
    sides = {0: 1, 1: 6, 2: 3} if pathway == "direct" else {2: 3}
    for number, group in enumerate(opt.param_groups):
        B = episode.feedback[f"B{number}"][0]
        turned = channels_first(B.T, sides[number]).T if sides.get(number, 1) > 1 else B
        opt.state[group["params"][0]]["B"] = turned.clone()


@pytest.mark.parametrize(("name", "pathway"), ATTACHED)
def test_the_weights_are_those_of_torchs_layers_with_the_rule_attached(name: str, pathway: str) -> None:
    rule = ruledsl.load(name)
    episode, bias = drawn(pathway), rule.program.trains("bias")
    model = torch_model(episode, bias)
    opt = ruledsl.torch.attach(model, rule, theta=scaled(rule, 1e-3), feedback=pathway)
    hear(opt, episode, pathway)
    wanted = ruledsl.adapt(
        ruledsl.compile_rule(rule),
        scaled(rule, 1e-3).expand(1, -1),
        episode,
        network(feedback=pathway, bias=bias),
    )
    for t in range(SAMPLES):
        learn(model, opt, episode.x[0, t].reshape(1, 1, 6, 6), episode.y[0, t : t + 1])
    found = [p.detach() for p in model.parameters() if p.dim() > 1]
    ours = [
        channels_first(w[0], side).reshape(f.shape)
        for w, side, f in zip(wanted, (3, 2, 3), found, strict=True)
    ]
    assert largest_difference(ours, found) < 1e-12
    assert largest_difference(wanted, episode.W) > 1e-5  # it learned


NOT_UNDONE = ("soft_bound", "shrunk", "oja_single", "competition")
"""What changes weights entry by entry, with W among the factors."""
ENGINES = ["rebuild", "checkpoint"]


@pytest.mark.parametrize("name", EVERY_RULE)
def test_every_engine_gives_autograds_gradient(name: str) -> None:
    rule = ruledsl.load(name)
    compiled, theta = ruledsl.compile_rule(rule), scaled(rule, 2e-3).expand(2, -1)
    own, episode = network(bias=rule.program.trains("bias")), drawn(batch=2)
    wanted = ruledsl.meta_gradient(compiled, theta, episode, own, engine="autograd")
    assert float(wanted.grad.abs().max()) > 1e-6
    for engine in ENGINES:
        if engine == "rebuild" and name in NOT_UNDONE:
            continue
        found = ruledsl.meta_gradient(compiled, theta, episode, own, engine=engine)
        torch.testing.assert_close(found.grad, wanted.grad, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(found.loss, wanted.loss, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "pathway", ["symmetric", "direct", "sign_uniform", "sign_fixed", "sign_redrawn", "mixture"]
)
def test_every_pathway_has_exact_gradients(pathway: str) -> None:
    compiled = ruledsl.compile_rule(ruledsl.load("bio"))
    own, episode = network(feedback=pathway), drawn(pathway, batch=2)
    D = {f"D{n}": torch.rand(2, size, 4, dtype=torch.float64) for n, size in enumerate((36, 108, 18))}
    episode = replace(episode, B={**episode.feedback, **D})
    theta = torch.tensor(
        [0.01, -0.002, 0.003, *[0.4] * 3 * (pathway == "mixture")], dtype=torch.float64
    ).expand(2, -1)
    wanted, found = (
        ruledsl.meta_gradient(compiled, theta, episode, own, engine=engine) for engine in ("autograd", "auto")
    )
    assert found.engine == "rebuild"
    torch.testing.assert_close(found.grad, wanted.grad, rtol=1e-9, atol=1e-12)


def test_a_cell_trace_is_that_of_each_positions_cells() -> None:
    rule = ruledsl.rule(
        "term slow = -trace(e_post, 3) * trace(y_pre, 2)^T\nrule traced = slow + pseudo_gradient"
    )
    compiled, episode = ruledsl.compile_rule(rule), drawn()
    theta = torch.tensor([[0.02, 0.01]], dtype=torch.float64)
    found = ruledsl.adapt(compiled, theta, episode, network())
    model = torch_model(episode, bias=False)
    first = next(iter(model.parameters()))
    opt = ruledsl.torch.attach(model, rule, theta=theta[0], feedback="fixed")
    hear(opt, episode, "fixed")
    for t in range(SAMPLES):
        learn(model, opt, episode.x[0, t].reshape(1, 1, 6, 6), episode.y[0, t : t + 1])
    assert largest_difference([channels_first(found[0][0], 3).reshape(3, 1, 3, 3)], [first]) < 1e-12


def compared(term: Term) -> bool:
    """One sample: every patch by itself through the term's tree, added up. False where there is nothing to
    compare: the term is refused, or no number."""
    compiled, episode = CompiledRule(program_of(term)), drawn(samples=1)
    theta = torch.tensor([[1e-3]], dtype=torch.float64)
    try:
        after = ruledsl.adapt(compiled, theta, episode, network())
    except PluginError as refused:
        assert "no sum of outer products" in str(refused)  # noqa: PT017 - a term may be one of these
        return False
    named = {f"W{n}": w for n, w in enumerate(episode.W)} | episode.feedback
    programs = programs_of(compiled.program, SETTINGS)
    seen = probe_values(programs, named, theta, episode.x, episode.y)
    shared, W = SETTINGS.convolutions[1], episode.W[1][0]
    assert shared is not None
    change = torch.zeros_like(W)
    for place, cells in enumerate(shared.patches.table):
        channels = slice(place * shared.channels, (place + 1) * shared.channels)
        held = {f"{q}_pre": seen[f"{q}1"][0, 0, list(cells)] for q in "yze"}
        held |= {f"{q}_post": seen[f"{q}2"][0, 0, channels] for q in "yze"}
        change += evaluate(term.expression, held | {"W": W})
    if not bool(change.isfinite().all()) or float(change.abs().max()) > 1e6:
        return False
    scale = max(1.0, float(change.abs().max()))
    torch.testing.assert_close((after[1][0] - W) / theta[0], change, rtol=0, atol=1e-9 * scale)
    return True


@settings(max_examples=30, suppress_health_check=[HealthCheck.filter_too_much])
@given(terms(3))
def test_any_term_moves_shared_synapses_by_the_sum_of_what_it_does_at_each_position(term: Term) -> None:
    assume(compared(term))


@pytest.mark.parametrize(
    "text",
    [
        "((y_post * y_pre^T) .* W) * y_pre * y_pre^T",
        "y_post * (((e_post * y_pre^T) .* W)^T * y_post)^T",
        "(W .* (y_post * 1_pre^T)) * 1_pre * y_pre^T",
        "sum(y_post) * (W .* W) .* (e_post * y_pre^T)",
        "((y_post * y_pre^T) .* (e_post * 1_pre^T)) .* W - mean(y_pre) * W",
        "tanh(W) - 2 * W",
    ],
)
def test_matrices_that_differ_between_positions_are_never_there_as_a_whole(text: str) -> None:
    assert compared(term_of(text))


def test_what_a_term_holds_of_f0_counts_all_positions() -> None:
    """In one network, at one sample, F⁰ holds itself once."""
    program = ruledsl.load("feedback_alignment").program
    episode, programs = drawn(samples=1), programs_of(program, SETTINGS)
    named = {f"W{n}": w for n, w in enumerate(episode.W)} | episode.feedback
    theta = torch.ones(1, 1, dtype=torch.float64)
    content = gradient_content(programs, named, theta, episode.x, episode.y)
    torch.testing.assert_close(content, torch.ones(1, dtype=torch.float64))


def test_small_tensors_get_one_thread_unless_more_are_asked_for() -> None:
    assert SETTINGS.threads_used == 1
    assert SETTINGS.having(threads=2).threads_used == 2
    assert TrainSettings.of(sizes="36-4").threads_used == 0


def test_a_run_with_maps_goes_on_as_if_never_stopped(tmp_path: Path) -> None:
    small = ["--sizes", "49-3x3/2-47", "--labels", 3, "--shots", 4, "--queries", 3, "--recipe", "paper"]
    for name, episodes in (("whole", 4), ("part", 2)):
        run("train", "bio", *small, "--episodes", episodes, "--out", tmp_path / name)
    assert run("resume", tmp_path / "part", "--episodes", 4).exit_code == 0
    assert (tmp_path / "part" / "metrics.csv").read_bytes() == (
        tmp_path / "whole" / "metrics.csv"
    ).read_bytes()
    assert '"3x3/2"' in (tmp_path / "part" / "config.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["biased", "weight_mirror", "kolen_pollack", "pool"])
def test_what_has_states_of_its_own_is_trained_too(name: str, tmp_path: Path) -> None:
    small: dict[str, Any] = {"sizes": "49-3x3/2-47", "labels": 3, "shots": 4, "queries": 3, "episodes": 2}
    found = ruledsl.train(name, bias=name == "biased", out=tmp_path / "run", progress=False, **small)
    assert all(abs(theta.mean) < 1 for theta in found.theta.values())


def test_shared_synapses_are_counted_once() -> None:
    """By cells, these layers would have 1.6 · 10⁹ weights."""
    wide = TrainSettings.of(sizes="784-64x3-64x3-47")
    assert least_bytes(wide, 1) < 4e9
    weights = 64 * 9 + 64 * 576 + 47 * 24 * 24 * 64
    assert least_bytes(wide.having(shots=1, labels=1, queries=1), 1) > 2 * 3 * 4 * weights


def test_what_would_need_a_matrix_at_each_position_is_refused_by_the_terms_name() -> None:
    rule = ruledsl.rule(
        "term squashed = tanh(e_post * y_pre^T)\nterm fine = -e_post * y_pre^T\nrule r = squashed + fine"
    )
    with pytest.raises(
        PluginError, match=r"`squashed` cannot move the shared synapses of layer 1, a convolution"
    ):
        ruledsl.adapt(ruledsl.compile_rule(rule), torch.ones(1, 2, dtype=torch.float64), drawn(), network())


def test_patches_of_a_padded_picture_read_silence_beyond_its_border() -> None:
    patches = Patches(height=2, width=3, channels=2, kernel=2, stride=1, padding=1)
    assert patches.places == (3, 4)
    assert patches.table[0] == (12, 12, 12, 12, 12, 12, 0, 1)
    assert patches.table[5] == (0, 1, 2, 3, 6, 7, 8, 9)
    for cell, places in enumerate(patches.readers):
        assert [p for p in places if p < patches.positions * patches.size] == [
            n for n, c in enumerate(c for patch in patches.table for c in patch) if c == cell
        ]
    assert Patches.read(str(patches)) == patches


def test_layers_are_read_as_they_are_written() -> None:
    settings = TrainSettings.of(sizes="784-8x5/2-16x3/2+1-47")
    assert list(map(int, settings.sizes)) == [784, 12 * 12 * 8, 6 * 6 * 16, 47]
    assert "-".join(map(str, settings.sizes)) == "784-8x5/2-16x3/2+1-47"
    assert settings.flat()["sizes"] == (784, "8x5/2", "16x3/2+1", 47)
    assert TrainSettings.of(sizes=list(settings.flat()["sizes"])) == settings
    assert settings != TrainSettings.of(sizes=(784, 1152, 576, 47))
    assert settings.convolutions[1] == Convolution(Patches(12, 12, 8, 3, 2, 1), 16)
    assert TrainSettings.of(sizes="784-47").convolutions == ()


@pytest.mark.parametrize(
    "text",
    ["8x5-47", "784-47-8x5-47", "784-8x5", "784-8x30-47", "785-8x5-47", "784-8x5/0-47", "784-0x5-47",
     "784-8x5+5-47", "784-8x-47", "784-8y5-47"],
)  # fmt: skip
def test_what_is_no_network_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SettingsError, match="784-8x5/2-47 has a convolution on a square picture"):
        TrainSettings.of(sizes=text)


def test_weights_are_drawn_as_torch_draws_those_of_convolutions() -> None:
    weights = draw_weights(SETTINGS.sizes, 0, 0, WEIGHTS)
    assert [tuple(w.shape) for w in weights] == [(3, 9), (2, 12), (4, 18)]
    for drawn_weights, layer in zip(weights, (nn.Conv2d(1, 3, 3), nn.Conv2d(3, 2, 2)), strict=False):
        fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(layer.weight)
        bound = (6 / (fan_in + fan_out)) ** 0.5
        assert 0.7 * bound < float(drawn_weights.abs().max()) <= bound


def test_random_feedback_is_drawn_by_the_fans_of_its_synapses() -> None:
    needed = programs_of(ruledsl.load("bio").program, SETTINGS).needs(SETTINGS.sizes).matrices
    assert [tuple(needed[f"B{n}"]) for n in range(3)] == [(9, 3, 9 + 27), (12, 2, 12 + 8), (18, 4, 22)]


def test_the_cost_of_change_is_that_of_whole_weights() -> None:
    """Not the sum of what each position would change by itself."""
    compiled, episode = ruledsl.compile_rule(ruledsl.load("feedback_alignment")), drawn(samples=1)
    theta = torch.tensor([[0.01]], dtype=torch.float64)
    dear = network(costs=(("change", 1.0),))
    whole, query = (ruledsl.meta_gradient(compiled, theta, episode, n).loss for n in (dear, network()))
    after = ruledsl.adapt(compiled, theta, episode, network())
    moved = torch.stack([(a - b).abs().sum() for a, b in zip(after, episode.W, strict=True)]).sum()
    torch.testing.assert_close(whole - query, moved.reshape(1))


def test_cells_with_signs_share_no_synapses() -> None:
    with pytest.raises(PluginError, match="not excitatory or inhibitory; leave out --inhibitory"):
        network_of(SETTINGS.having(inhibitory=0.2))
