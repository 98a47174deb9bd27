"""Who says what to try next: shipped proposers, a user's own, and what is made of their words."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from random import Random

import pytest

import ruledsl
from ruledsl import Alphabet, Locality
from ruledsl.contracts import toy_scene
from ruledsl.discovery import (
    Candidate,
    Front,
    Grown,
    Idea,
    Question,
    Scene,
    discover,
    factored,
    read_question,
)
from ruledsl.language import print_expression
from ruledsl.registry import find, replaced, use_folders
from ruledsl.runs import Run
from ruledsl.statistics import Interval
from tests import ROOT
from tests.commands import run
from tests.discovery.small import ALPHABET, QUESTIONED, SMALL, TOY, Stop, stop_at

MINE = '''
from ruledsl.plugin import Idea, proposer

@proposer("mine")
def mine(scene):
    """What a model might write."""
    yield Idea("term hebb = y_post * y_pre^T\\nrule a = pseudo_gradient[init=0.01] + hebb", "by a model")
    yield Idea("term wrong = y_post * y_past^T", "a quantity that is none")
    yield Idea("rule b = pseudo_gradient[init=0.01]", "another pathway", {"feedback": "direct"})
    yield Idea("rule b = pseudo_gradient", "not to be changed", {"recipe": "paper"})
    yield Idea("rule b = pseudo_gradient", "no such pathway", {"feedback": "sideways"})
    yield Idea("rule b = pseudo_gradient[layers = 9]", "no such layer")
    back = "term back for B = y_pre * y_post^T\\nrule b = pseudo_gradient + back"
    yield Idea(back, "no such B", {"feedback": "direct"})
    yield Idea("term far = W * W^T * y_post * y_pre^T\\nrule c = far", "beyond its class")
    yield Idea("term each = W .* W\\nrule d = pseudo_gradient[init=0.01] + each", "entry by entry")
'''


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "mine.py").write_text(MINE, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def of_mine(plugins: Path, tmp_path_factory: pytest.TempPathFactory) -> Front:
    use_folders([plugins])
    search = dataclasses.replace(SMALL, rounds=1, beam=3, exchanges=0, proposers=("mine",))
    asked = Question(size=3, allow="synapse", alphabet=ALPHABET, search=search, settings=TOY)
    return discover(asked, tmp_path_factory.mktemp("search") / "out")


def raced(front: Front, number: int = 1) -> list[Candidate]:
    return [c for c in front.archive if c.round == number]


def test_text_of_a_plugin_becomes_rules_that_race(of_mine: Front) -> None:
    whys = {c.why for c in raced(of_mine)}
    proposed = {why for why in whys if not why.startswith("leaves out")}
    assert proposed == {"by a model", "another pathway", "entry by entry"}


def test_what_is_no_rule_of_the_class_is_kept_with_the_reason(of_mine: Front) -> None:
    rows = json.loads((of_mine.out / "round-1-ideas.json").read_text())["ideas"]
    refused = {row["why"]: row["refused"] for row in rows if row["refused"]}
    asked = {"a quantity that is none", "not to be changed", "beyond its class"}
    assert set(refused) == asked | {"no such pathway", "no such layer", "no such B"}
    assert "there is no feedback `sideways`" in refused["no such pathway"]
    assert "layer" in refused["no such layer"]
    assert "did you mean `y_post`?" in refused["a quantity that is none"]
    assert "may change feedback and activation, not `recipe`" in refused["not to be changed"]
    assert "non-local" in refused["beyond its class"] or "layer" in refused["beyond its class"]


def test_another_pathway_is_trained_with_it_and_judged_with_it(of_mine: Front) -> None:
    (other,) = (c for c in raced(of_mine) if c.ways)
    assert other.ways == (("feedback", "direct"),)
    assert other.text.endswith("(feedback direct)")
    folders = [f for f in of_mine.out.glob("round-1-heat-2*") if f.is_dir()]
    pathways = {Run(f).config.settings.network.feedback for f in folders}
    assert pathways == {"fixed", "direct"}


def test_rules_that_move_weights_entry_by_entry_keep_to_themselves(of_mine: Front) -> None:
    """With one of them in a batch nobody's weights could be rebuilt."""
    for folder in (f for f in of_mine.out.glob("round-1-heat-*") if f.is_dir()):
        groups = {r.terms for r in Run(folder).config.runs}
        assert len({"each" in terms for terms in groups}) == 1


def test_ideas_are_asked_for_once(of_mine: Front, plugins: Path) -> None:
    """A model need not say the same a second time."""
    use_folders([plugins])
    before = (of_mine.out / "front.csv").read_bytes()
    with replaced("proposer", "mine", lambda scene: []):
        discover(read_question(of_mine.out), of_mine.out)
    assert (of_mine.out / "front.csv").read_bytes() == before


def test_every_shipped_proposer_says_why_and_stays_in_the_class() -> None:
    for name in ("enumeration", "merging", "layers", "slowing", "mutation", "pathways"):
        ideas = list(find("proposer", name).item(toy_scene()))
        assert ideas
        for idea in ideas:
            assert idea.why
            assert max(ruledsl.rule(idea.text).locality.values()) <= Locality.axon


def test_enumeration_adds_drops_and_replaces() -> None:
    scene = toy_scene()
    said = [idea.why for idea in find("proposer", "enumeration").item(scene)]
    added = [why for why in said if why.startswith("adds")]
    absent = [len(scene.absent(parent)) for parent in scene.parents]
    assert len(added) == sum(absent)
    assert sum(why.startswith("drops") for why in said) == 3, "none is dropped of a rule of one term"
    assert sum("→" in why for why in said) == 2 * 4


def test_pairs_of_absent_terms_are_added_to_the_best_rule_the_promising_first() -> None:
    scene = toy_scene()
    said = [idea.why for idea in find("proposer", "pairs").item(scene)]
    absent = scene.absent(scene.parents[0])
    assert len(set(said)) == len(said) == len(absent) * (len(absent) - 1) // 2
    best = [scene.text(scene.term(name)) for name in scene.promising]
    assert set(said[:3]) == {f"adds {best[b]} and {best[a]}" for a, b in ((0, 1), (0, 2), (1, 2))}
    few = dataclasses.replace(scene, search=dataclasses.replace(scene.search, pairs=2))
    assert [idea.why for idea in find("proposer", "pairs").item(few)] == said[:2]


def test_chance_is_the_scenes_own() -> None:
    told = [[i.text for i in find("proposer", "mutation").item(toy_scene(seed))] for seed in (0, 0, 1)]
    assert told[0] == told[1] != told[2]


def test_a_mutant_keeps_to_the_class_that_is_allowed() -> None:
    scene = dataclasses.replace(toy_scene(), allow=Locality.synapse, chance=Random(3))
    for n in range(30):
        (item,) = scene.parents[0].free
        changed = scene.mutant(item, f"m{n}")
        assert changed is not None
        (certificate,) = ruledsl.rules.check(
            dataclasses.replace(scene.parents[0].definition, terms=(changed,))
        ).certificates
        assert certificate.locality == Locality.synapse


def test_a_search_with_more_time_grows_on_and_refits_what_it_found(tmp_path: Path) -> None:
    out = tmp_path / "out"
    question = dataclasses.replace(QUESTIONED, search=dataclasses.replace(SMALL, rounds=0))
    first = discover(question, out, seconds=1e-9)
    assert not list(out.glob("round-*"))
    assert (out / "refits-0").is_dir()
    again = discover(read_question(out), out)
    assert again.table() == first.table(), "without more time it stays as it ended"
    with pytest.raises(Stop):
        discover(read_question(out), out, seconds=3600.0, listen=stop_at("round-2-heat-1"))
    assert (out / "round-1-heat-2").is_dir()


def test_a_planted_rule_is_taught_by_networks_that_learned_by_it(tmp_path: Path) -> None:
    """Of the library's terms; the candidates' losses are those of its answers."""
    search = dataclasses.replace(SMALL, rounds=1, exchanges=0, proposers=("enumeration",))
    asked = dataclasses.replace(QUESTIONED, search=search, plant={"pseudo_gradient": 0.02, "t4": -0.03})
    found = discover(asked, tmp_path / "out")
    assert found.baselines == ()
    for stage in ("start", "refits-1"):
        run_of = Run(tmp_path / "out" / stage)
        settings, terms = run_of.config.settings, run_of.config.terms
        planted = {n: v for n, v in zip(terms, settings.teacher, strict=True) if v}
        assert planted == {"pseudo_gradient": 0.02, "t4": -0.03}
    assert read_question(tmp_path / "out") == asked
    scores = found.rules[0].loss["choice"]
    assert all(value > 0 for value in scores.values())


def test_a_planted_term_that_the_library_lacks_is_named(tmp_path: Path) -> None:
    asked = dataclasses.replace(QUESTIONED, plant={"pseudo_gradiant": 1.0})
    with pytest.raises(ruledsl.SettingsError, match="did you mean `pseudo_gradient`"):
        discover(asked, tmp_path / "out")


def test_the_documents_own_proposer_keeps_its_contract(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "discovery.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(# mine/ideas\.py\n.*?)```", page, re.DOTALL)
    (tmp_path / "ideas.py").write_text(block, encoding="utf-8")
    result = run("plugin-test", tmp_path / "ideas.py")
    assert result.exit_code == 0, result.output
    use_folders([tmp_path])
    texts = [idea.text for idea in find("proposer", "gated").item(toy_scene())]
    assert any("third * (-e_post * y_pre^T)" in text for text in texts)


def test_list_plugins_names_proposers() -> None:
    result = run("list", "plugins")
    assert "mutation" in result.output
    assert "proposer" in result.output


def test_a_scene_is_what_a_plugin_may_read() -> None:
    scene = toy_scene()
    assert isinstance(scene, Scene)
    assert scene.alphabet == Alphabet()
    assert scene.term("pseudo_gradient").initial == 0.0


def test_a_rule_slows_down_and_moves_as_much_in_all() -> None:
    scene = toy_scene()
    slowed = list(find("proposer", "slowing").item(scene))
    whole = [idea for idea in slowed if idea.why.startswith("slows down")]
    assert len(whole) == 2 * len(scene.parents), "soon, and over the stream"
    assert len(slowed) - len(whole) == 3, "each term of `bio` alone; feedback alignment has but one"
    found = ruledsl.rule(whole[3].text)
    texts = [print_expression(t.term.expression) for t in found.definition.terms]
    assert texts[0] == "-(e_post / (1 + age / 100)) * y_pre^T"
    assert len(factored({t.name: t.initial for t in found.definition.terms}, found)) == 2, "as many as `bio`"
    ages = range(1, scene.samples + 1)
    moved = sum(t.initial / (1 + age / 100) for t in found.definition.terms[:1] for age in ages)
    assert abs(moved / (0.02 * scene.samples) - 1) < 0.01
    again = dataclasses.replace(scene, parents=tuple(_as_parent(i) for i in whole))
    assert not list(find("proposer", "slowing").item(again)), "once"


def _as_parent(idea: Idea) -> Grown:
    definition = ruledsl.rule(idea.text).definition
    return Grown(definition, {t.name: Interval(t.initial, 0.001) for t in definition.terms}, 0.5, {})
