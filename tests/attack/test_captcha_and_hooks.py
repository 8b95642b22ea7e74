"""A captcha that is switched on is asked everywhere its flow begins and fails closed; so do the hooks before a sign-up or sign-in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import orjson
import pytest

from fluxbase.auth.captcha.proof_of_work import is_solved
from tests.support.accounts import PASSWORD
from tests.support.administrator import administrator, login
from tests.support.command import fluxbase
from tests.support.parallel import PARALLEL, at_once
from tests.support.second_factor import claims
from tests.support.server import Server, start_server
from tests.support.verification_server import VerificationServer, verification_server

CHECK = "/api/v1/auth/captcha/check"
SECRET = "hook-signing-secret-of-the-tests"
HOOKS = """
create schema if not exists hooks;
create or replace function hooks.before_sign_up(event jsonb) returns jsonb language plpgsql as $$
begin
  if event #>> '{user,email}' like 'refused%' then return jsonb_build_object('decision', 'reject', 'message', 'Not this address.'); end if;
  if event #>> '{user,email}' like 'raised%' then raise exception 'Raised by the hook.'; end if;
  if event #>> '{user,email}' like 'slow%' then perform pg_sleep(5); end if;
  if event #>> '{user,email}' like 'broken%' then perform 1 / 0; end if;
  if event #>> '{user,email}' like 'whoami%' then raise exception '% % %', session_user, current_user, auth.role(); end if;
  return null;
end $$;
create or replace function hooks.after_sign_up(event jsonb) returns jsonb language plpgsql security definer as $$
begin
  if to_regclass('public.profiles') is not null then
    insert into public.profiles select (event #>> '{user,id}')::uuid, (select count(*) from auth.users where id = (event #>> '{user,id}')::uuid);
  end if;
  return null;
end $$;
create or replace function hooks.token_issue(event jsonb) returns jsonb language sql as
$$ select jsonb_build_object('claims', jsonb_build_object('plan', 'gold', 'aal', 'aal2', 'role', 'service_role', 'sub', 'x')) $$;
grant usage on schema hooks to service_role;
grant execute on all functions in schema hooks to service_role;
revoke execute on all functions in schema hooks from public, anon, authenticated;
"""


@pytest.fixture(scope="module")
def peer() -> Iterator[VerificationServer]:
    """Answers for the providers and the hook before sign-in."""
    with verification_server() as running:
        yield running


@pytest.fixture(scope="module")
def hooked(peer: VerificationServer) -> Iterator[Server]:
    """Proof of work asked at sign-up; a function before sign-up, an HTTPS call before sign-in, a function for claims."""
    running = start_server(
        is_twin=True,
        env={
            "FLUXBASE_CAPTCHA_ENABLED": "true", "FLUXBASE_CAPTCHA_ENDPOINTS": '["signup"]', "FLUXBASE_CAPTCHA_DIFFICULTY_BITS": "8",
            "FLUXBASE_HOOKS_BEFORE_SIGN_UP": "sql:hooks.before_sign_up", "FLUXBASE_HOOKS_AFTER_SIGN_UP": "sql:hooks.after_sign_up",
            "FLUXBASE_HOOKS_TOKEN_ISSUE": "sql:hooks.token_issue",
            "FLUXBASE_HOOKS_BEFORE_SIGN_IN": peer.url, "FLUXBASE_HOOKS_AFTER_SIGN_IN": peer.url, "FLUXBASE_HOOKS_SECRET": SECRET,
            "FLUXBASE_HOOKS_TIMEOUT_SECONDS": "1", "FLUXBASE_AUTH_MAIL_INTERVAL_SECONDS": "0", "FLUXBASE_OUTBOUND_ALLOWED_NETWORKS": '["127.0.0.1/32"]',
        },
    )  # fmt: skip
    running.sql(HOOKS)
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def calm(peer: VerificationServer) -> None:
    """Every test begins with a peer that says yes at once."""
    peer.answer, peer.status, peer.delay_seconds = (lambda _: {"success": True}), 200, 0.0
    peer.requests.clear()


def work(server: Server, flow: str = "signup") -> dict[str, str]:
    """The members of a body that show the work done."""
    asked = server.post(CHECK, json={"endpoint": flow}).json()
    number = next(each for each in range(1 << 20) if is_solved(asked["challenge_id"], str(each), asked["difficulty"]))
    return {"challenge_id": asked["challenge_id"], "captcha_token": str(number)}


def sign_up(
    server: Server, solution: dict[str, Any], email: str | None = None, path: str = "/api/v1/auth/signup", without: str = ""
) -> httpx.Response:
    """Sign up with a captcha; at a twin without one control."""
    address = email or f"{uuid.uuid4().hex}@example.test"
    headers = {"x-twin-without": without} if without else {}
    return server.post(path, json={"email": address, "password": PASSWORD, **solution}, headers=headers)


def unworked(server: Server, difficulty: int | None = None) -> dict[str, str]:
    """A challenge of ours with a number that solves nothing; with ``difficulty`` its text is changed to ask for so much."""
    challenge = server.post(CHECK, json={"endpoint": "signup"}).json()["challenge_id"]
    if difficulty is not None:
        body, _, tag = challenge.removeprefix("ch_").partition(".")
        content = orjson.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        content[2] = difficulty
        challenge = f"ch_{base64.urlsafe_b64encode(orjson.dumps(content)).rstrip(b'=').decode()}.{tag}"
    lazy = next(each for each in range(1000) if not is_solved(challenge, str(each), 8))
    return {"challenge_id": challenge, "captcha_token": str(lazy)}


def test_both_wires_ask(hooked: Server) -> None:
    """Without a solution 400 on both; with one 201 and 200. The page learns what it needs."""
    assert hooked.get("/api/v1/auth/captcha/config").json() == {
        "enabled": True, "provider": "proof_of_work", "site_key": "", "endpoints": ["signup"]
    }  # fmt: skip
    refused = sign_up(hooked, {})
    assert (refused.status_code, refused.json()["code"]) == (400, "CAPTCHA_REQUIRED")
    assert sign_up(hooked, {}, path="/auth/v1/signup").status_code == 400
    assert sign_up(hooked, work(hooked)).status_code == 201
    found = work(hooked)
    meta = {"gotrue_meta_security": {"captcha_token": f"{found['challenge_id']}.{found['captcha_token']}"}}
    assert sign_up(hooked, meta, path="/auth/v1/signup").status_code == 200
    assert hooked.post(CHECK, json={"endpoint": "login"}).json()["captcha_required"] is False
    assert hooked.post(CHECK, json={"endpoint": "x"}).status_code == 400


def test_work_is_done_once_and_for_one_flow(hooked: Server) -> None:
    """Used twice, not done, changed, or of another flow: refused, and no account is made."""
    found = work(hooked)
    assert sign_up(hooked, found).status_code == 201
    again = sign_up(hooked, found)
    assert (again.status_code, again.json()["code"]) == (400, "CHALLENGE_CONSUMED")
    asked = hooked.post(CHECK, json={"endpoint": "signup"}).json()["challenge_id"]
    lazy = next(each for each in range(1000) if not is_solved(asked, str(each), 8))
    for token in (f"{asked}.{lazy}", f"{asked[:-1]}.{lazy}", "x", "ch_.1", "a" * 10_000):
        email = f"{uuid.uuid4().hex}@example.test"
        assert sign_up(hooked, {"captcha_token": token}, email).status_code == 400, token[:40]
        assert hooked.root_sql(f"select count(*) from auth.users where email = '{email}'") == [(0,)]


def test_two_hundred_parallel_uses_of_one_solution(hooked: Server) -> None:
    """One is heard (here: told that its address is no address); all others hear that the solution was used (threat B22)."""
    found = at_once(hooked, "POST", "/api/v1/auth/signup", json={"email": "no address", "password": PASSWORD, **work(hooked)})
    codes = [answer.json()["code"] for answer in found]
    assert (codes.count("CHALLENGE_CONSUMED"), codes.count("VALIDATION_FAILED")) == (PARALLEL - 1, 1)


def _used(server: Server) -> dict[str, str]:
    found = work(server)
    assert sign_up(server, found).status_code == 201
    return found


LAZY: dict[str, Callable[[Server], dict[str, str]]] = {
    "captcha:asked": lambda _: {},
    "captcha:once": _used,
    "captcha:work": unworked,
    "captcha:signature": lambda server: unworked(server, 0),
}


@pytest.mark.parametrize("control", [pytest.param(name, marks=pytest.mark.twin(name)) for name in LAZY])
def test_twin_of_a_captcha_that_is_not_checked(hooked: Server, control: str) -> None:
    """Without this check alone, who did no work for this sign-up has an account."""
    solution = LAZY[control](hooked)
    assert sign_up(hooked, solution).status_code == 400
    assert sign_up(hooked, solution, without=control).status_code == 201


PROVIDERS = ("hcaptcha", "recaptcha_v3", "turnstile")


@pytest.fixture(scope="module", params=PROVIDERS)
def provided(request: pytest.FixtureRequest, peer: VerificationServer) -> Iterator[Server]:
    """A server whose captcha is checked by the peer."""
    running = start_server(
        is_twin=True,
        env={
            "FLUXBASE_CAPTCHA_ENABLED": "true", "FLUXBASE_CAPTCHA_PROVIDER": request.param, "FLUXBASE_CAPTCHA_SITE_KEY": "site",
            "FLUXBASE_CAPTCHA_SECRET_KEY": "provider-secret-of-the-tests", "FLUXBASE_CAPTCHA_VERIFY_URL": peer.url,
            "FLUXBASE_CAPTCHA_TIMEOUT_SECONDS": "1", "FLUXBASE_CAPTCHA_HOSTNAMES": '["app.example"]',
            "FLUXBASE_OUTBOUND_ALLOWED_NETWORKS": '["127.0.0.1/32"]',
        },
    )  # fmt: skip
    running.env["provider"] = request.param
    yield running
    running.stop()


def test_a_provider_is_asked_and_fails_closed(provided: Server, peer: VerificationServer) -> None:
    """Yes lets in; no, another page, a low score, a slow or broken answer do not; the secret goes to the provider alone."""
    good = {"success": True, "hostname": "app.example", "score": 0.9, "action": "signup"}
    peer.answer = lambda _: good
    assert sign_up(provided, {"captcha_token": "token-1"}).status_code == 201
    sent = {name: values[0] for name, values in parse_qs(peer.requests[0][1].decode()).items()}
    assert (sent["response"], sent["secret"], sent["remoteip"]) == ("token-1", "provider-secret-of-the-tests", "127.0.0.1")
    refused: list[tuple[Any, int]] = [
        ({"success": False}, 400),
        ({**good, "hostname": "evil.example"}, 400),
        ("not json", 503),
        ({"ok": 1}, 503),
    ]
    if provided.env["provider"] == "recaptcha_v3":
        refused += [({**good, "score": 0.2}, 400), ({**good, "score": True}, 400), ({**good, "action": "login"}, 400)]
    for body, status in refused:
        peer.answer = lambda _, body=body: body
        assert sign_up(provided, {"captcha_token": "t"}).status_code == status, body
    peer.answer, peer.status = (lambda _: good), 500
    assert sign_up(provided, {"captcha_token": "t"}).status_code == 503
    peer.status, peer.delay_seconds = 200, 3.0
    assert sign_up(provided, {"captcha_token": "t"}).status_code == 503
    peer.delay_seconds = 0.0
    login = provided.post("/api/v1/auth/signin", json={"email": "a@example.test", "password": PASSWORD})
    assert (login.status_code, login.json()["code"]) == (400, "CAPTCHA_REQUIRED")


@pytest.mark.twin("captcha:answer", "captcha:closed")
def test_twin_of_a_provider_that_is_not_listened_to(provided: Server, peer: VerificationServer) -> None:
    """Without the look at its answer another page's solution is good; when its silence lets through, filling its quota switches it off."""
    peer.answer = lambda _: {"success": True, "hostname": "evil.example", "score": 0.9, "action": "signup"}
    assert sign_up(provided, {"captcha_token": "t"}).status_code == 400
    assert sign_up(provided, {"captcha_token": "t"}, without="captcha:answer").status_code == 201
    peer.status = 500
    assert sign_up(provided, {"captcha_token": "t"}).status_code == 503
    assert sign_up(provided, {"captcha_token": "t"}, without="captcha:closed").status_code == 201


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("refused", 403, "Not this address."), ("raised", 403, "Raised by the hook."),
        ("slow", 500, "did not answer"), ("broken", 500, "did not answer"),
    ],
)  # fmt: skip
def test_a_function_before_sign_up_decides(hooked: Server, name: str, status: int, words: str) -> None:
    """It refuses in its own words; slow or broken it refuses too, without telling why, and there is no account."""
    email = f"{name}-{uuid.uuid4().hex}@example.test"
    answer = sign_up(hooked, work(hooked), email)
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text
    assert "division" not in answer.text
    assert hooked.root_sql(f"select count(*) from auth.users where email = '{email}'") == [(0,)]


def redeemed(server: Server, email: str, headers: dict[str, str]) -> httpx.Response:
    """A magic link asked for by an address that nobody has, and followed."""
    assert server.post("/api/v1/auth/magiclink", json={"email": email}).status_code == 200
    shown = fluxbase("mail", "show", "--json", "--data", server.data_dir, cwd=server.data_dir)
    token = parse_qs(urlsplit(json.loads(shown.stdout)["url"]).query)["token"][0]
    return server.post("/api/v1/auth/magiclink/verify", json={"token": token}, headers=headers)


WAYS: dict[str, Callable[[Server, str, dict[str, str]], httpx.Response]] = {
    "invite": lambda server, email, headers: server.post("/auth/v1/invite", key="service", json={"email": email}, headers=headers),
    "link": lambda server, email, headers: server.post(
        "/auth/v1/admin/generate_link", key="service", json={"type": "magiclink", "email": email}, headers=headers
    ),
    "mail": redeemed,
}


@pytest.mark.twin("hooks:every-way")
@pytest.mark.parametrize("way", WAYS)
def test_a_function_before_sign_up_decides_about_every_way_in(hooked: Server, way: str) -> None:
    """Whom it refuses comes in by no invitation, link or mail either (the twin that asks at sign-up alone lets him); an
    administrator who makes the account himself is not asked."""
    email = f"refused-{uuid.uuid4().hex}@example.test"
    refused = WAYS[way](hooked, email, {})
    assert (refused.status_code, "Not this address." in refused.text) == (403, True), refused.text
    assert hooked.root_sql(f"select count(*) from auth.users where email = '{email}'") == [(0,)]
    assert WAYS[way](hooked, email, {"x-twin-without": "hooks:every-way"}).status_code == 200
    made = hooked.post("/auth/v1/admin/users", key="service", json={"email": f"refused-{uuid.uuid4().hex}@example.test"})
    assert made.status_code == 200, made.text


def test_an_after_hook_sees_what_it_is_told_of(hooked: Server, peer: VerificationServer) -> None:
    """Told when the transaction is committed, of administrators' accounts too; the account that was refused is not told of."""
    hooked.sql("create table if not exists public.profiles (id uuid primary key, seen int); delete from public.profiles")
    made = hooked.post("/auth/v1/admin/users", key="service", json={"email": f"{uuid.uuid4().hex}@example.test"}).json()["id"]
    sign_up(hooked, work(hooked), f"refused-{uuid.uuid4().hex}@example.test")
    own = sign_up(hooked, work(hooked)).json()["user"]["id"]
    for _ in range(200):
        rows = hooked.root_sql("select id::text, seen from public.profiles")
        if len(rows) == 2:
            break
        time.sleep(0.05)
    assert sorted(rows) == sorted([(made, 1), (own, 1)])


def test_a_function_runs_as_a_client_role(hooked: Server) -> None:
    """Not as the server: session_user is the login of service_role, which owns nothing."""
    answer = sign_up(hooked, work(hooked), f"whoami-{uuid.uuid4().hex}@example.test")
    session_user, current_user, role = answer.json()["error"].split()
    assert session_user.startswith("fb_")
    assert (current_user, role) == ("service_role", "service_role")


def test_claims_are_added_and_never_replaced(hooked: Server) -> None:
    """plan is new; level, role and subject stay ours."""
    token = sign_up(hooked, work(hooked)).json()["access_token"]
    told = claims(token)
    assert (told["plan"], told["aal"], told["role"]) == ("gold", "aal1", "authenticated")
    assert told["sub"] != "x"


def test_an_https_hook_is_signed_and_decides(hooked: Server, peer: VerificationServer) -> None:
    """Its signature verifies, it is told nothing that signs in, and it refuses a sign-in; silence refuses too."""
    email = f"{uuid.uuid4().hex}@example.test"
    assert sign_up(hooked, work(hooked), email).status_code == 201
    headers, body = next(each for each in peer.requests if orjson.loads(each[1])["hook"] == "before_sign_in")
    parts = dict(part.split("=") for part in headers["x-fluxbase-signature"].split(","))
    assert parts["v1"] == hmac.new(SECRET.encode(), f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
    assert abs(int(parts["t"]) - time.time()) < 300
    assert orjson.loads(body)["user"]["email"] == email
    assert PASSWORD not in body.decode()
    assert "encrypted_password" not in body.decode()
    login = {"email": email, "password": PASSWORD}
    for answer, status, expected in (({"decision": "reject", "message": "No."}, 200, 403), ({}, 500, 500), ("[]", 200, 500)):
        peer.answer, peer.status = (lambda _, answer=answer: answer), status
        assert hooked.post("/api/v1/auth/signin", json=login).status_code == expected
    peer.answer, peer.status, peer.delay_seconds = (lambda _: {}), 200, 3.0
    assert hooked.post("/api/v1/auth/signin", json=login).status_code == 500
    peer.delay_seconds = 0.0
    assert hooked.post("/api/v1/auth/signin", json=login).status_code == 200


@pytest.mark.twin("hooks:asked", "hooks:closed")
def test_twin_of_a_hook_that_is_not_asked(hooked: Server) -> None:
    """Not asked, or its failure taken for a yes: the account that it refuses, or could not judge, is made."""
    for name, control in (("refused", "hooks:asked"), ("raised", "hooks:asked"), ("broken", "hooks:closed")):
        assert sign_up(hooked, work(hooked), f"{name}-{uuid.uuid4().hex}@example.test").status_code in {403, 500}
        assert sign_up(hooked, work(hooked), f"{name}-{uuid.uuid4().hex}@example.test", without=control).status_code == 201


@pytest.mark.twin("hooks:claims")
def test_twin_that_believes_the_hook(hooked: Server) -> None:
    """When the hook's claims come last, an application's function vouches for second factors that nobody showed."""
    told = claims(sign_up(hooked, work(hooked), without="hooks:claims").json()["access_token"])
    assert (told["aal"], told["plan"]) == ("aal2", "gold")


@pytest.mark.twin("hooks:told", "hooks:signature")
def test_twin_of_a_call_that_is_not_signed_or_says_too_much(hooked: Server, peer: VerificationServer) -> None:
    """The check of the test above sees a signature that does not verify, and a hash that a hook is told."""
    for control in ("hooks:told", "hooks:signature"):
        peer.requests.clear()
        sign_up(hooked, work(hooked), without=control)
        headers, body = next(each for each in peer.requests if orjson.loads(each[1])["hook"] == "before_sign_in")
        parts = dict(part.split("=") for part in headers["x-fluxbase-signature"].split(","))
        is_signed = parts["v1"] == hmac.new(SECRET.encode(), f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
        assert (is_signed, "encrypted_password" in body.decode()) == (control == "hooks:told", control == "hooks:told")


def test_no_hook_stands_between_an_administrator_and_his_instance(hooked: Server, peer: VerificationServer) -> None:
    """A hook that refuses every sign-in is not asked about platform administrators, nor told of them."""
    made = administrator(hooked)
    peer.answer = lambda _: {"decision": "reject", "message": "No."}
    peer.requests.clear()
    assert login(hooked, made.email).status_code == 200
    assert peer.requests == []
