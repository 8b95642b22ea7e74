"""SQLSTATE → error: what leaves and what does not (contract 1.10)."""

from __future__ import annotations

import json

import pytest

from fluxbase.db.errors import translate
from fluxbase.kernel.errors import DatabaseError
from fluxbase.web.context import Dialect
from fluxbase.web.errors import render, status_of


def test_row_values_are_cut_from_messages() -> None:
    """A quoted word stays when it names an object or when the caller sent it."""
    shown = translate("22P02", 'invalid input syntax for type integer: "stored"', params=())
    assert shown.message == "invalid input syntax for type integer"
    shown = translate("22P02", 'invalid input syntax for type integer: "abc"', params=(b'[{"id":"abc"}]',))
    assert shown.message == 'invalid input syntax for type integer: "abc"'


@pytest.mark.parametrize("state", ["23505", "23503", "23514", "22P02"])
def test_detail_never_leaves_unless_it_was_raised(state: str) -> None:
    """PostgreSQL's DETAIL has the row's values; that of a RAISE is what the schema's owner wrote."""
    assert translate(state, "no", "Key (secret)=(42) already exists.").details is None
    assert translate(state, "no", "mine", is_raised=True).details == "mine"


def test_hints_are_passed_on_unless_they_suggest_names() -> None:
    """A hint helps; one that suggests columns tells what the caller may not see."""
    assert translate("42501", "permission denied for table t", hint="Grant it.").hint == "Grant it."
    assert translate("42703", "column t.x does not exist", hint='Perhaps you meant to reference the column "t.y".').hint is None


MALFORMED = {
    "no json": ("nope", "{}", "MESSAGE"),
    "no object": ("[]", "{}", "MESSAGE"),
    "no code": ('{"message":"m"}', "{}", "MESSAGE"),
    "details no text": ('{"code":"c","message":"m","details":1}', "{}", "MESSAGE"),
    "no detail": ('{"code":"c","message":"m"}', None, "missing"),
    "no status": ('{"code":"c","message":"m"}', '{"headers":{}}', "DETAIL"),
    "status no number": ('{"code":"c","message":"m"}', '{"status":"400","headers":{}}', "DETAIL"),
    "status true": ('{"code":"c","message":"m"}', '{"status":true,"headers":{}}', "DETAIL"),
    "status out of range": ('{"code":"c","message":"m"}', '{"status":99,"headers":{}}', "DETAIL"),
    "no headers": ('{"code":"c","message":"m"}', '{"status":400}', "DETAIL"),
    "header no text": ('{"code":"c","message":"m"}', '{"status":400,"headers":{"a":1}}', "DETAIL"),
    "header with a line break": ('{"code":"c","message":"m"}', '{"status":400,"headers":{"a":"b\\r\\nc"}}', "DETAIL"),
    "header name with a space": ('{"code":"c","message":"m"}', '{"status":400,"headers":{"a b":"c"}}', "DETAIL"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_raise_is_pgrst121(name: str) -> None:
    """Every way to get the raise wrong says what is wrong."""
    message, detail, what = MALFORMED[name]
    error = translate("PGRST", message, detail)
    assert (error.pgrst, error.status) == ("PGRST121", 500)
    assert what in str(error.details)
    assert error.hint


def test_raise_decides_the_answer() -> None:
    """Code, message, details, hint, status and headers as raised."""
    message = json.dumps({"code": "123", "message": "Payment due", "details": "d", "hint": "h"})
    error = translate("PGRST", message, json.dumps({"status": 402, "status_text": "Pay", "headers": {"X-Powered-By": "me"}}))
    status, headers, body = render(error, Dialect.REST, None, "r")
    assert (status, json.loads(body)) == (402, {"code": "123", "message": "Payment due", "details": "d", "hint": "h"})
    assert (b"x-powered-by", b"me") in headers
    assert (b"proxy-status", b"PostgREST; error=123") in headers


def test_a_raised_code_cannot_break_the_header() -> None:
    """A code with a line break is one header still."""
    error = translate("PGRST", '{"code":"a\\r\\nset-cookie: x","message":"m"}', '{"status":400,"headers":{}}')
    _, headers, _ = render(error, Dialect.REST, None, "r")
    assert (b"proxy-status", b"PostgREST; error=a??set-cookie:?x") in headers


STATUSES = {
    "08006": 503, "09000": 500, "0L000": 403, "0P000": 403, "21000": 500, "22012": 400, "23502": 400, "23503": 409, "23505": 409,
    "23514": 400, "25006": 405, "25000": 500, "28000": 403, "2D000": 500, "38000": 500, "39000": 500, "3B000": 500, "40001": 500,
    "42501": 401, "42883": 404, "42P01": 404, "42P17": 500, "53400": 500, "53300": 503, "54001": 500, "55006": 500, "57P01": 503,
    "57000": 500, "58000": 500, "F0000": 500, "HV000": 500, "P0001": 400, "P0002": 500, "XX000": 500, "42P10": 400, "99999": 400,
    "PT402": 402, "PT099": 500, "PTabc": 500, "PT999": 500,
}  # fmt: skip


@pytest.mark.parametrize("state", STATUSES)
def test_status_of_every_class(state: str) -> None:
    """SQLSTATE → HTTP as the contract's table has it."""
    assert status_of(DatabaseError("m", sqlstate=state), None) == STATUSES[state]


def test_three_states_mean_something_else_by_their_text() -> None:
    """The extension safeupdate, a role that does not exist, a PostgreSQL without XML."""
    assert status_of(DatabaseError("UPDATE requires a WHERE clause", sqlstate="21000"), None) == 400
    assert status_of(DatabaseError('role "nobody" does not exist', sqlstate="22023"), None) == 401
    assert status_of(DatabaseError("function xmlagg(t) does not exist", sqlstate="42883"), None) == 406
