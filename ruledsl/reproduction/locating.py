"""Files of claims by name: those of the product, and a user's."""

from __future__ import annotations

import re
from pathlib import Path

from ruledsl.ir import Diagnostic, RuleError
from ruledsl.language import closest

SHIPPED = Path(__file__).parent / "paper"
PROFILES = Path(__file__).parent / "profiles"


def shipped() -> dict[str, Path]:
    """The files of the paper's own claims, by name: equations, figures by number, tables."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.toml"), key=_order)}


def _order(path: Path) -> tuple[str, bool, int]:
    match = re.fullmatch(r"([a-z]+?)(s?)(\d+)", path.stem)
    return (match[1], bool(match[2]), int(match[3])) if match else (path.stem, False, 0)


def profiles() -> dict[str, Path]:
    """Files that change the settings one by one and compare, by name."""
    return {path.stem: path for path in sorted(PROFILES.glob("*.toml"))}


def locate_claims(name: str) -> Path:
    """The file that a name on the command line means. Raises `RuleError` when there is none."""
    path = Path(name)
    if path.suffix == ".toml" or "/" in name:
        if path.is_file():
            return path
        raise RuleError(Diagnostic("no-such-file", "there is no such file of claims", path=name))
    if name in shipped():
        return shipped()[name]
    near = closest(name, shipped())
    known = ", ".join(shipped())
    hint = f"did you mean `{near}`?" if near else f"there are: {known}; or name a `.toml` file"
    raise RuleError(Diagnostic("no-such-claim", f"there is no claim `{name}`", help=hint))
