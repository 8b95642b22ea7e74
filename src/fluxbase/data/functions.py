"""Which function a call means: by name and the set of argument names (contract 1.8). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.data.nearest import LIST_SCORE, NAME_SCORE, nearest
from fluxbase.kernel.errors import Ambiguous, NotFound

if TYPE_CHECKING:
    from collections.abc import Collection

    from fluxbase.data.snapshot import Function, Snapshot

_WHOLE_BODY = {
    "json": "application/json",
    "jsonb": "application/json",
    "text": "text/plain",
    "bytea": "application/octet-stream",
    "xml": "text/xml",
}
_RAW = {"text/plain": "text", "text/xml": "xml", "application/octet-stream": "bytea"}


def find_function(snapshot: Snapshot, schema: str, name: str, names: Collection[str], role: str, *, content_type: str | None) -> Function:
    """The function that takes exactly these arguments; else the one whose single unnamed argument takes the whole body.

    ``content_type`` is None for GET. A function the role may not execute is found only when no other fits: PostgreSQL then
    refuses it with 42501, as for tables. Raises PGRST202 (none; hints name only functions the role may call) or PGRST203 (several).
    """
    everything = snapshot.functions.get((schema, name), [])
    usable = [each for each in everything if role in each.roles]
    wanted = frozenset(names)
    for candidates in (usable, everything):
        found = [each for each in candidates if takes(each, wanted, content_type)]
        found = found or [each for each in candidates if takes_body(each, content_type)]
        if len(found) == 1:
            return found[0]
        if found:
            raise _several(schema, name, found)
    raise _not_found(snapshot, schema, name, sorted(names), role, content_type)


def takes(function: Function, wanted: frozenset[str], content_type: str | None) -> bool:
    """Whether the arguments' names are known and all needed ones are there. A raw body has no names, so it calls nothing by name."""
    if not function.arguments and content_type in _RAW:
        return False
    known = {argument.name for argument in function.arguments}
    needed = {argument.name for argument in function.arguments if not argument.has_default}
    return needed <= wanted <= known and "" not in known


def takes_body(function: Function, content_type: str | None) -> bool:
    """Whether its only argument is unnamed and of a type for the whole body."""
    arguments = function.arguments
    return (
        content_type is not None and len(arguments) == 1 and arguments[0].name == "" and _WHOLE_BODY.get(arguments[0].type) == content_type
    )


def _several(schema: str, name: str, found: list[Function]) -> Ambiguous:
    listed = ", ".join(f"{schema}.{name}({', '.join(f'{a.name} => {a.type}' for a in each.arguments)})" for each in found)
    return Ambiguous(
        f"Could not choose the best candidate function between: {listed}", pgrst="PGRST203", code="ambiguous_function",
        hint="Try renaming the parameters or the function itself in the database so function overloading can be resolved",
    )  # fmt: skip


def _not_found(snapshot: Snapshot, schema: str, name: str, names: list[str], role: str, content_type: str | None) -> NotFound:
    listed = ", ".join(names)
    named = f" with parameter{'s' if len(names) > 1 else ''} {listed}" if names else " without parameters"
    if content_type in _RAW:
        shown, searched, hint = "", f" with a single unnamed {_RAW[content_type]} parameter", None
    else:
        shown = f"({listed})" if names else " without parameters"
        searched = f"{named} or with a single unnamed json/jsonb parameter" if content_type == "application/json" else named
        hint = _hint(snapshot, schema, name, f"({listed})", role)
    return NotFound(
        f"Could not find the function {schema}.{name}{shown} in the schema cache", pgrst="PGRST202", hint=hint, code="unknown_function",
        details=f"Searched for the function {schema}.{name}{searched}, but no matches were found in the schema cache.",
    )  # fmt: skip


def _hint(snapshot: Snapshot, schema: str, name: str, arguments: str, role: str) -> str | None:
    """The nearest arguments when the name exists, else the nearest name; only of functions the role may call."""
    overloads = [each for each in snapshot.functions.get((schema, name), ()) if role in each.roles]
    if overloads:
        lists = [f"({', '.join(sorted(a.name for a in each.arguments))})" for each in overloads]
        close = nearest(arguments, lists, LIST_SCORE)
        found = None if close is None else name + close
    else:
        usable = [n for (s, n), each in snapshot.functions.items() if s == schema and any(role in f.roles for f in each)]
        found = nearest(name, usable, NAME_SCORE)
    return f"Perhaps you meant to call the function {schema}.{found}" if found else None
