"""The command line in this process, judged as a user would: words, a known exit code, no traceback."""

from __future__ import annotations

import traceback

from click.testing import CliRunner, Result

from fuzz.attack import Wrong
from ruledsl.cli import main

EXITS = (0, 1, 2, 130)


def call(*arguments: object) -> Result:
    """`ruledsl ARGUMENTS`. Raises `Wrong` for an exception or an exit code that means nothing."""
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        steps = traceback.extract_tb(result.exception.__traceback__)
        own = [s for s in steps if "/ruledsl/" in s.filename] or list(steps)
        place = f"{own[-1].filename.rpartition('/ruledsl/')[2]}:{own[-1].lineno}" if own else "?"
        raise Wrong(
            f"{arguments[0]}: {type(result.exception).__name__}: {str(result.exception)[:200]} at {place}"
        )
    if result.exit_code not in EXITS:
        raise Wrong(f"{arguments[0]}: exit code {result.exit_code}")
    if result.exit_code == 2 and not result.output.strip():
        raise Wrong(f"{arguments[0]}: refused without a word")
    return result
