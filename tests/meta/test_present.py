"""What a training says of the terms that its runs have."""

from __future__ import annotations

from collections.abc import Sequence

import ruledsl
from ruledsl.contracts import SETTINGS, toy_source
from ruledsl.meta import Lived, MetaTrainer, Portion
from ruledsl.settings import RunSpec


def test_whoever_computes_a_portion_is_told_which_terms_each_run_has() -> None:
    """It is what makes a library of terms cost no more than the few that a run has."""
    rule = ruledsl.compile_rule(ruledsl.load("bio"))
    settings = SETTINGS.having(backend="eager", meta_batch=2, recipe="robust")
    runs = [RunSpec(0, 3), RunSpec(1, 3, terms=(rule.names[0], rule.names[2]))]
    seen: list[Portion] = []
    trainer = MetaTrainer(rule, settings, runs, toy_source())

    def crew(portions: Sequence[Portion]) -> list[Lived]:
        seen.extend(portions)
        return [trainer.streams.live(portion) for portion in portions]

    trainer.crew = crew
    trainer.step(0)
    whole, part = [True, True, True], [True, False, True]
    assert [row for portion in seen for row in portion.present.tolist()] == [whole, whole, part, part]
