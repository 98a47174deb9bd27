"""A network of layers with its feedback as programs, and the streams that are run through them."""

from ruledsl.network.preparation import Prepared, prepare
from ruledsl.network.programs import StepPrograms, programs_for
from ruledsl.network.queries import as_targets, query_outputs, query_scores, scores
from ruledsl.network.shared import convolution_into, sizes_by_name
from ruledsl.network.step import Activity, Coefficient, Pathway, SampleView, step_program
from ruledsl.network.stream import State, Stream, sizes_of, weights_of
from ruledsl.network.wiring import (
    Objectives,
    endings_of,
    network_of,
    paid_at_samples,
    programs_of,
    variants_of,
)

__all__ = [
    "Activity",
    "Coefficient",
    "Objectives",
    "Pathway",
    "Prepared",
    "SampleView",
    "State",
    "StepPrograms",
    "Stream",
    "as_targets",
    "convolution_into",
    "endings_of",
    "network_of",
    "paid_at_samples",
    "prepare",
    "programs_for",
    "programs_of",
    "query_outputs",
    "query_scores",
    "scores",
    "sizes_by_name",
    "sizes_of",
    "step_program",
    "variants_of",
    "weights_of",
]
