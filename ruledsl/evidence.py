"""Whether the files of a run folder are those that its training left: digests, checked first of all.

A sealed document holds a digest of itself as `check`. A checkpoint also holds the digests of the
configuration, the rule and the metrics it belongs to; result.json those of the configuration and the rule.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ruledsl.errors import RunError
from ruledsl.storage import finite, read_json, write_json

CONFIG = "config.toml"
RULE = "rule.rule"
METRICS = "metrics.csv"
CHECKPOINT = "checkpoint.json"
RESULT = "result.json"
FORMAT = 2
"""Of checkpoints."""
WHOLE = (CONFIG, RULE)
"""Files that never change once a training has begun."""

_accepted: ContextVar[bool] = ContextVar("accept_edited", default=False)


@contextmanager
def accepting_edited(accept: bool = True) -> Iterator[None]:
    """Within it, files that were changed by another hand are read all the same.

    >>> with accepting_edited():
    ...     refuse_edited(Path("nowhere"))
    """
    before = _accepted.set(accept)
    try:
        yield
    finally:
        _accepted.reset(before)


def digest(data: bytes) -> str:
    """What a file's content is known by."""
    return hashlib.sha256(data).hexdigest()


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON document with a digest of itself."""
    return {**document, "check": _digest_of(document)}


def is_broken(document: Any) -> bool:
    """Whether a document carries a digest that is not its own. One without (of an older version) is not."""
    if not isinstance(document, dict):
        return True
    content = {key: value for key, value in document.items() if key != "check"}
    return "check" in document and document["check"] != _digest_of(content)


def write_sealed(path: Path, document: Mapping[str, Any]) -> None:
    """As `write_json`, sealed."""
    write_json(path, sealed(json.loads(json.dumps(finite(dict(document)), allow_nan=False))))


def _digest_of(document: Mapping[str, Any]) -> str:
    return digest(json.dumps(document, sort_keys=True).encode())


def digests(folder: Path) -> dict[str, str]:
    """Digests of the files that never change."""
    return {name: digest((folder / name).read_bytes()) for name in WHOLE}


def refuse_edited(folder: Path, always: bool = False) -> None:
    """Raise `RunError` when a file of a run folder is not as its run left it.

    Within `accepting_edited` nothing is refused, unless `always`: what goes on must be what it was.
    """
    faults = [] if _accepted.get() and not always else edits(folder)
    if faults:
        raise RunError(_refused(faults, f", train again with `rerun {folder} --accept-edited`"))


def refuse_edited_document(path: Path) -> None:
    """As `refuse_edited`, of one sealed document."""
    if not _accepted.get() and is_broken(_document(path)):
        raise RunError(_refused([f"{path} was changed since it was written"]))


def _refused(faults: list[str], again: str = "") -> str:
    head = f"{'; '.join(faults)}: it is no evidence of its training any more"
    return f"{head}. Restore it{again}, or only read it, with `--accept-edited`"


def edits(folder: Path) -> list[str]:
    """What is not as the training left it, in words; nothing of a folder whose training never began."""
    path = folder / CHECKPOINT
    checkpoint = _document(path)
    if checkpoint is None:
        return []
    if not isinstance(checkpoint, dict):
        return [f"{path} is damaged"]
    if checkpoint.get("format") != FORMAT:
        return [f"{path} has format {checkpoint.get('format')!r}; this version of ruledsl reads {FORMAT}"]
    if "check" not in checkpoint or is_broken(checkpoint):
        return [f"{path} was changed since it was written"]
    try:
        expected, rows = checkpoint["sha256"], int(checkpoint["episodes_done"]) * len(checkpoint["states"])
        found = [text for name in WHOLE if (text := _file_edit(folder / name, expected[name]))]
        table = _table_edit(folder / METRICS, rows, expected[METRICS])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return [f"{path} is damaged"]
    found += [text for text in (table, _result_edit(folder, expected)) if text]
    return found


def _result_edit(folder: Path, expected: Mapping[str, str]) -> str:
    """What is wrong with result.json, if there is one yet; one of another rule or other settings is."""
    path, result = folder / RESULT, _document(folder / RESULT)
    if result is None:
        return ""
    if is_broken(result):
        return f"{path} was changed since it was written"
    made_from = result.get("sha256", expected)  # an older version wrote none
    if not isinstance(made_from, dict):
        return f"{path} is damaged"
    others = [name for name in WHOLE if made_from.get(name) != expected[name]]
    return f"{path} is of another {' and '.join(others)}" if others else ""


def _file_edit(path: Path, expected: str) -> str:
    try:
        return (
            "" if digest(path.read_bytes()) == expected else f"{path} was changed since the last checkpoint"
        )
    except FileNotFoundError:
        return f"{path} is missing"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"


def _table_edit(path: Path, rows: int, expected: str) -> str:
    """Its header and first rows are looked at: a training at work writes on below them."""
    found = hashlib.sha256()
    try:
        with path.open("rb") as file:
            for count in range(rows + 1):
                line = file.readline()
                if not line.endswith(b"\n"):
                    there = max(0, count - 1)
                    return f"{path} holds {there} rows, but the checkpoint was written after {rows}"
                found.update(line)
    except FileNotFoundError:
        return f"{path} is missing"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    return "" if found.hexdigest() == expected else f"{path} was changed since it was written"


def _document(path: Path) -> Any:
    """A JSON document, None for one that is missing, and an empty text for what is none."""
    try:
        return read_json(path)
    except RunError:
        return "" if path.exists() else None
