# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownLambdaType=false
# The values of parsed JSON (or of libpq) have no types; each is checked where it is used.
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
        table: Any = node.table
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
        if isinstance(node, tuple):
            stack.extend(node)
            continue
        if not isinstance(node, ast.Node):
            continue
        if isinstance(node, ast.FuncCall) and _is_identity_call(node):
            yield int(node.location or 0)
            continue
        if isinstance(node, ast.SubLink) and _runs_once(node):
            stack.append(node.testexpr)
            continue
        if isinstance(node, ast.RangeFunction):
            continue  # `from auth.uid()` is a table there, not an expression; it cannot be wrapped
        stack.extend(getattr(node, slot, None) for slot in _slots(node))


def _last_name(call: Any) -> str:
    return str(call.funcname[-1].sval)


def _slots(node: Any) -> tuple[str, ...]:
    return node.__slots__


def _is_identity_call(node: Any) -> bool:
    names = [part.sval for part in node.funcname]
    return len(names) == 2 and names[0] == "auth" and names[1] in IDENTITY_FUNCTIONS and not node.args


def _runs_once(sublink: Any) -> bool:
    """Whether the sub-select reads no table and no column, so that PostgreSQL plans it as an InitPlan already."""
    from pglast import ast

    query = sublink.subselect
    if not isinstance(query, ast.SelectStmt) or query.fromClause or query.op or query.withClause:
        return False
    return not any(isinstance(node, ast.ColumnRef) for node in _nodes(query))


def _nodes(tree: Any) -> Iterator[Any]:
    """Every node of a parse tree."""
    from pglast import ast

    stack: list[Any] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, tuple):
            stack.extend(node)
        elif isinstance(node, ast.Node):
            yield node
            stack.extend(getattr(node, slot, None) for slot in _slots(node))


def replace_claim_settings(sql: str) -> tuple[str, tuple[str, ...]]:
    """Make the policy statement ``sql`` read verified claims where it reads ``current_setting('request.jwt.claims')``.

    Returns the new text and the names of all ``request.*`` settings that the policy reads (also those that stay, for a human).
    Raises :class:`PolicyParseError`.
    """
    from pglast import ast, parser

    try:
        statements = parser.parse_sql(sql)
    except parser.ParseError as error:
        raise PolicyParseError(str(error.args[0])) from error
    calls: list[tuple[int, str]] = []
    node: Any
    for node in _nodes(tuple(raw.stmt for raw in statements)):
        if isinstance(node, ast.FuncCall) and _last_name(node) == "current_setting" and node.args:
            first: Any = node.args[0].arg if isinstance(node.args[0], ast.TypeCast) else node.args[0]
            name = str(first.val.sval) if isinstance(first, ast.A_Const) and isinstance(first.val, ast.String) else "(computed)"
            if name.startswith(("request.", "(")):
                calls.append((int(node.location or 0), name))
    ends = _call_ends(sql) if calls else {}
    for start, name in sorted(calls, reverse=True):
        prefix, _, claim = name.partition(".jwt.claim.")
        if name == "request.jwt.claims":
            sql = f"{sql[:start]}(select auth.jwt()::text){sql[ends[start] :]}"
        elif prefix == "request" and claim.isidentifier():
            sql = f"{sql[:start]}(select auth.jwt() ->> '{claim}'){sql[ends[start] :]}"
    return sql, tuple(sorted({name for _, name in calls}))


def _call_ends(sql: str) -> dict[int, int]:
    """For each token's start, the offset behind the next closing parenthesis (the calls replaced here have none inside)."""
    from pglast import parser

    ends: dict[int, int] = {}
    waiting: list[int] = []
    for token in parser.scan(sql):
        waiting.append(token.start)
        if token.name == "ASCII_41":
            ends.update(dict.fromkeys(waiting, token.end + 1))
            waiting.clear()
    return ends


def compared_columns(sql: str) -> frozenset[str]:
    """Columns of the policy's own table that its USING compares by ``=``, ``= any`` or ``in``, outside of subqueries.

    Raises :class:`PolicyParseError`.
    """
    from pglast import ast, parser

    try:
        statements = parser.parse_sql(sql)
    except parser.ParseError as error:
        raise PolicyParseError(str(error.args[0])) from error
    found: set[str] = set()
    stack: list[Any] = [getattr(raw.stmt, "qual", None) for raw in statements]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.BoolExpr):
            stack.extend(node.args or ())
        elif isinstance(node, ast.A_Expr) and _operator(node) == "=":
            found.update(name for side in (node.lexpr, node.rexpr) if (name := _own_column(side)) is not None)
    return frozenset(found)


def _operator(node: Any) -> str:
    return str(node.name[-1].sval)


def _own_column(node: Any) -> str | None:
    """The name of an unqualified column, cast or not: the policy's own table is deparsed without a qualifier."""
    from pglast import ast

    if isinstance(node, ast.TypeCast):
        node = node.arg
    fields: Any = node.fields if isinstance(node, ast.ColumnRef) else ()
    return str(fields[0].sval) if len(fields) == 1 and isinstance(fields[0], ast.String) else None
