"""The second factor cannot be left out, replayed, guessed or outlived (threats B22 to B26)."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

import httpx
import pytest

from tests.support.accounts import PASSWORD, sign_in, sign_up
from tests.support.parallel import PARALLEL, at_once, statuses
from tests.support.second_factor import FREE, GOTRUE, ROOT, Guarded, claims, guarded, without
from tests.support.server import Server

VERIFY = f"{ROOT}/verify"


@pytest.fixture(scope="module")
def vault(server: Server) -> Server:
    """A table that wants aal2, one that asks auth.jwt(), and one that any user reads."""
    server.sql("""
        create table if not exists mfa_vault (id int); delete from mfa_vault; insert into mfa_vault values (1);
        drop policy if exists everybody on mfa_vault; create policy everybody on mfa_vault using (true);
        create table if not exists mfa_jwt (id int); delete from mfa_jwt; insert into mfa_jwt values (1);
        drop policy if exists by_claim on mfa_jwt; create policy by_claim on mfa_jwt using ((select auth.jwt() ->> 'aal') = 'aal2');
        create table if not exists mfa_plain (id int); delete from mfa_plain; insert into mfa_plain values (1);
        drop policy if exists users on mfa_plain; create policy users on mfa_plain using ((select auth.uid()) is not null);
        select auth.require_aal2('public.mfa_vault')
    """)
    return server


def rows(server: Server, token: str, table: str, **options: Any) -> int:
    """How many rows a token sees; -1 when it is refused."""
    answer = server.get(f"/rest/v1/{table}", key=token, **options)
    return len(answer.json()) if answer.status_code == 200 else -1


def together(server: Server, number: int, path: str, body: dict[str, Any], key: str, agent: str = "python-httpx/x") -> list[int]:
    """So many equal requests at once; their statuses."""

    async def run() -> list[int]:
        headers = {"authorization": f"Bearer {key}", "user-agent": agent}
        limits = httpx.Limits(max_connections=50)
        async with httpx.AsyncClient(
            base_url=server.url, timeout=60, trust_env=False, verify=False, limits=limits, headers=headers
        ) as client:
            return [answer.status_code for answer in await asyncio.gather(*(client.post(path, json=body) for _ in range(number)))]

    return asyncio.run(run())


# -- the first step is not enough, the second alone is nothing -----------------------------------------------------------------


def test_a_code_without_a_ticket_is_nothing(server: Server) -> None:
    """With the user's id, no ticket, somebody's ticket cut short: 401, whatever the code (threat B26)."""
    user = guarded(server)
    for ticket in (user.account.id, "", "fb_mt_" + "a" * 43, user.ticket()[:-1]):
        answer = user.second_step(ticket, user.code())
        assert answer.status_code == 401, ticket
        assert "access_token" not in answer.text


@pytest.mark.twin("factors:ticket")
def test_twin_without_the_ticket_takes_the_users_id(twin: Server) -> None:
    """Without the ticket's check, id and code are a session although nobody gave the password."""
    user = guarded(twin, headers=FREE)
    headers = without("factors:ticket")
    assert user.second_step(user.account.id, user.code()).status_code == 401
    assert user.second_step(user.account.id, user.code(), headers=headers).status_code == 200


def test_a_ticket_is_of_one_user(server: Server) -> None:
    """One user's ticket with another's code is a wrong code."""
    first, second = guarded(server), guarded(server)
    answer = first.second_step(first.ticket(), second.code())
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_CREDENTIALS")


def test_a_ticket_is_of_one_device(server: Server) -> None:
    """Shown by another program than the one that gave the password it is 401; the right one may still use it."""
    user = guarded(server)
    ticket = user.ticket()
    assert user.second_step(ticket, user.code(), headers={"user-agent": "thief"}).status_code == 401
    assert user.second_step(ticket, user.code()).status_code == 200


def test_a_ticket_is_used_once(server: Server) -> None:
    """The same ticket with a fresh code after a success: 401."""
    user = guarded(server)
    ticket = user.ticket()
    assert [user.second_step(ticket, user.code()).status_code for _ in range(2)] == [200, 401]


def test_a_ticket_of_another_tenant_is_unknown(server: Server) -> None:
    """The ticket lives in its tenant's database; no other key opens it."""
    user = guarded(server)
    made = server.post("/api/v1/admin/tenants", key="service", json={"slug": f"mfa-{uuid.uuid4().hex[:8]}"}).json()
    answer = server.post(VERIFY, key=None, headers={"apikey": made["anon_key"]}, json={"user_id": user.ticket(), "code": user.code()})
    assert answer.status_code == 401


def test_a_pending_session_opens_nothing(vault: Server) -> None:
    """GoTrue's password grant gives a session that owes the factor: no table, no function, no change of the account (403)."""
    user = guarded(vault)
    pending = user.pending()
    assert [rows(vault, pending, table) for table in ("mfa_plain", "mfa_vault", "mfa_jwt")] == [-1, -1, -1]
    assert rows(vault, user.access, "mfa_plain") == 1
    for method, path in (
        ("GET", "/api/v1/tables/mfa_plain"), ("POST", "/api/v1/rpc/default/x"), ("PUT", f"{GOTRUE}/user"), ("PATCH", "/api/v1/auth/user"),
        ("GET", "/api/v1/auth/sessions"), ("POST", f"{GOTRUE}/passkeys/registration/options"), ("POST", f"{ROOT}/recovery-codes"),
        ("POST", f"{ROOT}/disable"), ("POST", f"{GOTRUE}/factors/recovery-codes"), ("DELETE", f"{GOTRUE}/factors/recovery-codes"),
    ):  # fmt: skip
        answer = vault.request(method, path, key=pending, json=None if method == "GET" else {"password": PASSWORD})
        assert answer.status_code == 403, path
    refused = vault.post(f"{GOTRUE}/factors", key=pending, json={"factor_type": "totp"})
    assert (refused.status_code, refused.json()["error_code"]) == (403, "insufficient_aal")
    assert vault.request("DELETE", f"{GOTRUE}/factors/{user.factor}", key=pending).status_code == 403


@pytest.mark.twin("factors:pending")
def test_twin_without_pending_reads_with_a_password_alone(twin: Server) -> None:
    """Without the check a token of the password grant reads what its user's factor should have protected."""
    twin.sql("create table if not exists mfa_twin (id int); drop policy if exists u on mfa_twin; create policy u on mfa_twin using (true)")
    user = guarded(twin, headers=FREE)
    pending = user.pending()
    assert twin.get("/rest/v1/mfa_twin", key=pending).status_code == 403
    assert twin.get("/rest/v1/mfa_twin", key=pending, headers=without("factors:pending")).status_code == 200


def test_refreshing_does_not_pay_the_debt(server: Server) -> None:
    """A pending session stays pending over refresh."""
    user = guarded(server)
    answer = server.post(f"{GOTRUE}/token?grant_type=password", json={"email": user.account.email, "password": PASSWORD}).json()
    renewed = server.post(f"{GOTRUE}/token?grant_type=refresh_token", json={"refresh_token": answer["refresh_token"]}).json()
    assert claims(renewed["access_token"])["factor_required"] is True


def test_a_factor_planted_before_is_no_way_in(server: Server) -> None:
    """Somebody who had the account once leaves a factor waiting; after the owner enables his own it is gone, and answers nothing."""
    account = sign_up(server)
    planted = server.post(f"{GOTRUE}/factors", key=account.access, json={"factor_type": "totp"}).json()
    challenge = server.post(f"{GOTRUE}/factors/{planted['id']}/challenge", key=account.access, json={}).json()
    user = guarded(server, account)
    pending = user.pending()
    assert server.post(f"{GOTRUE}/factors/{planted['id']}/challenge", key=pending, json={}).status_code == 404
    import pyotp

    code = pyotp.TOTP(planted["totp"]["secret"]).now()
    answer = server.post(f"{GOTRUE}/factors/{planted['id']}/verify", key=pending, json={"challenge_id": challenge["id"], "code": code})
    assert answer.status_code in (404, 422)
    assert "access_token" not in answer.text


# -- replay ----------------------------------------------------------------------------------------------------------------------


def test_the_same_code_twice_is_refused(server: Server) -> None:
    """In a new sign-in within the same half minute, and a code of an earlier step too (RFC 6238 5.2)."""
    user = guarded(server)
    code = user.code(1)
    assert user.second_step(user.ticket(), code).status_code == 200
    assert user.second_step(user.ticket(), code).status_code == 400
    assert user.second_step(user.ticket(), user.code_as_it_is()).status_code == 400


@pytest.mark.twin("factors:replay")
def test_twin_without_the_last_step_takes_it_again(twin: Server) -> None:
    """Without the remembered step, a code that was looked over somebody's shoulder signs in."""
    user = guarded(twin, headers=FREE)
    code = user.code(1)
    headers = without("factors:replay")
    assert user.second_step(user.ticket(), code).status_code == 200
    assert user.second_step(user.ticket(), code).status_code == 400
    assert user.second_step(user.ticket(), code, headers=headers).status_code == 200


def test_two_hundred_parallel_entries_of_one_code(twin: Server) -> None:
    """Where neither ticket nor cap stands in the way, the step itself is spent once (threat B22); the twin spends it again and again."""
    user = guarded(twin, headers=FREE)

    def entered(number: int, *more: str) -> int:
        body = {"user_id": user.ticket(), "code": user.code(1)}
        headers = {
            **without("factors:cap", "factors:tries", "factors:ticket-once", *more),
            "user-agent": httpx.Client().headers["user-agent"],
        }
        found = statuses(at_once(twin, "POST", VERIFY, headers=headers, number=number, json=body))
        assert set(found) <= {200, 400}
        return found.count(200)

    assert entered(PARALLEL) == 1
    assert entered(5, "factors:replay") == 5


@pytest.mark.parametrize("steps", [-2, 2])
def test_codes_of_two_steps_away_are_wrong(server: Server, steps: int) -> None:
    """One step of drift, not two. Near the edge of a step the code is taken anew."""
    user = guarded(server)
    while time.time() % 30 > 25:
        time.sleep(0.5)
    assert user.second_step(user.ticket(), user.code(steps)).status_code == 400


def test_two_hundred_redemptions_of_a_recovery_code(server: Server) -> None:
    """Parallel, inside pending sessions' reach and with the cap out of the way: one success (threat B23)."""
    user = guarded(server)
    server.root_sql("alter table auth.factor_attempts disable trigger all")
    found = _redeem(user, 200)
    assert found.count(200) == 1
    assert user.server.root_sql(
        f"select count(*) from auth.recovery_codes where user_id = '{user.account.id}' and used_at is not null"
    ) == [(1,)]


def _redeem(user: Guarded, number: int) -> list[int]:
    """One code in parallel by one session."""
    return together(user.server, number, f"{GOTRUE}/factors/recovery-codes/verify", {"code": user.recovery_codes[0]}, user.pending())


def test_two_hundred_redemptions_of_a_ticket(server: Server) -> None:
    """One ticket and one good code in parallel: at most one session, never two."""
    user = guarded(server)
    ticket = sign_in(server, user.account.email, headers={"user-agent": "many"}).json()["ticket"]
    found = together(server, 200, VERIFY, {"user_id": ticket, "code": user.code()}, server.anon_key, agent="many")
    assert found.count(200) == 1
    assert set(found) <= {200, 400, 401, 429}


# -- guessing --------------------------------------------------------------------------------------------------------------------


def test_a_ticket_has_five_tries(server: Server) -> None:
    """After five wrong codes the right one is refused; so is a new ticket, because the account's cap is reached (429)."""
    user = guarded(server)
    ticket = user.ticket()
    assert [user.second_step(ticket, "000000").status_code for _ in range(5)] == [400] * 5
    assert user.second_step(ticket, user.code()).status_code == 401
    refused = user.second_step(user.ticket(), user.code())
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 900
    assert server.root_sql(
        f"select count(*) from audit.entries where action = 'auth.mfa.locked' and resource = 'user:{user.account.id}'"
    ) == [(1,)]


def test_parallel_guesses_are_counted_before_they_are_looked_at(server: Server) -> None:
    """A hundred and twenty guesses at once over many tickets: no more than five are looked at."""
    user = guarded(server)
    tickets = [sign_in(server, user.account.email, headers={"user-agent": "guesser"}).json()["ticket"] for _ in range(6)]
    found: list[int] = []
    for ticket in tickets:
        found += together(server, 20, VERIFY, {"user_id": ticket, "code": "111111"}, server.anon_key, agent="guesser")
    assert found.count(400) == 5
    assert set(found) <= {400, 401, 429}


@pytest.mark.twin("factors:cap")
def test_twin_without_the_cap_looks_at_every_guess(twin: Server) -> None:
    """Without it a new ticket gives five more tries, for ever."""
    user = guarded(twin, headers=FREE)
    for _ in range(5):
        user.second_step(user.ticket(), "000000")
    headers = without("factors:cap")
    assert user.second_step(user.ticket(), "000000").status_code == 429
    assert user.second_step(user.ticket(), "000000", headers=headers).status_code == 400


@pytest.mark.twin("factors:tries")
def test_twin_without_the_tries_of_a_ticket(twin: Server) -> None:
    """Without either count one ticket takes a sixth guess."""
    user = guarded(twin, headers=FREE)
    ticket = user.ticket()
    headers = without("factors:cap", "factors:tries")
    found = [user.second_step(ticket, "000000", headers=without("factors:cap")).status_code for _ in range(6)]
    assert found == [400] * 5 + [401]
    assert user.second_step(ticket, "000000", headers=headers).status_code == 400


def test_where_nothing_can_be_counted_nothing_is_looked_at(twin: Server) -> None:
    """With the table of attempts locked away the right code is an error, not a session (fails closed)."""
    user = guarded(twin, headers=FREE)
    ticket, code = user.ticket(), user.code()
    twin.root_sql("revoke insert, update, delete on auth.factor_attempts from fluxbase_system")
    try:
        answer = user.second_step(ticket, code)
        assert answer.status_code >= 500
        assert "access_token" not in answer.text
    finally:
        twin.root_sql("grant insert, update, delete on auth.factor_attempts to fluxbase_system")


# -- the level falls with its factor -----------------------------------------------------------------------------------------------


def test_removing_a_factor_lowers_the_next_request(vault: Server) -> None:
    """The same token, a moment later: aal1 for auth.aal(), auth.jwt() and the ready policy, and still signed in (threat B25)."""
    user = guarded(vault)
    assert [rows(vault, user.access, table) for table in ("mfa_vault", "mfa_jwt", "mfa_plain")] == [1, 1, 1]
    assert vault.request("DELETE", f"{GOTRUE}/factors/{user.factor}", key=user.access).status_code == 200
    assert [rows(vault, user.access, table) for table in ("mfa_vault", "mfa_jwt", "mfa_plain")] == [0, 0, 1]
    assert user.account.user().status_code == 200


def test_removing_one_of_two_asks_for_the_other(vault: Server) -> None:
    """A session of the removed factor is refused until the other one is shown; the routes that take it are open."""
    user = guarded(vault)
    import pyotp

    second = vault.post(f"{GOTRUE}/factors", key=user.access, json={"factor_type": "totp", "friendly_name": "second"}).json()
    elsewhere = user.second_step(user.ticket(), user.code()).json()["access_token"]
    challenge = vault.post(f"{GOTRUE}/factors/{second['id']}/challenge", key=elsewhere, json={}).json()
    code = pyotp.TOTP(second["totp"]["secret"]).now()
    both = vault.post(f"{GOTRUE}/factors/{second['id']}/verify", key=elsewhere, json={"challenge_id": challenge["id"], "code": code}).json()
    assert rows(vault, user.access, "mfa_vault") == 1
    assert vault.request("DELETE", f"{GOTRUE}/factors/{user.factor}", key=both["access_token"]).status_code == 200
    assert rows(vault, user.access, "mfa_plain") == -1
    again = vault.post(f"{GOTRUE}/factors/{second['id']}/challenge", key=user.access, json={})
    assert again.status_code == 200, again.text


@pytest.mark.twin("factors:lowering")
def test_twin_without_the_deny_key_keeps_the_level(twin: Server) -> None:
    """Without the factor's deny key the old token goes on as aal2 until it expires."""
    twin.sql("""create table if not exists mfa_low (id int); delete from mfa_low; insert into mfa_low values (1);
                drop policy if exists p on mfa_low; create policy p on mfa_low using ((select auth.aal()) = 'aal2')""")
    for removed, seen in ((None, 0), ("factors:lowering", 1)):
        user = guarded(twin, headers=FREE)
        headers = without(removed) if removed else FREE
        assert twin.request("DELETE", f"{GOTRUE}/factors/{user.factor}", key=user.access, headers=headers).status_code == 200
        assert rows(twin, user.access, "mfa_low") == seen


def test_an_administrators_reset_lowers_too(vault: Server) -> None:
    """The user's own aal2 token is aal1 on the next request."""
    user = guarded(vault)
    assert vault.post(f"/api/v1/admin/users/{user.account.id}/2fa/reset", key="service").status_code == 200
    assert rows(vault, user.access, "mfa_vault") == 0


def test_old_proof_removes_nothing(vault: Server) -> None:
    """Six minutes after the code, removing the factor and new recovery codes want it again; a step-up later it works."""
    user = guarded(vault)
    session = claims(user.access)["session_id"]
    vault.root_sql(f"update auth.sessions set authenticated_at = now() - interval '6 minutes' where id = '{session}'")
    for method, path in (("DELETE", f"{GOTRUE}/factors/{user.factor}"), ("POST", f"{ROOT}/recovery-codes")):
        assert vault.request(method, path, key=user.access).status_code == 400, path
    ticket = vault.post(f"{ROOT}/challenge", key=user.access).json()["ticket"]
    raised = user.second_step(ticket, user.code()).json()["access_token"]
    assert vault.request("DELETE", f"{GOTRUE}/factors/{user.factor}", key=raised).status_code == 200


@pytest.mark.twin("factors:step-up")
def test_twin_without_step_up_removes_with_an_old_token(twin: Server) -> None:
    """Without it a token lifted hours after its sign-in removes the second factor."""
    user = guarded(twin, headers=FREE)
    session = claims(user.access)["session_id"]
    twin.root_sql(f"update auth.sessions set authenticated_at = now() - interval '6 minutes' where id = '{session}'")
    path = f"{GOTRUE}/factors/{user.factor}"
    assert twin.request("DELETE", path, key=user.access).status_code == 400
    assert twin.request("DELETE", path, key=user.access, headers=without("factors:step-up")).status_code == 200


def test_another_users_factor_is_not_there(server: Server) -> None:
    """Challenge, verify and remove with another's id: the answer of an unknown one (threat B30)."""
    first, second = guarded(server), guarded(server)
    for method, path in (("POST", "/challenge"), ("POST", "/verify"), ("DELETE", "")):
        answers = [
            server.request(
                method, f"{GOTRUE}/factors/{factor}{path}", key=first.access, json={"challenge_id": str(uuid.uuid4()), "code": "1"}
            )
            for factor in (second.factor, str(uuid.uuid4()))
        ]
        assert answers[0].status_code == answers[1].status_code
        assert answers[0].json() == answers[1].json()


def test_secrets_are_shown_once_and_sealed(server: Server) -> None:
    """Neither seed nor recovery code is in any later answer, and the database has neither (threat B24)."""
    user = guarded(server)
    texts = [
        server.get(path, key=user.access).text
        for path in ("/api/v1/auth/user", f"{GOTRUE}/user", f"{ROOT}/status", f"{GOTRUE}/factors/recovery-codes")
    ]
    stored = str(server.root_sql("select f::text from auth.factors f")) + str(server.root_sql("select c::text from auth.recovery_codes c"))
    for secret in (user.secret, user.secret.encode().hex(), *user.recovery_codes):
        assert not any(secret in text for text in [*texts, stored])
    moved = server.root_sql(f"select encode(secret_encrypted, 'hex') from auth.factors where id = '{user.factor}'")[0][0]
    other = guarded(server)
    server.root_sql(f"update auth.factors set secret_encrypted = decode('{moved}', 'hex') where id = '{other.factor}'")
    assert other.second_step(other.ticket(), user.code()).status_code >= 500
