"""Rewrites per-row identity calls in policies to one call per statement, by the parse tree.

A policy ``owner = auth.uid()`` verifies the signed identity again for every row (a page of 100 rows loses three
quarters of its speed, DESIGN 4.3); ``owner = (select auth.uid())`` verifies it once. The call is found in
PostgreSQL's own parse tree (pglast) and its end by PostgreSQL's own scanner, and only the text of the call is
wrapped: comments, strings and spelling around it stay byte for byte, and a look-alike inside a string, a comment
or a function body is never touched. The meaning does not change: the functions are STABLE and take no argument.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

IDENTITY_FUNCTIONS = frozenset({"uid", "role", "jwt", "email", "tenant_id", "current_user_id", "current_user_role", "is_authenticated"})
"""The argument-free functions of schema ``auth`` that a policy may call; all STABLE."""


class PolicyParseError(ValueError):
    """The text is not SQL that PostgreSQL's grammar accepts."""


@dataclass(frozen=True, slots=True)
class RewrittenPolicy:
    """One policy statement that was changed: its name, its table, and how many calls were wrapped."""

    policy: str
    table: str
    calls: int


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The text with identity calls hoisted, and one entry per policy that changed."""

    sql: str
    policies: tuple[RewrittenPolicy, ...]


def rewrite_policies(sql: str) -> Rewritten:
    """Wrap every per-row identity call of the CREATE/ALTER POLICY statements in ``sql``.

    Everything else in the text, other statements included, is returned unchanged. Raises :class:`PolicyParseError`
    when the text does not parse.
    """
    from pglast import ast, parser  # 0.2 s to import: only when there is something to rewrite

    try:
        statements = parser.parse_sql(sql)
    except parser.ParseError as error:
        raise PolicyParseError(str(error.args[0])) from error
    spans: list[tuple[int, int]] = []
    changed: list[RewrittenPolicy] = []
    ends: dict[int, int] | None = None
    for raw in statements:
        node = raw.stmt
        if not isinstance(node, ast.CreatePolicyStmt | ast.AlterPolicyStmt):
            continue
        starts = sorted({*_per_row_calls(node.qual), *_per_row_calls(node.with_check)})
        if not starts:
            continue
        if ends is None:
            ends = _call_ends(sql)
        spans.extend((start, ends[start]) for start in starts)
        table = node.table
        name = f"{table.schemaname}.{table.relname}" if table.schemaname else str(table.relname)
        changed.append(RewrittenPolicy(policy=str(node.policy_name), table=name, calls=len(starts)))
    for start, end in sorted(spans, reverse=True):
        sql = f"{sql[:start]}(select {sql[start:end]}){sql[end:]}"
    return Rewritten(sql, tuple(changed))


def _per_row_calls(expression: Any) -> Iterator[int]:
    """Offsets of identity calls under ``expression`` that PostgreSQL would evaluate once per row."""
    if expression is None:
        return
    from pglast import ast

    stack: list[Any] = [expression]
    while stack:
        node = stack.pop()
        if isinstance(node, tuple | list):
            stack.extend(node)
            continue
        if not isinstance(node, ast.Node):
            continue
        if isinstance(node, ast.FuncCall) and _is_identity_call(node):
            yield int(node.location)
            continue
        if isinstance(node, ast.SubLink) and _runs_once(node):
            stack.append(node.testexpr)
            continue
        if isinstance(node, ast.RangeFunction):
            continue  # `from auth.uid()` is a table there, not an expression; it cannot be wrapped
        stack.extend(getattr(node, slot, None) for slot in node.__slots__)


def _is_identity_call(node: Any) -> bool:
    names = [part.sval for part in node.funcname]
    return len(names) == 2 and names[0] == "auth" and names[1] in IDENTITY_FUNCTIONS and not node.args


def _runs_once(sublink: Any) -> bool:
    """Whether the sub-select reads no table and no column, so that PostgreSQL plans it as an InitPlan already."""
    from pglast import ast

    query = sublink.subselect
    if not isinstance(query, ast.SelectStmt) or query.fromClause or query.op or query.withClause:
        return False
    stack: list[Any] = [query]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.ColumnRef):
            return False
        if isinstance(node, tuple | list):
            stack.extend(node)
        elif isinstance(node, ast.Node):
            stack.extend(getattr(node, slot, None) for slot in node.__slots__)
    return True


def _call_ends(sql: str) -> dict[int, int]:
    """For each token's start, the offset behind the next closing parenthesis (an identity call has no arguments inside)."""
    from pglast import parser

    ends: dict[int, int] = {}
    waiting: list[int] = []
    for token in parser.scan(sql):
        waiting.append(token.start)
        if token.name == "ASCII_41":
            ends.update(dict.fromkeys(waiting, token.end + 1))
            waiting.clear()
    return ends
