"""Plugins: which there are, where each comes from, and how one is loaded."""

from ruledsl.registry.declarations import (
    Declaration,
    declared,
    plugin_folders,
    use_folders,
)
from ruledsl.registry.kinds import KINDS, Registered, register
from ruledsl.registry.loading import check_file, digest_of, find, names_of, plugin_at_fault, replaced

__all__ = [
    "KINDS",
    "Declaration",
    "Registered",
    "check_file",
    "declared",
    "digest_of",
    "find",
    "names_of",
    "plugin_at_fault",
    "plugin_folders",
    "register",
    "replaced",
    "use_folders",
]
