"""Languages that a rule can be exported to besides the built-in ones: `ruledsl export RULE --to NAME`.

Each is given what is exported, and gives the text of a file.
"""

import csv
import io

from ruledsl.plugin import Subject, target


@target("csv")
def table(subject: Subject) -> str:
    """A table for spreadsheets: every term with its θ, its locality, and one entry of it with indices."""
    rule, out = subject.rule, io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["rule", "coefficient", "theta", "locality", "entry"])
    terms = {
        piece.coefficient: piece for piece in reversed(rule.pieces)
    }  # its own comes before those it shares
    for number, (name, value) in enumerate(zip(subject.names, subject.theta, strict=True)):
        piece = terms.get(number)
        known = (str(piece.certificate.locality), f"{piece.entry} = {piece.text}") if piece else ("", "")
        rows.writerow([rule.name, name, repr(value), *known])
    return out.getvalue()
