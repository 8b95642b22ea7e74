"""Section 1.6: the Prefer header."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.case import Case, check, install, send
from tests.contract.conftest import SETTINGS
from tests.support.server import Server, start_server

CASES = (
    Case("1.6", "several preferences, in one header or more; the first of a kind wins",
         'POST /accounts?select=id\nPrefer: return=representation\nPrefer: count=exact, return=minimal\n\n{"id": 10}', 201,
         {"preference-applied": "return=representation, count=exact", "content-range": "*/1"}, [{"id": 10}]),
    Case("1.6", "return=representation, minimal, headers-only", 'PATCH /accounts?id=eq.1\nPrefer: return=headers-only\n\n{"name": "A"}', 204,
         {"preference-applied": "return=headers-only", "location": None}, b""),
    Case("1.6", "tx=commit, tx=rollback when allowed", 'POST /accounts?select=id\nPrefer: tx=rollback, return=representation\n\n{"id": 10}', 201,
         {"preference-applied": "return=representation, tx=rollback"}, [{"id": 10}], then=("GET /accounts?id=eq.10", [])),
    Case("1.6", "tx=commit, tx=rollback when allowed", 'POST /accounts\nPrefer: tx=commit\n\n{"id": 10}', 201,
         {"preference-applied": "tx=commit"}, b"", then=("GET /accounts?select=id&id=eq.10", [{"id": 10}])),
    Case("1.6", "tx=commit, tx=rollback when allowed", 'POST /rpc/add_account?select=id\nPrefer: tx=rollback\n\n{"id": 10, "name": "x"}', 200,
         {"preference-applied": "tx=rollback"}, {"id": 10}, then=("GET /accounts?id=eq.10", [])),
    Case("1.6", "tx=commit, tx=rollback when allowed", 'POST /deferred\nPrefer: tx=rollback\n\n{"id": 1, "twin": 77}', 409, {},
         {"code": "23503", "message": 'insert or update on table "deferred" violates foreign key constraint "deferred_twin_fkey"',
          "details": None, "hint": None}),
    Case("1.6", "tx=commit, tx=rollback when allowed", 'POST /deferred\n\n{"id": 1, "twin": 77}', 409, {}, then=("GET /deferred", [])),
    Case("1.6", "handling=lenient ignores unknown tokens", "GET /accounts?select=id&id=eq.1\nPrefer: handling=lenient, foo, bar", 200,
         {"preference-applied": "handling=lenient"}, [{"id": 1}]),
    Case("1.6", "handling=lenient ignores unknown tokens", "GET /accounts?select=id&id=eq.1\nPrefer: foo", 200, {"preference-applied": None},
         [{"id": 1}]),
    *(
        Case("1.6", "handling=strict refuses unknown tokens, 400 PGRST122", request, 400, {},
             {"code": "PGRST122", "message": "Invalid preferences given with handling=strict", "details": "Invalid preferences: foo, bar=1",
              "hint": None})
        for request in (
            "GET /accounts\nPrefer: handling=strict, foo, bar=1",
            "GET /accounts\nPrefer: foo\nPrefer: handling=strict, bar=1",
            'POST /accounts\nPrefer: handling=strict, foo, bar=1\n\n{"id": 10}',
            "POST /rpc/quiet\nPrefer: handling=strict, foo, bar=1",
        )
    ),
    Case("1.6", "timezone", "POST /rpc/settings?select=*\nPrefer: timezone=Asia/Tokyo", 200, {"preference-applied": "timezone=Asia/Tokyo"}),
    Case("1.6", "timezone", 'POST /defaults?select=at\nPrefer: return=representation, timezone=America/Lima\n\n{"at": "2020-01-01T00:00:00Z"}', 201,
         {"preference-applied": "return=representation, timezone=America/Lima"}, [{"at": "2019-12-31T19:00:00-05:00"}]),
    *(
        Case("1.6", "timezone: an unknown one is an error", f"GET /accounts\nPrefer: {strict}timezone=Jupiter/Red_Spot", 400, {},
             {"code": "22023", "message": 'invalid value for parameter "TimeZone": "Jupiter/Red_Spot"', "details": None, "hint": None})
        for strict in ("", "handling=strict, ", "handling=lenient, ")
    ),
    Case("1.6", "max-affected with strict: more is 400 PGRST124 and rolled back",
         'PATCH /accounts\nPrefer: handling=strict, max-affected=2\n\n{"name": "all"}', 400, {},
         {"code": "PGRST124", "message": "Query result exceeds max-affected preference constraint", "details": "The query affects 3 rows",
          "hint": None}, then=("GET /accounts?name=eq.all", [])),
    Case("1.6", "max-affected with strict: more is 400 PGRST124 and rolled back",
         "DELETE /accounts\nPrefer: handling=strict, max-affected=2", 400, {}, then=("GET /accounts?select=id", [{"id": 1}, {"id": 2}, {"id": 3}])),
    Case("1.6", "max-affected with strict: more is 400 PGRST124 and rolled back",
         'POST /rpc/rename_all\nPrefer: handling=strict, max-affected=2\n\n{"new_name": "all"}', 400, {}, then=("GET /accounts?name=eq.all", [])),
    Case("1.6", "max-affected with strict: more is 400 PGRST124 and rolled back",
         "GET /rpc/all_accounts\nPrefer: handling=strict, max-affected=2", 400),
    Case("1.6", "max-affected with strict: more is 400 PGRST124 and rolled back",
         'PATCH /accounts?id=eq.1\nPrefer: handling=strict, max-affected=1\n\n{"name": "A"}', 204,
         {"preference-applied": "handling=strict, max-affected=1"}, b""),
    Case("1.6", "max-affected without strict does nothing", 'PATCH /accounts\nPrefer: max-affected=1\n\n{"name": "A"}', 204,
         {"preference-applied": None}, b""),
    Case("1.6", "max-affected on a scalar function is 400 PGRST128", "POST /rpc/add?select=*\nPrefer: handling=strict, max-affected=1\n\n" '{"a": 1}',
         400, {}, {"code": "PGRST128", "details": None, "hint": None,
                   "message": "Function must return SETOF or TABLE when max-affected preference is used with handling=strict"}),
    Case("1.6", "Preference-Applied: order of the tokens",
         'POST /accounts?select=id\nPrefer: max-affected=9, timezone=UTC, handling=strict, tx=commit, count=exact, return=representation, '
         'missing=null, resolution=merge-duplicates\n\n{"id": 10}', 201,
         {"preference-applied": "resolution=merge-duplicates, missing=null, return=representation, count=exact, tx=commit, handling=strict, "
                                "timezone=UTC"}, [{"id": 10}]),
    Case("1.6", "Preference-Applied: each only where it applies",
         "GET /accounts?select=id&id=eq.1\nPrefer: resolution=merge-duplicates, missing=null, return=representation, count=exact, tx=commit, "
         "handling=strict, timezone=UTC, max-affected=9", 200,
         {"preference-applied": "count=exact, tx=commit, handling=strict, timezone=UTC"}, [{"id": 1}]),
    Case("1.6", "Preference-Applied: each only where it applies",
         "PATCH /accounts?id=eq.1\nPrefer: resolution=merge-duplicates, missing=null, return=minimal, handling=strict, max-affected=9\n\n"
         '{"name": "A"}', 204, {"preference-applied": "missing=null, return=minimal, handling=strict, max-affected=9"}, b""),
    Case("1.6", "Preference-Applied: each only where it applies",
         "DELETE /accounts?id=eq.1\nPrefer: resolution=merge-duplicates, missing=null, return=minimal, handling=strict, max-affected=9", 204,
         {"preference-applied": "return=minimal, handling=strict, max-affected=9"}, b""),
    Case("1.6", "Preference-Applied: each only where it applies",
         "GET /rpc/all_accounts?select=id&limit=1\nPrefer: return=minimal, missing=null, handling=strict, max-affected=9", 200,
         {"preference-applied": "handling=strict, max-affected=9"}, [{"id": 1}]),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(contract: Server, case: Case) -> None:
    """The literal request has the literal answer."""
    check(contract, case)


@pytest.fixture(scope="module", params=["commit", "rollback", "rollback-allow-override"])
def ending(request: pytest.FixtureRequest) -> Iterator[tuple[str, Server]]:
    """A server for each other way to end a transaction."""
    running = start_server(env={**SETTINGS, "FLUXBASE_DATA_TX_END": request.param})
    try:
        install(running)
        yield request.param, running
    finally:
        running.stop()


def test_how_a_transaction_ends(ending: tuple[str, Server]) -> None:
    """1.6: tx= decides only where the configuration allows it; else it is ignored and not echoed, strict or not."""
    how, server = ending
    kept: dict[str, bool] = {}
    for number, wish in enumerate(("", "tx=commit", "tx=rollback"), 20):
        prefer = f"\nPrefer: handling=strict, {wish}" if wish else ""
        answer = send(server, f'POST /accounts{prefer}\n\n{{"id": {number}}}')
        assert answer.status == 201, answer.body
        assert ("tx=" in answer.headers.get("preference-applied", "")) is (bool(wish) and how == "rollback-allow-override")
        kept[wish] = send(server, f"GET /accounts?id=eq.{number}", key="service").json != []
    assert (
        kept
        == {
            "commit": {"": True, "tx=commit": True, "tx=rollback": True},
            "rollback": {"": False, "tx=commit": False, "tx=rollback": False},
            "rollback-allow-override": {"": False, "tx=commit": True, "tx=rollback": False},
        }[how]
    )
