"""Runs programs: plain numpy to believe, eager torch to use anywhere."""

from ruledsl.backend.compiled_rule import CompiledRule
from ruledsl.backend.eager import EagerProgram, apply_update, change_of, undo_update

__all__ = ["CompiledRule", "EagerProgram", "apply_update", "change_of", "undo_update"]
