from .build import CannotBuild, compiler, is_built, load_library
from .compiled_rule import CompiledRule, compile_rule
from .cpp import KernelSource, NotPrintable, print_kernel
from .cpp_inputs import Inputs, stride_of
from .eager import (
    BINARY,
    KERNELS,
    SHAPED,
    EagerProgram,
    Operand,
    apply_update,
    change_of,
    patches_at,
    undo_update,
)
from .prelude import PRELUDE
from .reference import REFERENCE_KERNELS, run_updates
from .silence import silent_matrices
from .targets import Target, targets

__all__ = [
    "BINARY",
    "KERNELS",
    "PRELUDE",
    "REFERENCE_KERNELS",
    "SHAPED",
    "CannotBuild",
    "CompiledRule",
    "EagerProgram",
    "Inputs",
    "KernelSource",
    "NotPrintable",
    "Operand",
    "Target",
    "apply_update",
    "change_of",
    "compile_rule",
    "compiler",
    "is_built",
    "load_library",
    "patches_at",
    "print_kernel",
    "run_updates",
    "silent_matrices",
    "stride_of",
    "targets",
    "undo_update",
]
