"""What can be wrong with a user's input: one family of errors, caught and printed in one place (`cli`).

An error of this family carries a message for the person who gave the input: what is wrong, and what to do.
Anything else that is raised is a defect of ruledsl.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


class UserError(Exception):
    """Input that cannot be used. Its text is all that a user needs to read.

    >>> import ruledsl
    >>> try:
    ...     ruledsl.train("bio", seeds=0)
    ... except ruledsl.UserError as error:
    ...     type(error).__name__
    'SettingsError'
    """

    def render(self) -> str:
        """As it is printed on its own; `str()` is the sentence alone, for quoting inside another one."""
        return f"error: {self}"


class RunError(UserError):
    """A run folder that cannot be written, read or continued.

    >>> import ruledsl
    >>> ruledsl.open_run("nowhere")
    Traceback (most recent call last):
        ...
    ruledsl.errors.RunError: nowhere is not a run folder: it has no config.toml
    """


class FolderInUse(RunError):
    """A run folder that another process trains in at this moment."""


class OtherTraining(RunError):
    """A run folder that holds another training than the one that was asked for."""


class DataError(UserError):
    """Data that cannot be found or used.

    >>> import ruledsl
    >>> ruledsl.train("bio", dataset="glyph")
    Traceback (most recent call last):
        ...
    ruledsl.errors.DataError: ...did you mean `glyphs`?...
    """


class PluginError(UserError):
    """A plugin that cannot be used; the message begins with its file and line where it has one.

    >>> import ruledsl
    >>> ruledsl.train("bio", feedback="fixd")
    Traceback (most recent call last):
        ...
    ruledsl.errors.PluginError: there is no feedback `fixd`; did you mean `fixed`?...
    """


class SettingsError(UserError):
    """Settings that cannot be, or that do not fit together.

    >>> import ruledsl
    >>> ruledsl.TrainSettings.of(beta=0)
    Traceback (most recent call last):
        ...
    ruledsl.errors.SettingsError: ...above 0...
    """


class ModelError(UserError):
    """A torch model that a rule cannot be attached to, with the part of it that stands in the way.

    >>> import ruledsl, torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    >>> ruledsl.torch.attach(model, "bio")
    Traceback (most recent call last):
        ...
    ruledsl.errors.ModelError: `1` (BatchNorm1d) mixes the samples of a batch: ...
    """


class MissingExtra(UserError):
    """A package that is not installed, and the extra that brings it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is missing; install the extra: pip install 'ruledsl[{extra}]'")


def require(extra: str, *modules: str) -> list[Any]:
    """Optional modules, imported. Raises `MissingExtra` that names what to install."""
    try:
        return [import_module(module) for module in modules]
    except ImportError as error:
        raise MissingExtra((error.name or modules[0]).partition(".")[0], extra) from None
