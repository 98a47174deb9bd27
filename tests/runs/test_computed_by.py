"""Compiled and eager numbers are never mixed in silence; a damaged or foreign cache is never loaded."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch

import ruledsl
from ruledsl.backend import CannotBuild, build, load_library
from ruledsl.runs import use_threads
from ruledsl.storage import is_kept
from ruledsl.tasks import glyphs
from tests.commands import SMALL, run, train

CODE = 'extern "C" int answer() { return 42; }\n'
needs_compiler = pytest.mark.skipif(build.compiler() is None, reason="there is no C++ compiler")


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RULEDSL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Take the compiler away, as a machine without one."""

    def take() -> None:
        ruledsl.engines.forget_kernels()
        monkeypatch.setattr("ruledsl.backend.build.compiler", lambda: None)

    return take


@needs_compiler
def test_a_run_that_was_compiled_is_not_gone_on_with_by_eager_torch(
    tmp_path: Path, no_compiler: Callable[[], None]
) -> None:
    assert train(tmp_path / "run", "--backend", "compiled").exit_code == 0
    assert json.loads((tmp_path / "run" / "checkpoint.json").read_text())["computed_by"] == "compiled"
    no_compiler()
    result = run("resume", tmp_path / "run", "--episodes", 8)
    assert result.exit_code == 2
    assert "no C++ compiler was found" in result.output


@needs_compiler
@pytest.mark.filterwarnings("default:no C")
def test_other_means_are_refused_unless_they_are_accepted(
    tmp_path: Path, no_compiler: Callable[[], None]
) -> None:
    assert train(tmp_path / "run", episodes=45).exit_code == 0  # long enough to be compiled by itself
    no_compiler()
    before = (tmp_path / "run" / "metrics.csv").read_bytes()
    result = run("resume", tmp_path / "run", "--episodes", 46)
    assert result.exit_code == 2
    assert "warning: no C++ compiler was found: eager" in result.output
    assert "was computed by compiled code, and here eager code would go on" in result.output
    assert (tmp_path / "run" / "metrics.csv").read_bytes() == before
    result = run("resume", tmp_path / "run", "--episodes", 46, "--other-backend")
    assert result.exit_code == 0, result.output


@needs_compiler
def test_what_eager_torch_began_it_goes_on_with_though_a_compiler_has_come(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ruledsl.meta.trainer.WORTH_COMPILING", 1)
    with pytest.MonkeyPatch.context() as without:
        without.setattr("ruledsl.backend.build.compiler", lambda: None)
        ruledsl.engines.forget_kernels()
        with pytest.warns(UserWarning, match="no C"):
            ruledsl.train("bio", out=tmp_path / "run", **SMALL, progress=False)
    ruledsl.engines.forget_kernels()
    before = (tmp_path / "run" / "metrics.csv").read_bytes()
    assert run("resume", tmp_path / "run", "--episodes", 5).exit_code == 0
    assert json.loads((tmp_path / "run" / "checkpoint.json").read_text())["computed_by"] == "eager"
    after = (tmp_path / "run" / "metrics.csv").read_bytes()
    assert after.startswith(before)
    assert len(after) > len(before)


def test_asking_for_compiled_code_without_a_compiler_says_so_and_makes_nothing(
    tmp_path: Path, no_compiler: Callable[[], None]
) -> None:
    no_compiler()
    result = train(tmp_path / "run", "--backend", "compiled")
    assert result.exit_code == 2
    assert "--backend compiled: no C++ compiler was found; use `--backend eager`" in result.output
    assert not (tmp_path / "run").exists()


def test_fewer_episodes_than_there_are_take_none_back(tmp_path: Path) -> None:
    train(tmp_path / "run")
    before = (tmp_path / "run" / "result.json").read_bytes()
    result = run("resume", tmp_path / "run", "--episodes", 3)
    assert result.exit_code == 2
    assert "has 6 episodes already" in result.output
    assert "is finished" not in result.output
    assert (tmp_path / "run" / "result.json").read_bytes() == before


def truncated(path: Path) -> None:
    os.truncate(path, 1000)


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def another(path: Path) -> None:
    """A library without the symbols that are wanted."""
    other = build.library_path("int other;\n")
    load_library("int other;\n")
    path.write_bytes(other.read_bytes())


def writable_by_all(path: Path) -> None:
    path.chmod(0o666)


@needs_compiler
def test_when_one_part_cannot_be_compiled_no_compiler_of_another_is_left(own_cache: Path) -> None:
    slow = '#include <regex>\nbool found() { return std::regex_match("a", std::regex("a*")); }\n'
    with pytest.raises(CannotBuild, match="error"):
        load_library("no C++;\n", slow)
    compilers = [p for p in psutil.Process().children() if "unit1.cpp" in " ".join(p.cmdline())]
    assert compilers == []


@needs_compiler
@pytest.mark.parametrize("harm", [truncated, flipped, empty, another, writable_by_all])
def test_a_damaged_or_foreign_kernel_is_built_again_and_never_loaded(
    harm: Callable[[Path], None], own_cache: Path
) -> None:
    path = build.library_path(CODE)
    load_library(CODE)
    assert is_kept(path)
    # In a file of its own: what was loaded once must not be changed below a running process.
    sound = path.read_bytes()
    path.unlink()
    path.write_bytes(sound)
    harm(path)
    assert not is_kept(path)
    assert load_library(CODE).answer() == 42
    assert is_kept(path)
    assert path.read_bytes() == sound
    assert (own_cache / "kernels").stat().st_mode & 0o077 == 0


@needs_compiler
def test_a_cache_that_cannot_be_used_costs_a_compilation_and_nothing_else(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_cache.write_text("a file where a folder is wanted")
    build._own_folder.cache_clear()
    assert load_library(CODE).answer() == 42
    monkeypatch.setattr(
        "ruledsl.storage._is_ours", lambda path: "theirs" not in path.parts
    )  # a folder of another user's
    monkeypatch.setenv("RULEDSL_CACHE", str(own_cache.parent / "theirs"))
    assert load_library(CODE).answer() == 42
    assert not list((own_cache.parent / "theirs").glob("kernels/*.so"))


@needs_compiler
def test_leftovers_of_interrupted_builds_are_swept(own_cache: Path) -> None:
    left = own_cache / "kernels" / ".building-x"
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    at_work = own_cache / "kernels" / ".building-y"
    at_work.mkdir()
    load_library(CODE)
    assert not left.exists()
    assert at_work.exists()


def test_glyphs_that_were_altered_are_drawn_again(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(glyphs.PER_CLASS, "test", 2)
    first = glyphs.load_glyphs("test").read(slice(None))  # type: ignore[arg-type]
    path = next(own_cache.glob("glyphs-*/*.npy"))
    flipped(path)
    again = glyphs.load_glyphs("test").read(slice(None))  # type: ignore[arg-type]
    assert (first == again).all()


@pytest.mark.parametrize(("allowed", "asked", "threads"), [("3", 0, 3), ("3", 2, 2), ("", 2, 2)])
def test_a_training_takes_the_threads_that_it_is_allowed(
    allowed: str, asked: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers of a study are allowed one each, whatever its cells do not ask for."""
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", allowed)
    use_threads(asked)
    assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
