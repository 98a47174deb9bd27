"""What config.toml and result.json must hold: what has a wrong type is named, not met later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruledsl.errors import RunError
from ruledsl.settings import Check, Wrong, checks

INTERVAL = checks.record({"mean": checks.maybe_number, "half_width_95": checks.maybe_number})
RUN = checks.record(
    {"run": checks.whole, "seed": checks.whole},
    {
        "l1": checks.not_negative,
        "terms": checks.names,
        "initial": checks.Check("a list of finite numbers", checks.numbers_of),
    },
)
RUNS = checks.record({"runs": checks.each(RUN)})
CONFIG_FILE = checks.record(
    {
        "rule": checks.text,
        "dataset": checks.text,
        "data_root": checks.text,
        "terms": checks.names,
        "settings": checks.table,
        "runs": checks.each(RUN),
    }
)
RECORDED = checks.record(
    {},
    {
        "data": checks.text,
        "versions": checks.mapping(checks.text),
        "plugins": checks.each(checks.mapping(checks.text)),
    },
)
RESULT_RUN = checks.record(
    {
        "run": checks.whole,
        "seed": checks.whole,
        "episodes": checks.whole,
        "meta_accuracy": checks.maybe_number,
        "meta_loss": checks.maybe_number,
        "diverged": checks.whole,
        "theta": checks.mapping(checks.maybe_number),
    },
    {"l1": checks.not_negative, "terms": checks.names, "fresh_accuracy": checks.maybe_number},
)
RESULT_GROUP = checks.record(
    {
        "label": checks.text,
        "runs": checks.each(checks.whole),
        "meta_accuracy": INTERVAL,
        "theta": checks.mapping(INTERVAL),
    },
    {"fresh_accuracy": INTERVAL},
)
RESULT_FILE = checks.record(
    {"finished": checks.flag, "groups": checks.each(RESULT_GROUP), "runs": checks.each(RESULT_RUN)},
    {"averaged_over_last_episodes": checks.whole, "fresh_tasks": checks.whole},
)


def checked(path: Path, schema: Check, document: Any) -> dict[str, Any]:
    """The known fields of a document, each in its type. Raises `RunError` with the first that is wrong."""
    try:
        return schema(document)
    except Wrong as expected:
        raise RunError(f"{path} is damaged: it needs {expected}") from None
