"""Recipes that ask: side by side, in the order that they need, and told what is wrong with a question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ruledsl import Locality, TrainSettings, compile_rule, load
from ruledsl.errors import PluginError
from ruledsl.meta import Again, Asking, MetaTrainer, Reliver, Reliving, Told, together
from ruledsl.settings import RunSpec
from ruledsl.tasks import open_dataset


def asking(times: int, found: bool = True) -> Asking[bool]:
    for n in range(times):
        losses, _ = yield Again(torch.full((1, 1), float(n)))
        assert losses.tolist() == [[n * 10.0]], "an answer to another question"
    return found


def test_askers_are_answered_round_by_round_and_each_its_own_questions() -> None:
    rounds: list[list[int]] = []

    def answers(asked: Sequence[tuple[int, Again]]) -> list[tuple[Tensor, Tensor]]:
        rounds.append([number for number, _ in asked])
        return [(again.theta * 10.0, torch.zeros(1, 1, 1)) for _, again in asked]

    told: list[Told] = [asking(2), True, asking(0, False), asking(3, False), False]
    assert together(told, answers) == [True, True, False, False, False]
    assert rounds == [[0, 3], [0, 3], [3]]


def tensor_in_place_of_a_question() -> Asking[bool]:
    yield torch.zeros(1, 3)  # type: ignore[misc]
    return True


def test_what_is_no_question_is_said_to_be_none() -> None:
    with pytest.raises(PluginError, match=r"yield Again\(thetas\)`; it yielded a Tensor"):
        together([tensor_in_place_of_a_question()], lambda asked: [])
    with pytest.raises(PluginError, match=r"a row for each; it was given \(3,\)"):
        Again(torch.zeros(3))


def test_coefficients_of_another_rule_are_refused() -> None:
    settings = TrainSettings.of(
        sizes=(49, 8, 10), labels=3, shots=2, queries=2, meta_batch=1, backend="eager"
    )
    trainer = MetaTrainer(
        compile_rule(load("bio")), settings, [RunSpec(0, 1)], open_dataset("glyphs", Path("data"))
    )
    reliving = Reliving(trainer.streams, 0, "auto", [Reliver(1, trainer.states[0].present)])
    with pytest.raises(PluginError, match="asks about 2 coefficients; the rule has 3"):
        reliving.answers([(0, Again(torch.zeros(1, 2)))])


def test_a_gradient_is_that_of_the_terms_that_a_run_has() -> None:
    """Two runs of one seed, of which one lacks a term: their questions are not one question."""
    rule = compile_rule(load("library", allow=max(Locality)))
    settings = TrainSettings.of(
        sizes=(49, 8, 10), labels=3, shots=2, queries=2, meta_batch=1, threads=1, backend="compiled"
    )
    few = ("pseudo_gradient", rule.names[1])
    runs = [RunSpec(0, 1, 0.0, few[:1]), RunSpec(1, 1, 0.0, few)]
    trainer = MetaTrainer(rule, settings, runs, open_dataset("glyphs", Path("data")))
    reliving = Reliving(trainer.streams, 0, "auto", [Reliver(1, state.present) for state in trainer.states])
    theta = torch.zeros(1, len(trainer.names), dtype=torch.float64)
    theta[0, trainer.names.index("pseudo_gradient")] = 0.01
    lacking, having = reliving.answers([(n, Again(theta, with_gradients=True)) for n in (0, 1)])
    added = trainer.names.index(few[1])
    assert torch.equal(lacking[0], having[0])
    assert float(lacking[1][0, 0, added]) == 0.0
    assert float(having[1][0, 0, added]) != 0.0


@pytest.mark.parametrize("given", [None, 1, "yes"])
def test_a_verdict_is_true_or_false(given: object) -> None:
    with pytest.raises(PluginError, match="True or False; one gave"):
        together([given], lambda asked: [])  # type: ignore[list-item]
