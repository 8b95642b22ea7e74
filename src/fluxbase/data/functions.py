"""Which function a call means: by name and the set of argument names (contract 1.8). Pure."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from fluxbase.kernel.errors import Ambiguous, NotFound

if TYPE_CHECKING:
    from fluxbase.data.snapshot import Function, Snapshot

_WHOLE_BODY = {
    "json": "application/json",
    "jsonb": "application/json",
    "text": "text/plain",
    "bytea": "application/octet-stream",
    "xml": "text/xml",
}


def find_function(
    snapshot: Snapshot, schema: str, name: str, names: tuple[str, ...], role: str, *, content_type: str | None
) -> tuple[Function, list[tuple[str, str]]]:
    """The function and its arguments as (name, type). ``content_type`` is None for GET.

    Raises PGRST202 (none; hints name only functions the role may call) or PGRST203 (several).
    """
    candidates = [each for each in snapshot.functions.get((schema, name), ()) if role in each.roles]
    wanted = set(names)
    found = [each for each in candidates if _takes(each, wanted)]
    if len(found) > 1:
        exact = [each for each in found if {argument.name for argument in each.arguments} == wanted]
        found = exact or found
    if len(found) == 1:
        types = {argument.name: argument.type for argument in found[0].arguments}
        return found[0], [(each, types[each]) for each in names]
    if len(found) > 1:
        listed = ", ".join(f"{schema}.{name}({', '.join(f'{a.name} => {a.type}' for a in each.arguments)})" for each in found)
        raise Ambiguous(
            f"Could not choose the best candidate function between: {listed}", pgrst="PGRST203",
            hint="Try renaming the parameters or the function itself in the database so function overloading can be resolved",
        )  # fmt: skip
    whole = [
        each
        for each in candidates
        if len(each.arguments) == 1 and each.arguments[0].name == "" and _WHOLE_BODY.get(each.arguments[0].type) == content_type
    ]
    if len(whole) == 1:
        return whole[0], [("", whole[0].arguments[0].type)]
    raise _not_found(snapshot, schema, name, names, role, is_json=content_type == "application/json")


def _takes(function: Function, wanted: set[str]) -> bool:
    known = {argument.name for argument in function.arguments}
    needed = {argument.name for argument in function.arguments if not argument.has_default and not argument.is_variadic}
    return wanted <= known and needed <= wanted and "" not in known


def _not_found(snapshot: Snapshot, schema: str, name: str, names: tuple[str, ...], role: str, *, is_json: bool) -> NotFound:
    usable = [n for (s, n), each in snapshot.functions.items() if s == schema and any(role in f.roles for f in each)]
    close = get_close_matches(name[:64], usable, n=1, cutoff=0.75)
    hint = None
    if close:
        best = next(f for f in snapshot.functions[schema, close[0]] if role in f.roles)
        arguments = ", ".join(argument.name for argument in best.arguments)
        hint = f"Perhaps you meant to call the function {schema}.{close[0]}" + (f"({arguments})" if arguments else "")
    shown = f"{schema}.{name}({', '.join(names)})" if names else f"{schema}.{name}"
    with_ = f"with parameter{'s' if len(names) > 1 else ''} {', '.join(names)}" if names else "without parameters"
    alternative = " or with a single unnamed json/jsonb parameter" if is_json else ""
    return NotFound(
        f"Could not find the function {shown}{'' if names else ' without parameters'} in the schema cache",
        pgrst="PGRST202", hint=hint, code="unknown_function",
        details=f"Searched for the function {schema}.{name} {with_}{alternative}, but no matches were found in the schema cache.",
    )  # fmt: skip
