"""Idempotency-Key: one effect for each key, and no answer for anybody else (contract-native 4.8)."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field

import httpx
import psycopg
import pytest

from tests.support.accounts import sign_in, sign_up
from tests.support.server import Server, start_server
from tests.support.without import changed_function

SCHEMA = """
create table if not exists payment (id bigint generated always as identity primary key, who text default auth.uid()::text, note text);
do $$ begin
  create policy everybody on payment using (true) with check (true);
exception when duplicate_object then null; end $$;
create or replace function pay(note text, seconds float8 default 0) returns bigint language plpgsql volatile as $$
declare made bigint;
begin
  insert into payment (note) values (pay.note) returning id into made;
  perform pg_sleep(seconds);
  return made;
end $$;
create or replace function refuse(note text) returns bigint language plpgsql volatile as $$
begin
  insert into payment (note) values (refuse.note);
  raise exception 'no' using errcode = 'PT402';
end $$;
create or replace function large(note text) returns text language sql volatile as $$
  insert into payment (note) values (large.note);
  select repeat('x', 300000);
$$;
"""
REST, NATIVE = "/rest/v1/payment", "/api/v1/tables/payment"


@pytest.fixture(scope="module")
def paid(server: Server) -> Server:
    """The shared server with a table that counts effects."""
    server.sql(SCHEMA)
    return server


@pytest.fixture(scope="module")
def paid_twin(twin: Server) -> Server:
    """The twin with the same."""
    twin.sql(SCHEMA)
    return twin


def name() -> str:
    """A note or key of its own."""
    return uuid.uuid4().hex


def effects(server: Server, note: str) -> int:
    """How often it was paid."""
    return int(server.sql("select count(*) from payment where note = %s", note)[0][0])


def body_of(path: str, note: str) -> dict[str, object]:
    """The payment as that route takes it."""
    return {"params": {"note": note}} if path.startswith("/api/v1/rpc") else {"note": note}


def pay(server: Server, note: str, key: str, *, path: str = REST, as_key: str = "anon", **headers: str) -> httpx.Response:
    """A payment under a key."""
    wanted = {"idempotency-key": key, "prefer": "return=representation", **headers}
    return server.post(path, key=as_key, json=body_of(path, note), headers=wanted)


@pytest.mark.parametrize("path", [REST, NATIVE, "/rest/v1/rpc/pay", "/api/v1/rpc/public/pay"])
def test_the_second_time_is_a_replay(paid: Server, path: str) -> None:
    """Same status, type and body, marked as replayed with a request id of its own, and one row; without the header two rows."""
    note, key = name(), name()
    first, second = (pay(paid, note, key, path=path) for _ in range(2))
    assert first.status_code in {200, 201}, first.text
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert second.headers["content-type"] == first.headers["content-type"]
    assert (first.headers.get("idempotency-replayed"), second.headers["idempotency-replayed"]) == (None, "true")
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert second.headers["x-content-type-options"] == "nosniff"
    assert effects(paid, note) == 1
    for _ in range(2):
        paid.post(path, json=body_of(path, f"{note} without"))
    assert effects(paid, f"{note} without") == 2


def test_unsafe_methods_of_both_planes(paid: Server) -> None:
    """PATCH and DELETE of rows and a POST of the control plane are replayed; a GET reads no key."""
    note = name()
    pay(paid, note, name())
    for method in ("PATCH", "DELETE"):
        key = name()
        wanted = {"idempotency-key": key, "prefer": "return=representation"}
        answers = [paid.request(method, f"{REST}?note=eq.{note}", json={"note": note}, headers=wanted) for _ in range(2)]
        assert [(answer.status_code, len(answer.json())) for answer in answers] == [(200, 1)] * 2
        assert answers[1].headers["idempotency-replayed"] == "true"
    user = sign_up(paid)
    answers = [paid.post("/api/v1/orgs", key=user.access, json={"slug": note}, headers={"idempotency-key": key}) for _ in range(2)]
    assert answers[0].status_code == answers[1].status_code == 201, answers[0].text
    assert answers[1].headers["idempotency-replayed"] == "true"
    reads = [paid.get(REST, headers={"idempotency-key": key}) for _ in range(2)]
    assert "idempotency-replayed" not in reads[1].headers


@pytest.mark.parametrize("change", ["body", "query", "prefer", "method"])
def test_another_request_under_the_key_is_422(paid: Server, change: str) -> None:
    """Body, query, headers that decide the answer and method are part of the request; nothing is carried out."""
    note, key = name(), name()
    assert pay(paid, note, key).status_code == 201
    other = {
        "body": lambda: pay(paid, f"{note} other", key),
        "query": lambda: pay(paid, note, key, path=f"{REST}?select=id"),
        "prefer": lambda: pay(paid, note, key, prefer="return=minimal"),
        "method": lambda: paid.request(
            "PATCH", REST, json={"note": note}, headers={"idempotency-key": key, "prefer": "return=representation"}
        ),
    }[change]()
    assert other.status_code == 422
    assert other.json()["code"] == "FB422"
    assert (effects(paid, note), effects(paid, f"{note} other")) == (1, 0)


def test_a_key_has_a_form(paid: Server) -> None:
    """256 visible characters pass; 257, none and a space are 400 and nothing is carried out."""
    note = name()
    assert pay(paid, note, "k" * 200 + name()).status_code == 201
    assert [pay(paid, note, key).status_code for key in ("k" * 257, "", "a b")] == [400] * 3
    assert effects(paid, note) == 1


def test_an_error_is_not_kept(paid: Server) -> None:
    """A refused request changed nothing and gives its key back: mended, it passes under the same one."""
    note, key = name(), name()
    for _ in range(2):
        answer = pay(paid, note, key, path="/rest/v1/rpc/refuse")
        assert (answer.status_code, answer.headers.get("idempotency-replayed")) == (402, None)
    assert pay(paid, note, key, path="/rest/v1/rpc/pay?nonsense=1").status_code in {400, 404}
    assert pay(paid, note, key, path="/rest/v1/rpc/pay").status_code == 200
    assert effects(paid, note) == 1


def test_a_large_answer_is_not_kept_but_its_effect_is_known(paid: Server) -> None:
    """Over 256 kB the first gets its answer; the second is told that it was carried out, and it is not again."""
    note, key = name(), name()
    assert len(pay(paid, note, key, path="/rest/v1/rpc/large").content) > 300_000
    second = pay(paid, note, key, path="/rest/v1/rpc/large")
    assert (second.status_code, second.json()["code"]) == (409, "FB409")
    assert "was carried out" in second.json()["message"]
    assert effects(paid, note) == 1


def storm(server: Server, path: str, note: str, key: str | None, number: int = 200) -> list[httpx.Response]:
    """Many at once with one key."""

    async def run() -> list[httpx.Response]:
        headers = {"authorization": f"Bearer {server.anon_key}", **({"idempotency-key": key} if key else {})}
        limits = httpx.Limits(max_connections=number)
        async with httpx.AsyncClient(
            base_url=server.url, headers=headers, limits=limits, timeout=60, trust_env=False, verify=False
        ) as client:
            return await asyncio.gather(*(client.post(path, json=body_of(path, note)) for _ in range(number)))

    return asyncio.run(run())


@pytest.mark.parametrize("path", ["/rest/v1/rpc/pay", "/api/v1/rpc/public/pay"])
def test_two_hundred_at_once_have_one_effect(paid: Server, path: str) -> None:
    """One carries it out, the others are 409 with Retry-After until its answer is there, then all get the same."""
    note, key = name(), name()
    answers = storm(paid, path, note, key)
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 409)
    assert len({answer.content for answer in answers if answer.status_code == 200}) == 1
    assert effects(paid, note) == 1


@pytest.mark.twin("pipeline:Idempotency")
def test_twin_without_the_line_pays_again(paid_twin: Server) -> None:
    """Without the line every one of them has its effect."""
    note, key = name(), name()
    pay(paid_twin, note, key)
    assert pay(paid_twin, note, key).headers["idempotency-replayed"] == "true"
    assert effects(paid_twin, note) == 1
    off = {"x-twin-without": "Idempotency"}
    assert pay(paid_twin, note, key, **off).status_code == 201
    assert effects(paid_twin, note) == 2


def leaks(server: Server, **off: str) -> bool:
    """Whether another user who knows key and request gets the first one's answer."""
    note, key = name(), name()
    alice, bob = (server.token(str(uuid.uuid4())) for _ in range(2))
    first = pay(server, note, key, as_key=alice, **off)
    second = pay(server, note, key, as_key=bob, **off)
    assert first.status_code == 201, first.text
    return "idempotency-replayed" in second.headers or first.json()[0]["who"] == second.json()[0]["who"]


def test_nobody_gets_anothers_answer(paid: Server) -> None:
    """Another user with the same key and request, and the anon and service keys, each have an effect of their own."""
    assert not leaks(paid)
    note, key = name(), name()
    assert ["idempotency-replayed" in pay(paid, note, key, as_key=who).headers for who in ("anon", "service")] == [False, False]
    assert effects(paid, note) == 2


@pytest.mark.twin("idempotency:owner")
def test_twin_without_the_owner_leaks(paid_twin: Server) -> None:
    """Kept by key alone the answer goes to whoever knows the key."""
    assert not leaks(paid_twin)
    assert leaks(paid_twin, **{"x-twin-without": "idempotency:owner"})


def after_revocation(server: Server, path: str, **off: str) -> int:
    """What a replay says to a session that was ended meanwhile."""
    note, key, session = name(), name(), str(uuid.uuid4())
    token = server.token(str(uuid.uuid4()), session_id=session)
    assert pay(server, note, key, path=path, as_key=token, **off).status_code in {200, 201}
    server.root_sql(f"insert into auth.denylist (key, reason) values ('session:{session}', 'test')")
    return pay(server, note, key, path=path, as_key=token, **off).status_code


@pytest.mark.parametrize("path", [REST, NATIVE, "/rest/v1/rpc/pay"])
def test_no_answer_after_sign_out(paid: Server, path: str) -> None:
    """A replay is refused to a session that ended: 401, on the data plane too, where no transaction would ask."""
    assert after_revocation(paid, path) == 401


@pytest.mark.twin("control-plane:standing")
def test_twin_that_does_not_ask_answers_after_sign_out(paid_twin: Server) -> None:
    """Without the question the ended session gets its old answer."""
    assert after_revocation(paid_twin, REST) == 401
    assert after_revocation(paid_twin, REST, **{"x-twin-without": "control-plane:standing"}) == 201


def test_sign_in_takes_no_part(paid: Server) -> None:
    """A way in reads no key: each sign-in is a session of its own, and nothing that opens one is kept."""
    user = sign_up(paid)
    answers = [sign_in(paid, user.email, key=None, headers={"idempotency-key": "sign-in"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["refresh_token"] != answers[1].json()["refresh_token"]
    assert "idempotency-replayed" not in answers[1].headers


def kept_text(server: Server) -> str:
    """Everything that is kept, as text."""
    return "".join(str(bytes(row[0])) for row in server.root_sql("select answer from platform.idempotency where answer is not null"))


def test_answers_are_sealed(paid: Server) -> None:
    """Neither the note nor the key stands in the table, nor a plain digest of the request; moved to another row an answer does not open."""
    note, key = name(), name()
    pay(paid, note, key)
    assert note not in kept_text(paid)
    rows = paid.root_sql("select i::text from platform.idempotency i")
    assert not [row for (row,) in rows if key in row or note in row]
    other = name()
    pay(paid, name(), other)
    paid.root_sql("update platform.idempotency set answer = (select answer from platform.idempotency order by expires_at limit 1)")
    assert pay(paid, note, key).status_code == 409


@dataclass
class Killed:
    """What is left of three requests that were under way when every process of the server was killed."""

    server: Server
    notes: dict[str, str]
    keys: dict[str, str]
    early: dict[str, httpx.Response] = field(default_factory=dict[str, httpx.Response])
    """What they were answered at once after the restart."""

    def again(self, fate: str) -> httpx.Response:
        """The same request once more."""
        return wait_and_pay(self.server, self.notes[fate], self.keys[fate], LOCKS[fate])


LOCKS = {"committed": 1, "unmarked": 2, "aborted": 3}
SLOW = """
create function wait_and_pay(note text, lock bigint) returns bigint language plpgsql volatile as $$
declare made bigint;
begin
  insert into payment (note) values (wait_and_pay.note) returning id into made;
  perform pg_advisory_xact_lock(lock);
  return made;
end $$;
"""
WAITING = "select pid from pg_locks where locktype = 'advisory' and objid = {} and not granted"


def marks_nothing(definition: str) -> str:
    """The function without its INSERT."""
    return definition[: definition.index("AS $function$")] + "AS $function$ select null::void $function$"


def wait_and_pay(server: Server, note: str, key: str, lock: int) -> httpx.Response:
    """A payment that waits for a lock before it commits."""
    body = {"note": note, "lock": lock}
    return server.post("/rest/v1/rpc/wait_and_pay", key="service", json=body, headers={"idempotency-key": key})


def until(ask: Callable[[], bool]) -> None:
    """Wait until it is so."""
    ends_at = time.monotonic() + 20
    while not ask() and time.monotonic() < ends_at:
        time.sleep(0.02)
    assert ask()


@pytest.fixture(scope="module")
def killed() -> Iterator[Killed]:
    """Three requests wait for a lock, the server is killed, two transactions commit behind its back and one is rolled back."""
    running = start_server()
    running.sql(SCHEMA + SLOW)
    found = Killed(running, {fate: name() for fate in LOCKS}, {fate: name() for fate in LOCKS})
    with ThreadPoolExecutor(3) as threads, psycopg.connect(running.database_url, autocommit=True) as holder:
        holder.execute(("select " + ", ".join(f"pg_advisory_lock({lock})" for lock in LOCKS.values())).encode())
        for fate, lock in LOCKS.items():
            is_marked = fate != "unmarked"
            with nullcontext() if is_marked else changed_function(running, "fluxbase.carry_out", marks_nothing):
                threads.submit(found.again, fate)
                until(lambda lock=lock: bool(running.root_sql(WAITING.format(lock))))
        os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait(10)
        running.root_sql(f"select pg_terminate_backend(pid) from ({WAITING.format(LOCKS['aborted'])}) as w")
        until(lambda: not running.root_sql(WAITING.format(LOCKS["aborted"])))
        holder.execute("select pg_advisory_unlock_all()")
        until(lambda: [effects(running, note) for note in found.notes.values()] == [1, 1, 0])
    found.server = start_server(data_dir=running.data_dir)
    found.early = {fate: found.again(fate) for fate in LOCKS}
    found.server.root_sql("update platform.idempotency set lease_ends_at = clock_timestamp()")
    yield found
    found.server.stop()


def test_a_killed_process_blocks_until_its_lease_ends(killed: Killed) -> None:
    """Until then nobody can know whether it is still at work: 409 with Retry-After."""
    assert [(answer.status_code, answer.json()["message"]) for answer in killed.early.values()] == [
        (409, "The request with this Idempotency-Key is still being carried out.")
    ] * 3
    assert all(answer.headers["retry-after"] for answer in killed.early.values())


def test_what_a_killed_process_did_not_commit_is_carried_out(killed: Killed) -> None:
    """Its transaction was rolled back: the next request with the key is the first."""
    assert killed.again("aborted").status_code == 200
    assert killed.again("aborted").headers["idempotency-replayed"] == "true"
    assert effects(killed.server, killed.notes["aborted"]) == 1


def test_what_a_killed_process_committed_is_not_done_twice(killed: Killed) -> None:
    """It committed behind the back of the process that was killed: the answer is lost, and said to be."""
    answer = killed.again("committed")
    assert (answer.status_code, answer.json()["code"]) == (409, "FB409")
    assert "was carried out" in answer.json()["message"]
    assert effects(killed.server, killed.notes["committed"]) == 1


@pytest.mark.twin("function:fluxbase.carry_out")
def test_twin_without_the_mark_does_it_twice(killed: Killed) -> None:
    """The same with a transaction that left no mark: it is carried out again."""
    assert killed.again("unmarked").status_code == 200
    assert effects(killed.server, killed.notes["unmarked"]) == 2


def test_old_answers_are_forgotten(paid: Server) -> None:
    """After its day a key is new again, and what is left of it is deleted."""
    note, key = name(), name()
    pay(paid, note, key)
    paid.root_sql("update platform.idempotency set expires_at = clock_timestamp()")
    assert "idempotency-replayed" not in pay(paid, note, key).headers
    assert effects(paid, note) == 2
