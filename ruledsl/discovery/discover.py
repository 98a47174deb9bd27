"""One call from a question to a front: library, search, refits, judgement."""

from __future__ import annotations

from pathlib import Path

from ruledsl.discovery.archive import entries_of
from ruledsl.discovery.front import Front
from ruledsl.discovery.judging import baselines, refitted
from ruledsl.discovery.library import library_of
from ruledsl.discovery.question import Question
from ruledsl.discovery.search import Hunt, Said, finalists
from ruledsl.ir import LOCALITY_NAMES
from ruledsl.rules import load
from ruledsl.runs import Crews, locked
from ruledsl.selection import StageListener
from ruledsl.storage import make_folder
from ruledsl.studies import specify
from ruledsl.tasks import draw_task, open_dataset


def discover(
    question: Question,
    out: str | Path,
    seconds: float = float("inf"),
    listen: StageListener = lambda stage, records: None,
    said: Said = lambda number, found, library: None,
    crews: Crews | None = None,
) -> Front:
    """Search rules that nobody wrote, from a rule that somebody did; the same call goes on where it was.

    Args:
        question: what is searched; kept in the folder, see `read_question`.
        out: the folder of the search; every stage is a run folder in it.
        seconds: no round of growth begins after six tenths of this.
        listen: told of every stage's episodes.
        said: told of the rules that each round keeps.
        crews: who computes the streams of meta-steps, see `ruledsl.studies.crews`; this process by default.

    Raises:
        RuleError, SettingsError, DataError: something does not exist, or does not fit the rest.
        RunError: `out` holds another search.
        KeyboardInterrupt: stopped; asked again, it goes on.

    >>> import tempfile
    >>> from ruledsl import Alphabet, Question, Search
    >>> few = Search(rounds=1, beam=1, screened=1, tries=2, heats=2, start_episodes=2, refit_episodes=2,
    ...     search_seeds=1, refit_seeds=2, judged_tasks=1)
    >>> small = dict(sizes=(49, 10, 47), labels=3, shots=4, queries=3, backend="eager")
    >>> asked = Question(size=3, alphabet=Alphabet(("y_post", "y_pre")), search=few, settings=small)
    >>> front = discover(asked, tempfile.mkdtemp() + "/found")
    >>> front.rules[0].terms, [rule.name for rule in front.baselines]
    (('pseudo_gradient',), ['backprop', 'feedback alignment', 'bio'])
    """
    out, given, allow = Path(out), question.given, LOCALITY_NAMES[question.allow]
    first = load(question.start, allow=allow)
    library = library_of(first, question.alphabet, allow, question.size)
    base = specify(library, **given)
    root = Path(str(given.get("data_root", "data")))
    parts = {part: open_dataset(f"{question.dataset}@{part}", root) for part in ("choice", "test")}
    for source in parts.values():  # a search must not end at classes that are too few
        draw_task(source, base.config.settings, 0, 0, 0)
    hunt = Hunt(out, base, given, first.names, question.search, listen, said, seconds, crews)
    with locked(make_folder(out)):
        question.keep(out)
        found = hunt.search()
        chosen = finalists(found, question.search.finalists)
        judged = refitted(hunt, chosen, parts), baselines(hunt, parts)
        chance = 1 / base.config.settings.task.labels
        front = Front(
            out,
            library,
            question.dataset,
            tuple(judged[0]),
            tuple(judged[1]),
            chance,
            tuple(entries_of(found, library)),
        )
        front.write()
    return front
