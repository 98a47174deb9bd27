"""Text and tree of `.rule` files, and what their names mean. The only user of Lark."""

from ruledsl.language.definitions import RuleDefinition, RuleTerm, Term, TermOptions
from ruledsl.language.formatter import format_source
from ruledsl.language.library import packaged_files, packaged_folders, search_folders, union
from ruledsl.language.loading import (
    LoadedFile,
    load_file,
    load_partly,
    load_rule,
    load_text,
    locate,
    split_spec,
)
from ruledsl.language.messages import closest
from ruledsl.language.parser import MAX_STATEMENTS, parse, read_source
from ruledsl.language.printer import format_number, print_expression, print_statement
from ruledsl.language.resolver import count_nodes, names_in
from ruledsl.language.vocabulary import (
    FUNCTIONS,
    OTHER_SIDE,
    QUANTITIES,
    TARGETS,
    is_count,
    readable_by,
    shape_of_quantity,
)

__all__ = [
    "FUNCTIONS",
    "MAX_STATEMENTS",
    "OTHER_SIDE",
    "QUANTITIES",
    "TARGETS",
    "LoadedFile",
    "RuleDefinition",
    "RuleTerm",
    "Term",
    "TermOptions",
    "closest",
    "count_nodes",
    "format_number",
    "format_source",
    "is_count",
    "load_file",
    "load_partly",
    "load_rule",
    "load_text",
    "locate",
    "names_in",
    "packaged_files",
    "packaged_folders",
    "parse",
    "print_expression",
    "print_statement",
    "read_source",
    "readable_by",
    "search_folders",
    "shape_of_quantity",
    "split_spec",
    "union",
]
