"""Requests that cost too much (threat E43): each limit refuses with a code and a hint, and its twin lets the attack through.

Role ``guarded`` has every limit; each twin is a role for which one limit is raised and nothing else differs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial

import httpx
import pytest

from tests.support.server import Server, start_server

SCHEMA = """
create table node (id int primary key, parent_id int references node);
create policy everybody on node to {roles} using (true);
grant select on node to {roles};
insert into node select i, nullif(i / 10, 0) from generate_series(1, 400) i;
analyze node;
create function nap(seconds float8) returns int language plpgsql as $$ begin perform pg_sleep(seconds); return 1; end $$;
grant execute on function nap(float8) to {roles};
"""
LIMITS = {
    "STATEMENT_TIMEOUT_SECONDS": 1.0,
    "MAX_ROWS": 50,
    "MAX_EMBED_DEPTH": 3,
    "MAX_EMBED_WIDTH": 5,
    "MAX_PLANNER_COST": 2000.0,
}


GUARDED = "guarded"
USER = "7d0f4a52-0000-4000-8000-000000000043"


def _twin(limit: str) -> str:
    return f"without_{limit.lower()}"


def _limits(limit: str) -> dict[str, float]:
    """One limit by role: small for every role but the one that goes without it."""
    roles = {role: LIMITS[limit] for role in (GUARDED, *map(_twin, LIMITS)) if role != _twin(limit)}
    return roles if limit == "MAX_PLANNER_COST" else {**roles, _twin(limit): 1000}


class Caller:
    """The server, asked as one role."""

    def __init__(self, server: Server, role: str) -> None:
        self.sql = server.sql
        self.get = partial(server.get, key=server.token(USER, role=role))
        self.post = partial(server.post, key=server.token(USER, role=role))


@pytest.fixture(scope="module")
def limited() -> Iterator[Server]:
    """One program for all roles."""
    roles = [GUARDED, *map(_twin, LIMITS)]
    env = {f"FLUXBASE_DATA_{limit}": json.dumps(_limits(limit)) for limit in LIMITS}
    server = start_server(env={**env, "FLUXBASE_DATA_CUSTOM_ROLES": json.dumps(roles)})
    server.sql(SCHEMA.format(roles=", ".join(roles)))
    yield server
    server.stop()


@pytest.fixture
def guarded(limited: Server) -> Caller:
    """Every limit on, small."""
    return Caller(limited, GUARDED)


def _refused(answer: httpx.Response, code: str) -> None:
    assert answer.status_code == 400
    assert answer.json()["code"] == code
    assert answer.json()["hint"]


def _deep(depth: int) -> str:
    return "id," + "node!parent_id(id," * depth + "parent_id" + ")" * depth


def check_deep_embed(server: Caller) -> None:
    """Four levels of embedding are refused where three are allowed, and three are answered."""
    assert server.get(f"/rest/v1/node?select={_deep(3)}&limit=1&id=gt.100").status_code == 200
    _refused(server.get(f"/rest/v1/node?select={_deep(4)}&limit=1&id=gt.100"), "FBC01")


def check_wide_embed(server: Caller) -> None:
    """Six embeds are refused where five are allowed, and five are answered."""
    wide = ["id", *(f"e{i}:node!parent_id(id)" for i in range(6))]
    assert server.get(f"/rest/v1/node?select={','.join(wide[:6])}&limit=1").status_code == 200
    _refused(server.get(f"/rest/v1/node?select={','.join(wide)}&limit=1"), "FBC02")


def check_sleep(server: Caller) -> None:
    """A function that sleeps is ended by the role's statement timeout."""
    started = time.monotonic()
    answer = server.post("/rest/v1/rpc/nap", json={"seconds": 3})
    assert answer.status_code == 504
    assert answer.json()["code"] == "57014"
    assert time.monotonic() - started < 2.5


def check_huge_limit(server: Caller) -> None:
    """No limit and a huge one give the cap, at the root and inside an embed."""
    for query in ("select=id", "select=id&limit=1000000", "select=id&offset=0&limit=300"):
        assert len(server.get(f"/rest/v1/node?{query}").json()) == 50
    server.sql("update node set parent_id = 1 where id between 100 and 399")
    for query in ("", "&children.limit=1000000"):
        (row,) = server.get(f"/rest/v1/node?select=id,children:node!parent_id(id)&id=eq.1{query}").json()
        assert len(row["children"]) == 50


def check_planner_cost(server: Caller) -> None:
    """A cross join by embeds is refused before it runs; a look-up by key is answered."""
    assert server.get("/rest/v1/node?select=id&id=eq.7").status_code == 200
    dear = "/rest/v1/node?select=id,a:node!parent_id(id,b:node!parent_id(id,c:node!parent_id(id)))"
    _refused(server.get(dear), "FBC03")
    _refused(server.get(dear, headers={"prefer": "count=exact"}), "FBC03")


CHECKS = {
    "MAX_EMBED_DEPTH": check_deep_embed,
    "MAX_EMBED_WIDTH": check_wide_embed,
    "STATEMENT_TIMEOUT_SECONDS": check_sleep,
    "MAX_ROWS": check_huge_limit,
    "MAX_PLANNER_COST": check_planner_cost,
}


def test_every_limit_has_a_check() -> None:
    """A cost limit of the configuration without an attack here fails."""
    from dataclasses import fields

    from fluxbase.config.model import CostLimits

    assert {field.name.upper() for field in fields(CostLimits)} == set(CHECKS)


@pytest.mark.parametrize("limit", CHECKS)
def test_cost_limit(guarded: Caller, limit: str) -> None:
    """The attack is refused with a code and a hint, the modest request beside it is answered."""
    CHECKS[limit](guarded)


@pytest.mark.parametrize("limit", CHECKS)
def test_twin_without_the_limit_lets_it_through(limited: Server, limit: str) -> None:
    """The same attack succeeds for a role for which that one limit is raised, so the check can fail."""
    with pytest.raises(AssertionError):
        CHECKS[limit](Caller(limited, _twin(limit)))


def test_planner_refusal_tells_no_estimate(guarded: Caller) -> None:
    """The refusal names neither the estimate nor the ceiling, which would tell the size of tables."""
    body = guarded.get("/rest/v1/node?select=id,a:node!parent_id(id,b:node!parent_id(id,c:node!parent_id(id)))").text
    assert not any(character.isdigit() for character in body.replace("FBC03", ""))


def test_limits_of_one_role_do_not_bind_another(limited: Server) -> None:
    """What a guarded role is refused the service key may ask."""
    assert limited.get(f"/rest/v1/node?select={_deep(4)}&limit=1&id=gt.100", key="service").status_code == 200
    assert len(limited.get("/rest/v1/node?select=id", key="service").json()) == 400
