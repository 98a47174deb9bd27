"""What is measured of networks: alignment angles, E_W, what terms hold of the gradient,
and where streams blow up."""

from ruledsl.measures.alignment import Measurements, measure
from ruledsl.measures.blow_ups import Norms, StreamReport, inspect_stream
from ruledsl.measures.content import gradient_content
from ruledsl.measures.probe import probe_values
from ruledsl.measures.views import AdaptedView

__all__ = [
    "AdaptedView",
    "Measurements",
    "Norms",
    "StreamReport",
    "gradient_content",
    "inspect_stream",
    "measure",
    "probe_values",
]
