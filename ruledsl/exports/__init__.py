"""Rules in other languages: files of their own, each held against ruledsl before it leaves."""

from ruledsl.exports.formats import FORMATS, Format, export
from ruledsl.exports.lava import signed_powers
from ruledsl.exports.refusal import NotExpressible
from ruledsl.exports.subject import Subject, subject_of

__all__ = ["FORMATS", "Format", "NotExpressible", "Subject", "export", "signed_powers", "subject_of"]
