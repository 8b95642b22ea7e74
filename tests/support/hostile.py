"""A client with SQL power: a careless invoker function that runs what it is given, and what an attacker makes of it."""

from __future__ import annotations

import uuid

from tests.support.server import Server

ALICE, BOB = str(uuid.uuid4()), str(uuid.uuid4())

_FUNCTIONS = """
create or replace function ask_sql(query text) returns text language plpgsql volatile as $$
declare answer text;
begin
  execute query into answer;
  return answer;
end $$;
create or replace function run_sql(statement text) returns text language plpgsql volatile as $$
begin
  execute statement;
  return current_user;
end $$;
"""


def install_sql(server: Server) -> None:
    """``ask_sql`` and ``run_sql``, executable by every client role from birth."""
    server.sql(_FUNCTIONS)


def ask_sql(server: Server, query: str, *, key: str = "anon", path: str = "/rest/v1/rpc/ask_sql") -> tuple[int, str]:
    """Status and text of one query's first column, run as the key's role."""
    answer = server.post(path, key=key, json={"query": query})
    return answer.status_code, answer.text


def run_sql(server: Server, statement: str, *, key: str = "anon") -> tuple[int, str]:
    """Status and text of one statement, run as the key's role."""
    answer = server.post("/rest/v1/rpc/run_sql", key=key, json={"statement": statement})
    return answer.status_code, answer.text
