"""``fluxbase doctor`` as a user runs it: what it prints, what it mends, and the status it exits with."""

from __future__ import annotations

import json
from typing import Any

from tests.process.conftest import Start
from tests.support.command import fluxbase
from tests.support.server import Server

ILL = """
create table post (id int primary key, author uuid);
create policy read on post for select using (author = auth.uid());
create policy write on post for insert to anon with check (true);
"""


def _doctor(server: Server, *options: str) -> tuple[int, str]:
    done = fluxbase("doctor", "--data", server.data_dir, *options, cwd=server.data_dir)
    return done.returncode, done.stdout


def _json(server: Server, *options: str) -> tuple[int, dict[str, Any]]:
    status, text = _doctor(server, "--json", *options)
    return status, json.loads(text)


def test_doctor_from_ill_to_well(start: Start) -> None:
    """Red is 2; --fix shows and runs what changes nobody's rights, --yes the rest by name; well is 0; an unknown lint is 3."""
    server = start()
    server.sql(ILL)
    status, report = _json(server)
    assert (status, report["status"]) == (2, "red")
    assert {(f["lint"], f["level"], f["mend"]) for f in report["findings"]} == {
        ("anonymous_writes", "red", "asks"),
        ("policies_per_row", "warn", "safe"),
        ("policy_columns", "warn", "safe"),
    }
    assert _doctor(server, "--fix", "--yes", "no_such_lint")[0] == 3
    assert _json(server)[1]["mended"] == []

    status, text = _doctor(server, "--fix")
    shown = text.index("alter policy read on public.post using ((author = (select auth.uid())));")
    assert shown < text.index("mended  public.post: read")
    assert "create index on public.post (author);" in text
    assert (status, "anonymous_writes" in text) == (2, False)
    assert "lets anon insert without a condition" in text

    status, report = _json(server, "--fix", "--yes", "anonymous_writes")
    assert ([f["lint"] for f in report["mended"]], report["findings"], status) == (["anonymous_writes"], [], 0)
    assert server.post("/rest/v1/post", json={"id": 1}).status_code == 401
    assert server.get("/rest/v1/post").json() == []


def test_a_failed_fix_is_told_and_leaves_the_others(start: Start) -> None:
    """Each finding is a transaction: one that fails is named, the next one is mended."""
    server = start()
    server.sql("create table a (id int primary key, r int references a, s int references a)")
    server.root_sql("create table b (id int primary key, r int references b)")
    status, report = _json(server, "--fix")
    assert [f["object"] for f in report["mended"]] == ["public.a: a_r_fkey", "public.a: a_s_fkey"]
    assert ["public.b: b_r_fkey was not mended" in text for text in report["failed"]] == [True]
    assert status == 1
