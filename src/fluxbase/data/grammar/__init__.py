"""The query string as a tree: filters, logic trees, select, order. Pure; errors are PGRST100 (and PGRST103 for numbers).

One file for each part of the language; ``query`` puts them together. Each scans its text once from left to right and
descends no deeper than ``MAX_DEPTH``, so hostile input costs linear time (threat E43).
"""

from fluxbase.data.grammar.filters import list_literal, split_head
from fluxbase.data.grammar.names import MAX_DEPTH, decode_pairs, fail, parse_number
from fluxbase.data.grammar.orders import parse_order
from fluxbase.data.grammar.query import parse_field_path, parse_query, path_of
from fluxbase.data.grammar.selects import parse_select
from fluxbase.data.grammar.terms import (
    AGGREGATES,
    FULL_TEXT,
    OPERATORS,
    Condition,
    Field,
    Filter,
    Logic,
    Order,
    Part,
    Path,
    Query,
    SelectColumn,
    SelectEmbed,
    SelectItem,
)
from fluxbase.data.grammar.trees import parse_tree

__all__ = [
    "AGGREGATES",
    "FULL_TEXT",
    "MAX_DEPTH",
    "OPERATORS",
    "Condition",
    "Field",
    "Filter",
    "Logic",
    "Order",
    "Part",
    "Path",
    "Query",
    "SelectColumn",
    "SelectEmbed",
    "SelectItem",
    "decode_pairs",
    "fail",
    "list_literal",
    "parse_field_path",
    "parse_number",
    "parse_order",
    "parse_query",
    "parse_select",
    "parse_tree",
    "path_of",
    "split_head",
]
