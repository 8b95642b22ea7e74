"""Which function a call means (contract 1.8), without a database."""

from __future__ import annotations

import pytest

from fluxbase.data.functions import find_function
from fluxbase.data.snapshot import Argument, Function, Snapshot
from fluxbase.kernel.errors import Ambiguous, NotFound


def _function(name: str, *arguments: tuple[str, str, bool], roles: tuple[str, ...] = ("anon",)) -> Function:
    listed = tuple(Argument(each, type_, has_default, is_variadic=False) for each, type_, has_default in arguments)
    return Function("public", name, "v", False, listed, "integer", False, None, frozenset(roles))


def _snapshot(*functions: Function) -> Snapshot:
    named: dict[tuple[str, str], list[Function]] = {}
    for each in functions:
        named.setdefault(("public", each.name), []).append(each)
    return Snapshot(1, "", ("public",), {}, {}, named)


def _find(snapshot: Snapshot, name: str, *names: str, content_type: str | None = None) -> Function:
    return find_function(snapshot, "public", name, names, "anon", content_type=content_type)


ONE = _function("f", ("a", "integer", False))
TWO = _function("f", ("a", "integer", False), ("b", "integer", False))
OPTIONAL = _function("f", ("a", "integer", False), ("c", "integer", True))
WHOLE = _function("f", ("", "json", False))


def test_the_set_of_names_decides() -> None:
    """Required arguments must be there, optional ones may, others may not."""
    snapshot = _snapshot(TWO, OPTIONAL)
    assert _find(snapshot, "f", "b", "a") is TWO
    assert _find(snapshot, "f", "a") is OPTIONAL
    assert _find(snapshot, "f", "a", "c") is OPTIONAL
    with pytest.raises(NotFound):
        _find(snapshot, "f", "a", "b", "c")


def test_two_that_fit_are_refused() -> None:
    """An exact match does not win over one that has a default more: the call is ambiguous."""
    with pytest.raises(Ambiguous) as refused:
        _find(_snapshot(ONE, OPTIONAL), "f", "a")
    assert refused.value.pgrst == "PGRST203"


def test_named_arguments_come_before_the_whole_body() -> None:
    """One unnamed json argument takes what no other function names, by POST only."""
    snapshot = _snapshot(ONE, WHOLE)
    assert _find(snapshot, "f", "a", content_type="application/json") is ONE
    assert _find(snapshot, "f", "z", content_type="application/json") is WHOLE
    with pytest.raises(NotFound):
        _find(snapshot, "f", "z")


def test_a_raw_body_calls_nothing_by_name() -> None:
    """Text goes to one unnamed text argument, never to a function without arguments."""
    text = _function("f", ("", "text", False))
    assert _find(_snapshot(_function("f"), text), "f", content_type="text/plain") is text
    with pytest.raises(NotFound):
        _find(_snapshot(_function("f")), "f", content_type="text/plain")


def test_hints_name_only_what_the_role_may_call() -> None:
    """A function of others is neither suggested by name nor by arguments (threat E44)."""
    hidden = _function("function_of_others", ("secret_argument", "integer", False), roles=("service_role",))
    for name, arguments in (("function_of_other", ()), ("function_of_others", ("secret_argumen",))):
        with pytest.raises(NotFound) as refused:
            _find(_snapshot(hidden), name, *arguments)
        assert refused.value.hint is None
    assert _find(_snapshot(hidden), "function_of_others", "secret_argument") is hidden  # PostgreSQL refuses the call itself
