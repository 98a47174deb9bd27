"""Cells for workers that see none of our folders: files go along with them as bytes, and come back."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ruledsl.runs import CONFIG, Run, locked
from ruledsl.storage import LOCK, is_unfinished, taking_turns, write_atomically
from ruledsl.studies.cells import Cell

ARRIVED = ".arrived-"
GIVEN = ".given"
"""Where files lie, at a worker's, that were elsewhere."""


@dataclass(frozen=True)
class Returned:
    """What a cell wrote: files by their path below the root; and what went wrong, if anything did."""

    message: str
    files: Mapping[str, bytes]

    def unpack(self, root: Path) -> None:
        """Put every file where it belongs. A run folder takes the place of what was there as a whole: half of
        one would be none."""
        with taking_turns(root):
            for left in root.glob(f"{ARRIVED}*"):  # by a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=root, prefix=ARRIVED) as folder:
                arrived, gone = Path(folder) / "new", Path(folder) / "old"
                for name, data in self.files.items():
                    (arrived / name).parent.mkdir(parents=True, exist_ok=True)
                    (arrived / name).write_bytes(data)
                for n, path in enumerate(sorted(arrived.rglob(CONFIG))):
                    run = path.parent.relative_to(arrived)
                    _swap(root / run, arrived / run, gone / str(n))
                for path in _files([arrived]):
                    data = path.read_bytes()
                    write_atomically(root / path.relative_to(arrived), lambda file, d=data: file.write(d))


def _swap(here: Path, arrived: Path, gone: Path) -> None:
    """Put a run folder in the place of an older state of it, unless it is behind what is here by now.
    Raises `FolderInUse` when another process trains it."""
    here.parent.mkdir(parents=True, exist_ok=True)
    gone.parent.mkdir(exist_ok=True)
    if not here.exists():
        arrived.rename(here)
        return
    with locked(here):
        mine, theirs = Run(here), Run(arrived)
        if (mine.state == "finished", mine.episodes) > (theirs.state == "finished", theirs.episodes):
            shutil.rmtree(arrived)
            return
        here.rename(gone)
        try:
            arrived.rename(here)
        except BaseException:
            gone.rename(here)
            raise


@dataclass(frozen=True)
class Parcel:
    """A cell with all that it reads."""

    cell: Cell
    files: Mapping[str, bytes]
    """By their path below the root."""
    given: Mapping[Path, bytes]

    @classmethod
    def of(cls, cell: Cell) -> Parcel:
        """Pack what a cell goes on with, leans on and is made from."""
        own = {str(p.relative_to(cell.root)): p.read_bytes() for p in _files(cell.reads())}
        return cls(cell, own, {p.absolute(): p.read_bytes() for p in cell.given()})

    def opened(self, run: Callable[[Cell], str]) -> Returned:
        """Run the cell in a folder of its own, gone afterwards; what it left there that is new."""
        with tempfile.TemporaryDirectory(prefix="ruledsl-cell-") as folder:
            root, moved = Path(folder), {}
            for name, data in self.files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_bytes(data)
            for n, (path, data) in enumerate(self.given.items()):
                moved[path] = root / GIVEN / str(n) / path.name
                moved[path].parent.mkdir(parents=True)
                moved[path].write_bytes(data)
            message = run(self.cell.moved(root, moved))
            shutil.rmtree(root / GIVEN, ignore_errors=True)
            left = {str(p.relative_to(root)): p.read_bytes() for p in _files([root])}
        changed = {Path(name).parent for name, data in left.items() if self.files.get(name) != data}
        return Returned(message, {n: data for n, data in left.items() if Path(n).parent in changed})


def _files(paths: Iterable[Path]) -> list[Path]:
    """Files, and those of folders, but for locks and what is half written."""
    found = [p for path in paths for p in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    return [p for p in found if p.is_file() and p.name != LOCK and not is_unfinished(p)]
