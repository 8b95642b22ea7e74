"""Names the role may not use (threats E41, E44): in every place of the query language they are answered like names that do not exist.

The twin is the same schema with the privileges given: there the canary is in the answer, so the places are real.
"""

from __future__ import annotations

import pytest

from tests.support.server import Server

SCHEMA = """
drop table if exists vault_note, vault_person, vault_tag, vault_link cascade;
create table vault_person (id int primary key, name text, pin text);
create table vault_note (id int primary key, person_id int references vault_person, body text);
create table vault_tag (id int primary key, word text);
create table vault_link (note_id int references vault_note, tag_id int references vault_tag, primary key (note_id, tag_id));
create policy a on vault_person using (true);
create policy a on vault_note using (true);
create policy a on vault_tag using (true);
create policy a on vault_link using (true);
insert into vault_person values (1, 'Ann', 'canary-4711');
insert into vault_note values (1, 1, 'canary-4711');
insert into vault_tag values (1, 'canary-4711');
insert into vault_link values (1, 1);
create function vault_code(vault_person) returns text language sql stable as $$ select 'canary-4711' $$;
create function vault_mine(vault_person) returns setof vault_note language sql stable as $$ select * from vault_note where person_id = $1.id $$;
"""
REVOKE = """
revoke all on vault_person, vault_note, vault_link from anon, public;
grant select (id, name) on vault_person to anon;
revoke execute on function vault_code(vault_person), vault_mine(vault_person) from anon, public;
"""
GRANT = """
grant select on vault_person, vault_note, vault_link to anon;
grant execute on function vault_code(vault_person), vault_mine(vault_person) to anon;
"""
DROP = "drop table vault_link, vault_tag, vault_note, vault_person cascade"

COLUMNS = {
    "select": "vault_person?select={}",
    "alias and cast": "vault_person?select=x:{}::text",
    "path": "vault_person?select={}->a",
    "aggregate": "vault_person?select={}.max()",
    "filter": "vault_person?{}=like.canary*",
    "negated filter": "vault_person?{}=not.is.null",
    "tree": "vault_person?or=(id.eq.9,{}.like.c*)",
    "order": "vault_person?order={}.desc",
}
RELATIONS = {
    "embed": "vault_person?select=id,{}(id)",
    "inner embed": "vault_person?select=id,{}!inner()",
    "spread": "vault_person?select=id,...{}(id)",
    "hinted": "vault_person?select=id,{}!person_id(id)",
    "filter by path": "vault_person?select=id&{}.body=like.c*",
    "presence": "vault_person?select=id&{}=not.is.null",
    "related order": "vault_person?select=id&order={}(body)",
}


@pytest.fixture
def vault(server: Server):
    """The schema; each test sets the privileges."""
    server.sql(SCHEMA)
    yield server
    server.sql(DROP)


def answer(server: Server, template: str, name: str) -> tuple[int, str]:
    """Status and body, with the name put back into its place."""
    reply = server.get("/rest/v1/" + template.format(name))
    return reply.status_code, reply.text.replace(name, "{}")


def test_hidden_names_are_absent_names(vault: Server) -> None:
    """Column, function, relation: byte for byte the answer of a name of the same length that nothing has."""
    vault.sql(REVOKE)
    told: list[str] = []
    for names, templates in ((("pin", "vault_code"), COLUMNS), (("vault_note", "vault_mine"), RELATIONS)):
        for place, template in templates.items():
            for name in names:
                hidden, absent = answer(vault, template, name), answer(vault, template, "q" * len(name))
                if hidden != absent:
                    told.append(f"{name} in {place}: {hidden} is not {absent}")
    assert told == []


def test_hidden_junction_relates_nothing(vault: Server) -> None:
    """Two readable tables are not related by a junction the role may not read; the hint names a readable neighbour."""
    vault.sql(REVOKE + "grant select on vault_note to anon;")
    reply = vault.get("/rest/v1/vault_note?select=id,vault_tag(word)")
    assert (reply.status_code, reply.json()["code"]) == (400, "PGRST200")
    assert reply.json()["hint"] == "Perhaps you meant 'vault_person' instead of 'vault_tag'."


def test_hints_name_only_what_the_role_may_use(vault: Server) -> None:
    """A near miss of a hidden name gets no hint."""
    vault.sql(REVOKE)
    for path in ("vault_not", "vault_person?select=id,vault_not(id)"):
        assert "vault_note" not in vault.get(f"/rest/v1/{path}").text.replace("vault_not(", "")


def test_twin_with_the_privileges_shows_the_canary(vault: Server) -> None:
    """With the privileges given, the same places answer: the test above can fail."""
    vault.sql(GRANT)
    shown = [
        vault.get(f"/rest/v1/{path}").text
        for path in (
            "vault_person?select=pin", "vault_person?select=vault_code", "vault_person?select=id,vault_note(body)",
            "vault_person?select=vault_mine(body)", "vault_note?select=vault_tag(word)",
        )
    ]  # fmt: skip
    assert [text for text in shown if "canary-4711" not in text] == []
