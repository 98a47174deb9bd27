"""Rules: text to a checked `Rule`, and what can be said of one:
its text, LaTeX, parts per layer, differences."""

from ruledsl.rules.checking import check, check_file, checked_file, load, load_each, rule
from ruledsl.rules.difference import RuleDifference, TermDifference, rule_difference
from ruledsl.rules.html import formula, table
from ruledsl.rules.latex import rule_latex, term_latex
from ruledsl.rules.rule import Piece, Rule
from ruledsl.rules.source import rule_source
from ruledsl.rules.splitting import SPLITS, apart

__all__ = [
    "SPLITS",
    "Piece",
    "Rule",
    "RuleDifference",
    "TermDifference",
    "apart",
    "check",
    "check_file",
    "checked_file",
    "formula",
    "load",
    "load_each",
    "rule",
    "rule_difference",
    "rule_latex",
    "rule_source",
    "table",
    "term_latex",
]
