"""What stands at the top of every exported file: the rule, Θ, where it comes from, and what was verified."""

from __future__ import annotations

from ruledsl.exports.subject import Subject
from ruledsl.ir import Kind

UNVERIFIED = "Not verified: nobody has compared its numbers with ruledsl's."


def header(subject: Subject, what: str, proof: str) -> str:
    """Plain text: the rule as it is written, its coefficients with locality and source, the network."""
    rule, network = subject.rule, subject.network
    wiring = [
        f"feedback {network.feedback}",
        f"activation {network.activation} (β = {network.beta:g})",
        f"{network.output} output",
        *(["biases"] if network.bias else []),
        *([f"third factor: {network.third}"] if Kind.third in rule.program.update_program.inputs() else []),
    ]
    return "\n".join([
        f"{what} `{rule.name}`, exported by ruledsl.",
        "",
        *(f"    {line}".rstrip() for line in rule.source.rstrip().splitlines()),
        "",
        f"Θ: {subject.origin}.",
        *_coefficients(subject),
        "",
        f"Network: {', '.join(wiring)}; layers of {'-'.join(map(str, subject.settings.sizes))} cells.",
        proof,
    ])  # fmt: skip


def _coefficients(subject: Subject) -> list[str]:
    locality, cited = subject.rule.locality, subject.citations
    width = max(map(len, subject.names))
    rows = []
    for name, value in zip(subject.names, subject.theta, strict=True):
        parts = [f"    {name:<{width}} {value: .6g}"]
        parts += [str(locality[name])] if name in locality else ["of the feedback pathway"]
        parts += [cited[name]] if name in cited else []
        rows.append("  ".join(parts))
    return rows
