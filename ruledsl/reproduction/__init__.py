"""A paper as a list of claims that can be run: what is printed, what is measured here, and whether they agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ruledsl.reproduction.reading import locate_claims, profiles, read_claims, shipped

if TYPE_CHECKING:
    from ruledsl.reproduction.document import Reproduced, signed, write_documents
    from ruledsl.reproduction.experiments import Budget, Job, Workshop
    from ruledsl.reproduction.parallel import run_ahead
    from ruledsl.reproduction.rehearsal import rehearse
    from ruledsl.reproduction.work import reproduce

__all__ = [
    "Budget",
    "Job",
    "Reproduced",
    "Workshop",
    "locate_claims",
    "profiles",
    "read_claims",
    "rehearse",
    "reproduce",
    "run_ahead",
    "shipped",
    "signed",
    "write_documents",
]
_LATE: dict[str, str] = dict.fromkeys(("Budget", "Job", "Workshop"), "experiments")
_LATE |= dict.fromkeys(("Reproduced", "signed", "write_documents"), "document") | {
    "rehearse": "rehearsal",
    "reproduce": "work",
    "run_ahead": "parallel",
}


def __getattr__(name: str) -> Any:
    # Reading files of claims must not need torch; only running them does.
    if name not in _LATE:
        raise AttributeError(f"module 'ruledsl.reproduction' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"ruledsl.reproduction.{_LATE[name]}"), name)
