"""Invariant 4 (threat F56): what one caller leaves in a session is not there for the next one of the same role."""

from __future__ import annotations

import pytest

from tests.support.hostile import ALICE, BOB, install_sql
from tests.support.server import Server
from tests.support.without import changed_function

CANARY = "leftover-canary"

LEFT: dict[str, tuple[str, str]] = {
    "reset all": (f"select set_config('my.secret', '{CANARY}', false)", "select current_setting('my.secret', true)"),
    "select pg_advisory_unlock_all": ("select pg_advisory_lock(4711)", f"select '{CANARY}' where pg_advisory_unlock(4711)"),
    "unlisten *": (f'listen "{CANARY}"', "select string_agg(c, ',') from pg_listening_channels() c"),
    "close all": (f"declare kept cursor with hold for select '{CANARY}'", "kept"),
    "discard sequences": ("select nextval('tickets')", f"select '{CANARY}' || lastval()"),
    "prepared": (f"prepare kept as select '{CANARY}'", "execute kept"),
}
"""Statement of the cleaning → what Alice's SQL leaves, and Bob's SQL that would find it (a name: a cursor to fetch from)."""

_FUNCTIONS = """
create sequence if not exists tickets;
create or replace function find(query text) returns text language plpgsql volatile as $$
declare answer text; kept refcursor := 'kept';
begin
  if query = 'kept' then
    fetch kept into answer;
  else
    execute query into answer;
  end if;
  return answer;
exception when others then return sqlerrm;
end $$;
"""


def leaks(server: Server, statement: str, headers: dict[str, str]) -> bool:
    """Whether Bob finds what Alice left; several turns, since a session that is still being cleaned is not handed out."""
    install_sql(server)
    server.sql(_FUNCTIONS)
    leave, find = LEFT[statement]
    alice, bob = server.token(ALICE), server.token(BOB)
    for _ in range(6):
        assert server.post("/rest/v1/rpc/run_sql", key=alice, json={"statement": leave}, headers=headers).status_code == 200
        for _ in range(2):
            if CANARY in server.post("/rest/v1/rpc/find", key=bob, json={"query": find}, headers=headers).text:
                return True
    return False


@pytest.mark.parametrize("statement", LEFT)
def test_nothing_is_left_in_a_session(server: Server, statement: str) -> None:
    """Settings, locks, channels, cursors and sequence values of one caller do not reach another."""
    assert not leaks(server, statement, {})


@pytest.mark.twin("function:fluxbase.has_prepared_statements")
def test_twin_that_does_not_look_for_prepared_statements_leaks(twin: Server) -> None:
    """With a has_prepared_statements() that always says no, what Alice prepared is Bob's to execute."""
    with changed_function(twin, "fluxbase.has_prepared_statements", lambda text: text.replace("select exists", "select false and exists")):
        assert leaks(twin, "prepared", {})


@pytest.mark.parametrize(
    "statement", [pytest.param(name, marks=pytest.mark.twin(f"cleaning:{name}")) for name in LEFT if name != "prepared"]
)
def test_twin_without_the_statement_leaks(twin: Server, statement: str) -> None:
    """Without that statement of the cleaning Bob finds it."""
    assert leaks(twin, statement, {"x-twin-without": f"cleaning:{statement}"})
