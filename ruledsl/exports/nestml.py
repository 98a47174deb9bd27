"""NESTML: a plasticity model of one synapse, event-driven. y_pre is a trace of presynaptic spikes; what is of
the postsynaptic cell comes by continuous ports."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ruledsl.algebra import Product
from ruledsl.errors import require
from ruledsl.exports.code import commented
from ruledsl.exports.header import header
from ruledsl.exports.products import Language, layer_products
from ruledsl.exports.refusal import NotExpressible, refuse_convolutions
from ruledsl.exports.subject import Subject
from ruledsl.ir import InternalError

NAME = "nestml"
PORTS = {
    "y_post": "activity",
    "z_post": "potential",
    "e_post": "error",
    "third": "signal that all synapses hear",
}
NO_COUNTERPART = (
    "a synapse there reads its postsynaptic cell through ports, and has none to the presynaptic one"
)
SYNAPSE = Language(
    NAME,
    {"y_pre", "W", *PORTS},
    {"e_pre": NO_COUNTERPART, "z_pre": NO_COUNTERPART, "age": "it is not counted there"},
)


def nestml_file(subject: Subject, proof: str) -> str:
    """The text of the model. Raises `NotExpressible` for what a synapse there cannot hold."""
    refuse_convolutions(NAME, subject.settings)
    layers = layer_products(subject, SYNAPSE)
    if any(layer != layers[0] for layer in layers[1:]):
        raise NotExpressible(
            NAME, "it differs between layers, and a model there is one synapse", "export it layer by layer"
        )
    products = layers[0]
    used = {f for p in products for f in p.factors()}
    ports = [q for q in PORTS if q in used]
    name = re.sub(r"\W", "_", subject.rule.name)
    lines = [
        f"model {name}_synapse:",
        "    state:",
        "        w real = 1.",
        "        y_pre real = 0.    # a leaky sum of presynaptic spikes",
        "",
        "    parameters:",
        "        tau_pre ms = 20 ms",
        *(f"        k_{n} real = {p.coefficient!r}" for n, p in enumerate(products)),
        "",
        "    equations:",
        "        y_pre' = -y_pre / tau_pre",
        "",
        "    input:",
        "        pre_spikes <- spike",
        "        post_spikes <- spike",
        *(f"        {q} real <- continuous    # the postsynaptic cell's {PORTS[q]}" for q in ports),
        "",
        "    output:",
        "        spike",
        "",
        "    onReceive(pre_spikes):",
        "        y_pre += 1.",
        f"        w += {_sum(products)}",
        "        emit_spike(w)",
        "",
        "    update:",
        "        integrate_odes()",
    ]
    top = commented(header(subject, "Plasticity of a NEST synapse:", proof) + "\n" + _meaning(ports))
    return "\n".join([top, *lines, ""])


def _sum(products: Sequence[Product]) -> str:
    """k_0 * y_post * y_pre + …"""
    named = [[f"k_{n}", *("w" if f == "W" else f for f in p.factors())] for n, p in enumerate(products)]
    return " + ".join(" * ".join(factors) for factors in named)


def _meaning(ports: Sequence[str]) -> str:
    pairs = ", ".join(f'["{q}", "{q}"]' for q in ports)
    told = f'"post_ports": ["post_spikes", {pairs}]' if ports else '"post_ports": ["post_spikes"]'
    return (
        "A weight moves when a presynaptic spike arrives: a sample is a spike, y_pre the trace with it.\n"
        f"The postsynaptic neuron has variables of the ports' names; to pair it with this one:\n    {told}"
    )


def prove_nestml(subject: Subject, text: str) -> str:
    """PyNESTML parses the model and finds no fault; what it read as a weight's change is what the rule does.

    Raises `InternalError` for a text that it does not read so, `MissingExtra` without PyNESTML.
    """
    model = _parsed(text)
    (block,) = model.get_on_receive_blocks()
    changes = [s.small_stmt.get_assignment() for s in block.get_stmts_body().get_stmts()]
    said = next(str(a.rhs) for a in changes if a is not None and str(a.lhs) == "w")
    values = {
        str(d.get_variables()[0]): str(d.get_expression())
        for part in model.get_parameters_blocks()
        for d in part.get_declarations()
    }
    read = [_read(part.split(" * "), values) for part in said.split(" + ")]
    if read != layer_products(subject, SYNAPSE)[0]:
        raise InternalError("PyNESTML reads another rule in the exported model; please report this rule")
    return f"Parsed and checked by PyNESTML {version('nestml')}, which reads this rule in it; not simulated."


def _parsed(text: str) -> Any:
    """The model that PyNESTML makes of a text."""
    frontend, parser, logger, cocos = require(
        "nestml",
        "pynestml.frontend.pynestml_frontend",
        "pynestml.utils.model_parser",
        "pynestml.utils.logger",
        "pynestml.cocos.co_cos_manager",
    )
    logger.Logger.init_logger(logger.LoggingLevel.NO)
    frontend.init_predefined()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.nestml"
        path.write_text(text, encoding="utf-8")
        found = parser.ModelParser.parse_file(str(path))
    if found is None:
        raise InternalError("PyNESTML does not read the exported model; please report this rule")
    (model,) = found.get_model_list()
    cocos.CoCosManager.check_cocos(model)
    if logger.Logger.has_errors(model):
        raise InternalError("PyNESTML finds faults in the exported model; please report this rule")
    return model


def _read(factors: Sequence[str], values: Mapping[str, str]) -> Product:
    """A product as PyNESTML prints it, its coefficient looked up among the parameters."""
    first, *rest = factors
    counted = Counter("W" if f == "w" else f for f in rest)
    return Product(float(values[first]), tuple(sorted(counted.items())))
