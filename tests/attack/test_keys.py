"""Issued keys: what they may do, from where, until when; and nobody else's (B20, B30, DESIGN invariants 5, 8, 10)."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.accounts import sign_up
from tests.support.second_factor import FREE, without
from tests.support.server import Server
from tests.support.without import without_trigger

CLIENT = "/api/v1/client-keys"
NAMED = "/api/v1/admin/service-keys"
ROW = {"id": 1, "secret": "x"}
SCHEMA = """
drop table if exists parcel, depot;
create table depot (id int primary key, secret text default 'depot-canary');
create table parcel (id int primary key, owner uuid, depot int references depot, secret text default 'parcel-canary');
insert into depot values (1);
create policy everybody on depot using (true) with check (true);
create policy own on parcel using (owner = (select auth.uid())) with check (owner = (select auth.uid()));
"""


@pytest.fixture(scope="module")
def store(server: Server) -> Iterator[Server]:
    """A table of everybody and one of its owner's rows."""
    server.sql(SCHEMA)
    yield server
    server.sql("drop table parcel, depot")


@pytest.fixture(scope="module")
def store_twin(twin: Server) -> Iterator[Server]:
    """The same on the twin."""
    twin.sql(SCHEMA)
    yield twin
    twin.sql("drop table parcel, depot")


def make(server: Server, *, by: str = "service", path: str = CLIENT, **members: Any) -> dict[str, Any]:
    """A new key."""
    answer = server.post(path, key=by, json={"name": "test", "scopes": ["*"], **members})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def reads(server: Server, key: str, **headers: str) -> int:
    """The status of reading the table of everybody."""
    return server.get("/rest/v1/depot", key=key, headers=headers).status_code


def test_a_client_key_acts_for_its_owner_in_every_header(store: Server) -> None:
    """Made by a user it reads and writes his rows alone, sent in any of the four headers; it is shown once and stored nowhere."""
    user = str(uuid.uuid4())
    made = make(store, by=store.token(user), scopes=["tables:read", "tables:write"])
    key = made["key"]
    assert key.startswith("fb_live_")
    assert store.post("/rest/v1/parcel", key=key, json={"id": 1, "owner": user}).status_code == 201
    assert store.post("/rest/v1/parcel", key=key, json={"id": 2, "owner": str(uuid.uuid4())}).status_code == 403
    for headers in ({"apikey": key}, {"x-client-key": key}, {"authorization": f"Bearer {key}"}, {"x-service-key": key}):
        assert [row["id"] for row in store.get("/rest/v1/parcel?select=id", key=None, headers=headers).json()] == [1]
    assert "key" not in store.get(f"{CLIENT}/{made['id']}", key=store.token(user)).json()
    ends_at = time.monotonic() + 60
    while (shown := store.get(f"{CLIENT}/{made['id']}", key=store.token(user)).json())[
        "last_used_at"
    ] is None and time.monotonic() < ends_at:
        time.sleep(0.2)
    used_from = store.root_sql(f"select last_used_address from auth.api_keys where id = '{made['id']}'")
    assert (shown["last_used_at"] is not None, used_from) == (True, [("127.0.0.1",)])
    rows = store.root_sql(f"select row_to_json(k)::text from auth.api_keys k where id = '{made['id']}'")
    assert key not in rows[0][0]
    assert key[20:] not in store.log


def test_scopes_hold_on_both_planes(store: Server) -> None:
    """A key that may read tables writes none, by no verb, dialect or bulk route, calls no function and administers nothing."""
    key = make(store, scopes=["tables:read"])["key"]
    assert reads(store, key) == 200
    assert store.post("/api/v1/tables/depot/query", key=key, json={}).status_code == 200
    for method, path in (
        ("POST", "/rest/v1/depot"), ("PATCH", "/rest/v1/depot?id=eq.1"), ("DELETE", "/rest/v1/depot?id=eq.1"), ("PUT", "/rest/v1/depot?id=eq.1"),
        ("POST", "/api/v1/tables/depot"), ("POST", "/api/v1/tables/public/depot"), ("POST", "/api/v1/tables/depot/bulk"),
        ("PATCH", "/api/v1/tables/depot/1"), ("DELETE", "/api/v1/tables/public/depot/1"), ("POST", "/rest/v1/rpc/anything"),
        ("GET", "/api/v1/rpc/procedures"), ("GET", "/api/v1/admin/status"), ("GET", CLIENT), ("GET", NAMED), ("GET", "/api/v1/orgs"),
        ("GET", "/api/v1/openapi.json"), ("GET", "/rest/v1/"),
    ):  # fmt: skip
        answer = store.request(
            method, path, key=key, **({} if method in {"GET", "DELETE"} else {"json": [ROW] if path.endswith("bulk") else ROW})
        )
        assert answer.status_code == 403, f"{method} {path}: {answer.status_code}"
    assert store.sql("select secret from depot") == [("depot-canary",)]


@pytest.mark.twin("routes:credential-kinds")
def test_twin_without_the_check_of_kinds_and_scopes_reads_too_much(store_twin: Server) -> None:
    """Without it a key for functions reads tables."""
    key = make(store_twin, scopes=["rpc:execute"])["key"]
    assert reads(store_twin, key) == 403
    assert reads(store_twin, key, **{"x-twin-without": "routes:credential-kinds"}) == 200


def test_tables_and_verbs_hold(store: Server) -> None:
    """A key for one table knows no other: not by path, embed, list or hint; and does to its own only what it says."""
    key = make(store, scopes=["tables:read", "tables:write"], tables={"parcel": ["select"]})["key"]
    assert store.get("/rest/v1/parcel", key=key).status_code == 200
    hidden, absent = store.get("/rest/v1/depot", key=key), store.get("/rest/v1/depox", key=key)
    assert hidden.status_code == absent.status_code == 404
    assert hidden.text.replace("depot", "depox") == absent.text
    embedded = store.get("/rest/v1/parcel?select=id,depot(secret)", key=key)
    assert embedded.status_code == 400
    assert "depot-canary" not in embedded.text
    assert [table["name"] for table in store.get("/api/v1/tables", key=key).json()] == ["parcel"]
    assert store.post("/rest/v1/parcel", key=key, json={"id": 9}).status_code == 403
    writer = make(store, scopes=["tables:write"], tables={"public.depot": ["insert"]})["key"]
    assert store.post("/rest/v1/depot", key=writer, json={"id": 7}).status_code == 201
    assert store.post("/rest/v1/depot", key=writer, json={"id": 8}, headers={"prefer": "return=representation"}).status_code == 403
    assert store.post("/rest/v1/depot", key=writer, json={"id": 7}, headers={"prefer": "resolution=merge-duplicates"}).status_code == 403
    assert store.request("DELETE", "/rest/v1/depot?id=eq.7", key=writer).status_code == 403
    assert reads(store, writer) == 403


@pytest.mark.twin("data-plane:key-tables")
def test_twin_that_shows_every_table_leaks(store_twin: Server) -> None:
    """Without the narrowed schema the key embeds the other table."""
    key = make(store_twin, scopes=["tables:read"], tables={"parcel": ["select"], "depot": ["insert"]})["key"]
    store_twin.sql("insert into parcel values (1, null, 1) on conflict do nothing; create policy p on parcel using (true)")
    path = "/rest/v1/parcel?select=id,depot(secret)"
    assert "depot-canary" not in store_twin.get(path, key=key).text
    assert "depot-canary" in store_twin.get(path, key=key, headers={"x-twin-without": "data-plane:key-tables"}).text


@pytest.mark.parametrize("end", ["revoke", "delete", "disable", "scopes", "expiry"])
def test_the_end_of_a_key_acts_on_its_next_request(store: Server, end: str) -> None:
    """Used and cached a moment ago, it is refused at once; another key is not."""
    made, other = make(store, path=NAMED), make(store, path=NAMED)
    one = f"{NAMED}/{made['id']}"
    assert [reads(store, made["key"]) for _ in range(3)] == [200] * 3
    if end == "delete":
        assert store.request("DELETE", one, key="service").status_code == 204
    elif end in ("scopes", "expiry"):
        change = {"scopes": ["rpc:read"]} if end == "scopes" else {"expires_at": "2020-01-01T00:00:00Z"}
        assert store.request("PUT", one, key="service", json=change).status_code == 200
    else:
        assert store.post(f"{one}/{end}", key="service").status_code == 200
    assert reads(store, made["key"]) == (403 if end == "scopes" else 401)
    assert reads(store, other["key"]) == 200
    if end == "disable":
        assert store.post(f"{one}/enable", key="service").status_code == 200
        assert reads(store, made["key"]) == 200


@pytest.mark.twin("trigger:deny_key")
def test_twin_whose_revocation_denies_nothing_lets_another_node_go_on(store_twin: Server) -> None:
    """What a node has at hand is refused by the denylist alone: without the trigger the row says revoked, and the key reads."""
    made = make(store_twin, path=NAMED)
    assert reads(store_twin, made["key"]) == 200
    revoke = (
        f"alter table auth.api_keys disable trigger move_key_epoch; update auth.api_keys set revoked_at = now() where id = '{made['id']}'"
    )
    with without_trigger(store_twin, "auth.api_keys", "deny_key"):
        assert reads(store_twin, made["key"]) == 200
        store_twin.root_sql(revoke)
        assert reads(store_twin, made["key"]) == 200
    other = make(store_twin, path=NAMED)
    assert reads(store_twin, other["key"]) == 200
    store_twin.root_sql(revoke.replace(made["id"], other["id"]))
    assert reads(store_twin, other["key"]) == 401
    store_twin.root_sql("alter table auth.api_keys enable trigger move_key_epoch")


def key_of_deleted(server: Server, *, is_soft: bool, headers: dict[str, str]) -> str:
    """A user's key, the user deleted, and his own denial forgotten."""
    account = sign_up(server, headers=FREE)
    key = str(make(server, by=account.access)["key"])
    assert reads(server, key) == 200
    gone = server.request(
        "DELETE", f"/auth/v1/admin/users/{account.id}", key="service", json={"should_soft_delete": is_soft}, headers=headers
    )
    assert gone.status_code == 200, gone.text
    assert reads(server, key) == 401
    assert server.root_sql(f"delete from auth.denylist where key = 'user:{account.id}' returning expires_at") == [(None,)]
    return key


@pytest.mark.parametrize("is_soft", [False, True])
def test_a_deleted_users_key_is_dead_for_ever(store_twin: Server, *, is_soft: bool) -> None:
    """Its user deleted, for good or softly, a key is denied by its own name; the user by his, without an end."""
    assert reads(store_twin, key_of_deleted(store_twin, is_soft=is_soft, headers={})) == 401


@pytest.mark.twin("keys:owner")
def test_twin_that_keeps_a_deleted_users_keys_serves_them_again(store_twin: Server) -> None:
    """Where only the user is denied, his key acts for him again once that is forgotten."""
    assert reads(store_twin, key_of_deleted(store_twin, is_soft=False, headers=without("keys:owner"))) == 200


def test_a_key_is_bound_to_its_networks(store: Server) -> None:
    """From elsewhere it is refused, whatever X-Forwarded-For says."""
    here, there = make(store, networks=["127.0.0.0/8"])["key"], make(store, networks=["203.0.113.0/24", "2001:db8::/32"])["key"]
    assert reads(store, here) == 200
    assert reads(store, there) == 403
    assert reads(store, there, **{"x-forwarded-for": "203.0.113.7"}) == 403


def test_a_secret_key_from_a_browser_is_refused(store: Server) -> None:
    """With Origin, Sec-Fetch-Site or Sec-Fetch-Dest, in every form of the key; the anon key and a user's token pass, and Node's client does."""
    secret = make(store, path=NAMED)["key"]
    for headers in ({"origin": "https://app.example"}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-dest": "empty"}):
        for key in (store.service_key, store.keys["secret_key"], secret):
            assert reads(store, key, **headers) == 403
        for key in (store.anon_key, store.keys["publishable_key"], store.token(str(uuid.uuid4())), make(store)["key"]):
            assert reads(store, key, **headers) == 200
    assert reads(store, store.service_key, **{"sec-fetch-mode": "cors"}) == 200


@pytest.mark.twin("keys:place")
def test_twin_that_does_not_look_where_a_key_comes_from_serves_it(store_twin: Server) -> None:
    """Without the check browser and foreign network are served."""
    off = {"x-twin-without": "keys:place"}
    assert reads(store_twin, store_twin.service_key, origin="https://app.example") == 403
    assert reads(store_twin, store_twin.service_key, origin="https://app.example", **off) == 200
    assert reads(store_twin, make(store_twin, networks=["203.0.113.0/24"])["key"], **off) == 200


def test_a_key_has_its_own_limit(store_twin: Server) -> None:
    """On the data plane too, however many addresses share it; another key of the same owner is not counted with it."""
    slow, other = make(store_twin, rate_limit_per_minute=5)["key"], make(store_twin)["key"]
    answers = [reads(store_twin, slow) for _ in range(15)]
    assert answers[0] == 200
    assert set(answers) == {200, 429}
    assert reads(store_twin, other) == 200


def test_nobody_touches_anothers_key(store: Server) -> None:
    """Every route with an id, by another user: the same 404 as for none; for another; by key without the right: refused (B30)."""
    mine, theirs = store.token(str(uuid.uuid4())), store.token(str(uuid.uuid4()))
    made, nothing = make(store, by=mine), str(uuid.uuid4())
    for method, tail, body in (("GET", "", None), ("PATCH", "", {"name": "taken"}), ("DELETE", "", None), ("POST", "/revoke", {})):
        options = {} if body is None else {"json": body}
        answers = [store.request(method, f"{CLIENT}/{key}{tail}", key=theirs, **options) for key in (made["id"], nothing)]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert len({answer.json()["error"] for answer in answers}) == 1
        assert store.request(method, f"{NAMED}/{made['id']}{tail}", key=theirs, **options).status_code in {403, 405}
    assert store.get(f"{CLIENT}?user_id={uuid.uuid4()}", key=theirs).status_code == 404
    assert store.get(CLIENT, key=theirs).json() == {"client_keys": [], "total": 0}
    assert store.get(CLIENT, key="anon").status_code == 403
    assert store.post(CLIENT, key=theirs, json={"name": "x", "scopes": ["*"], "user_id": str(uuid.uuid4())}).status_code == 404
    assert reads(store, made["key"]) == 200
    named = make(store, path=NAMED, scopes=["clientkeys:write", "clientkeys:read"])["key"]
    assert store.post(CLIENT, key=named, json={"name": "x", "scopes": ["tables:write"]}).status_code == 403
    assert store.post(NAMED, key=named, json={"name": "x"}).status_code == 403
    assert store.post(CLIENT, key=made["key"], json={"name": "x", "scopes": ["*"]}).status_code == 403


def test_rotation_has_a_grace(store: Server) -> None:
    """The old key works beside the new one for the hours of grace, and with none it is refused at once."""
    old = make(store, path=NAMED)
    new = store.post(f"{NAMED}/{old['id']}/rotate", key="service", json={"grace_period_hours": 1}).json()
    assert [reads(store, key) for key in (old["key"], new["key"])] == [200, 200]
    shown = store.get(f"{NAMED}/{old['id']}", key="service").json()
    assert (shown["replaced_by"], shown["grace_period_ends_at"] is None) == (new["id"], False)
    assert store.post(f"{NAMED}/{old['id']}/deprecate", key="service", json={"grace_period_hours": 0}).status_code == 200
    assert [reads(store, key) for key in (old["key"], new["key"])] == [401, 200]
    assert store.post(f"{NAMED}/{new['id']}/revoke", key="service", json={"reason": "leaked"}).json()["revocation_reason"] == "leaked"
    assert store.get(f"{NAMED}/{new['id']}/revocations", key="service").json()[0]["revocation_reason"] == "leaked"
    assert [row[0] for row in store.root_sql(f"select action from audit.entries where resource = 'auth.api_keys/{new['id']}' order by id")] == [
        "auth.api_key.created", "auth.api_key.revoked",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        {}, {"scopes": []}, {"scopes": ["tables:drop"]}, {"tables": {"a.b.c": ["select"]}}, {"tables": {"t": ["truncate"]}}, {"tables": {"t": []}},
        {"networks": ["not a network"]}, {"expires_at": "tomorrow"}, {"name": ""}, {"name": "a\nb"}, {"surprise": 1}, {"rate_limit_per_minute": -1},
    ],
)  # fmt: skip
def test_bad_keys_are_refused_whole(store: Server, body: dict[str, object]) -> None:
    """A wrong member is 400, and no key is made."""
    before = store.root_sql("select count(*) from auth.api_keys")
    assert store.post(CLIENT, key="service", json={"name": "x", "scopes": ["*"], **body} if body else {}).status_code == 400
    assert store.root_sql("select count(*) from auth.api_keys") == before


def test_the_scan_finds_keys_and_nothing_else(store: Server, tmp_path: Path) -> None:
    """``fluxbase keys scan``: every kind of key, by file and line, never whole; a wrong checksum and a user's token are none; status 1."""
    key = make(store, is_test=True)["key"]
    (tmp_path / "app.js").write_text(f"// no key\nconst key = '{key}'\n")
    (tmp_path / "env").write_bytes(b"\xff\xfe " + store.service_key.encode() + b"\n" + store.anon_key.encode() + b"\n")
    (tmp_path / "none").write_text(f"{key[:-1]}{'A' if key[-1] != 'A' else 'B'}\n{store.token(str(uuid.uuid4()))}\nfb_sk_short\n")
    done = subprocess.run(
        [sys.executable, "-m", "fluxbase", "keys", "scan", str(tmp_path), "--json"], capture_output=True, text=True, check=False, timeout=60
    )
    found = {(Path(item["path"]).name, item["line"], item["kind"], item["is_secret"]) for item in json.loads(done.stdout)["found"]}
    assert found == {("app.js", 2, "test client key", True), ("env", 1, "service key", True), ("env", 2, "anon key", False)}
    assert (done.returncode, key in done.stdout, store.service_key in done.stdout) == (1, False, False)
