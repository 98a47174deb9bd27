"""One call from a question to a front: library, search, refits, judgement."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ruledsl.discovery.archive import once_each
from ruledsl.discovery.front import Front
from ruledsl.discovery.ground import Contender, Ground
from ruledsl.discovery.judging import baselines, knock_outs, refitted
from ruledsl.discovery.library import library_of
from ruledsl.discovery.question import Question
from ruledsl.discovery.search import Hunt, Said
from ruledsl.discovery.settling import settled
from ruledsl.discovery.shelf import Shelf
from ruledsl.ir import LOCALITY_NAMES
from ruledsl.rules import load
from ruledsl.runs import Crews, locked
from ruledsl.selection import StageListener
from ruledsl.settings import TrainSettings
from ruledsl.storage import make_folder
from ruledsl.studies import known_terms
from ruledsl.tasks import ImageSource, draw_task, open_dataset


def discover(
    question: Question,
    out: str | Path,
    seconds: float | None = None,
    listen: StageListener = lambda stage, records: None,
    said: Said = lambda number, kept, found: None,
    crews: Crews | None = None,
) -> Front:
    """Search rules that nobody wrote, from a rule that somebody did; the same call goes on where it was.

    Args:
        question: what is searched; kept in the folder, see `read_question`.
        out: the folder of the search; every stage is a run folder in it.
        seconds: for everything: no round of growth begins that would leave too little for what comes after
            growth; a search that had ended grows on.
        listen: told of every stage's episodes.
        said: told of the rules that each round keeps.
        crews: who computes the streams of meta-steps, see `ruledsl.studies.crews`; this process by default.

    Raises:
        RuleError, SettingsError, DataError: something does not exist, or does not fit the rest.
        RunError: `out` holds another search.
        KeyboardInterrupt: stopped; asked again, it goes on.

    >>> import tempfile
    >>> from ruledsl import Alphabet, Question, Search
    >>> few = Search(rounds=1, beam=1, kept=1, tries=2, heats=2, start_episodes=2, refit_episodes=2,
    ...     search_seeds=1, refit_seeds=2, judged_tasks=1)
    >>> small = dict(sizes=(49, 10, 47), labels=3, shots=4, queries=3, backend="eager")
    >>> asked = Question(size=3, alphabet=Alphabet(("y_post", "y_pre")), search=few, settings=small)
    >>> front = discover(asked, tempfile.mkdtemp() + "/found")
    >>> front.rules[0].terms, [rule.name for rule in front.baselines]
    (('pseudo_gradient',), ['backprop', 'feedback alignment', 'bio'])
    """
    out, given, allow = Path(out), question.given, LOCALITY_NAMES[question.allow]
    first = load(question.start, allow=allow)
    shelf = Shelf(library_of(first, question.alphabet, allow, question.size, question.also))
    known_terms(question.start, question.plant, shelf.library.names, "the planted Θ*")
    search = question.search
    ground = Ground(out, shelf, given, search.measure, listen, crews, search.together)
    settings = ground.spec(shelf.library.names).config.settings
    parts = _parts(question, settings)
    start = Contender(first.names, dict(zip(first.names, first.program.initial, strict=True)))
    hunt = Hunt(question, ground, start, said, seconds)
    with locked(make_folder(out)):
        question.keep(out)
        found, rounds = hunt.search()
        chosen, raced = settled(hunt, found, rounds)
        front = Front(
            out,
            question.dataset,
            tuple(refitted(hunt, chosen, rounds, parts)),
            # A planted rule is no more than what it taught: nobody wrote rules for that.
            () if question.plant else tuple(baselines(hunt, rounds, parts)),
            1 / settings.task.labels,
            tuple(once_each([*found, *raced])),
            question.search.measure,
        )
        front = replace(front, knock_outs=knock_outs(hunt, front.best, rounds, parts["test"]))
        front.write()
    return front


def _parts(question: Question, settings: TrainSettings) -> dict[str, ImageSource]:
    """The classes to choose by, and those of the test: a search must not end at classes that are too few."""
    root = Path(str(question.given.get("data_root", "data")))
    parts = {part: open_dataset(question.part(part), root) for part in ("choice", "test")}
    for source in parts.values():
        draw_task(source, settings, 0, 0, 0)
    return parts
