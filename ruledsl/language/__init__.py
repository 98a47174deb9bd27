"""Text and tree of `.rule` files, and what their names mean. The only user of Lark."""

from ruledsl.language.definitions import RuleDefinition, RuleTerm, Settings, Term
from ruledsl.language.formatter import format_source
from ruledsl.language.library import packaged_rules, search_folders, union
from ruledsl.language.loading import LoadedFile, load_file, load_partly, load_rule, locate, split_spec
from ruledsl.language.messages import closest
from ruledsl.language.parser import parse, read_source
from ruledsl.language.printer import format_number, print_expression, print_module, print_statement
from ruledsl.language.resolver import children, count_nodes
from ruledsl.language.vocabulary import FUNCTIONS, QUANTITIES, READABLE

__all__ = [
    "FUNCTIONS",
    "QUANTITIES",
    "READABLE",
    "LoadedFile",
    "RuleDefinition",
    "RuleTerm",
    "Settings",
    "Term",
    "children",
    "closest",
    "count_nodes",
    "format_number",
    "format_source",
    "load_file",
    "load_partly",
    "load_rule",
    "locate",
    "packaged_rules",
    "parse",
    "print_expression",
    "print_module",
    "print_statement",
    "read_source",
    "search_folders",
    "split_spec",
    "union",
]
