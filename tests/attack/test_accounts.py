"""Accounts under attack: guessing, enumeration, lock, what ends sessions, and whose account it is (threats B20, B21, B27, B30)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from fluxbase.auth.users import Device
from fluxbase.kernel.errors import AuthError
from tests.support.accounts import PASSWORD, Account, refresh, sign_in, sign_up
from tests.support.server import Server

OTHER_PASSWORD = "granite lamp 41 fern"
PATHS = ("/api/v1/auth/user", "/auth/v1/user", "/api/v1/tables", "/rest/v1/")


def admin(server: Server, method: str, user: str, **options: Any) -> None:
    """One call of the admin users API that must succeed."""
    answer = server.request(method, f"/auth/v1/admin/users/{user}", key="service", **options)
    assert answer.status_code == 200, answer.text


EVENTS: dict[str, Callable[[Account], None]] = {
    "new password by an administrator": lambda a: admin(a.server, "PUT", a.id, json={"password": OTHER_PASSWORD}),
    "ban": lambda a: admin(a.server, "PUT", a.id, json={"ban_duration": "24h"}),
    "another role": lambda a: admin(a.server, "PUT", a.id, json={"role": "moderator"}),
    "deletion": lambda a: admin(a.server, "DELETE", a.id),
    "soft deletion": lambda a: admin(a.server, "DELETE", a.id, json={"should_soft_delete": True}),
    "sign-out by an administrator": lambda a: (
        None if a.server.post(f"/api/v1/admin/users/{a.id}/signout", key="service").status_code == 200 else pytest.fail("sign-out")
    ),
}


@pytest.mark.parametrize("event", EVENTS)
def test_what_happens_to_an_account_ends_its_sessions(server: Server, event: str) -> None:
    """Access tokens on every surface and refresh tokens are refused from the commit on; a bystander's are not."""
    account, bystander = sign_up(server), sign_up(server)
    assert [server.get(path, key=account.access).status_code for path in PATHS] == [200] * 4
    EVENTS[event](account)
    assert [server.get(path, key=account.access).status_code for path in PATHS] == [401, 403, 401, 401]
    assert refresh(server, account.refresh).status_code == 401
    assert bystander.user().status_code == 200


def test_a_new_password_ends_the_other_sessions(server: Server) -> None:
    """The session that changed it goes on, the others do not; the old password is dead."""
    account = sign_up(server)
    other = account.again()
    answer = server.request("PATCH", "/api/v1/auth/user", key=account.access, json={"password": OTHER_PASSWORD})
    assert answer.status_code == 200, answer.text
    assert (account.user().status_code, other.user().status_code) == (200, 401)
    assert refresh(server, other.refresh).status_code == 401
    assert sign_in(server, account.email).status_code == 401
    assert sign_in(server, account.email, OTHER_PASSWORD).status_code == 200


def test_a_sensitive_change_needs_a_fresh_sign_in(server: Server) -> None:
    """A session whose sign-in is older than five minutes changes neither password nor address without the current password."""
    account = sign_up(server)
    server.root_sql(f"update auth.sessions set authenticated_at = now() - interval '6 minutes' where user_id = '{account.id}'")
    for change in ({"password": OTHER_PASSWORD}, {"email": f"{uuid.uuid4().hex}@example.test"}):
        answer = server.request("PUT", "/auth/v1/user", key=account.access, json=change)
        assert (answer.status_code, answer.json()["error_code"]) == (400, "reauthentication_needed")
    wrong = server.request("PUT", "/auth/v1/user", key=account.access, json={"password": OTHER_PASSWORD, "current_password": "no"})
    assert wrong.status_code == 400
    right = server.request("PUT", "/auth/v1/user", key=account.access, json={"password": OTHER_PASSWORD, "current_password": PASSWORD})
    assert right.status_code == 200
    assert server.request("PUT", "/auth/v1/user", key=account.access, json={"data": {"a": 1}}).status_code == 200


@pytest.mark.twin("auth:step-up")
def test_twin_without_step_up_gives_the_account_to_a_stolen_session(twin: Server) -> None:
    """Without the question a session that lay about for an hour changes the password."""
    account = sign_up(twin, headers={"x-twin-without": "AddressLimit"})
    twin.root_sql(f"update auth.sessions set authenticated_at = now() - interval '1 hour' where user_id = '{account.id}'")
    change = {"password": OTHER_PASSWORD}
    assert twin.request("PATCH", "/api/v1/auth/user", key=account.access, json=change).status_code == 400
    lifted = twin.request("PATCH", "/api/v1/auth/user", key=account.access, json=change, headers={"x-twin-without": "auth:step-up"})
    assert lifted.status_code == 200


def test_a_ban_is_told_only_with_the_right_password_and_ends(server: Server) -> None:
    """A wrong password learns nothing of it; when its time has come the user is let in, and his new token works everywhere."""
    account = sign_up(server)
    admin(server, "PUT", account.id, json={"ban_duration": "1h"})
    assert sign_in(server, account.email, "wrong").json()["code"] == "INVALID_CREDENTIALS"
    told = server.post("/auth/v1/token?grant_type=password", json={"email": account.email, "password": PASSWORD})
    assert (told.status_code, told.json()["error_code"]) == (400, "user_banned")
    server.root_sql(f"update auth.users set banned_until = now() - interval '1 second' where id = '{account.id}'")
    assert [server.get(path, key=account.again().access).status_code for path in PATHS] == [200] * 4


def test_five_wrong_passwords_lock_the_account(server: Server) -> None:
    """The sixth attempt is refused although its password is right; that it is locked is told with the right password only."""
    account = sign_up(server)
    for _ in range(5):
        assert sign_in(server, account.email, "wrong").status_code == 401
    locked = sign_in(server, account.email)
    assert (locked.status_code, locked.json()["code"]) == (403, "ACCOUNT_LOCKED")
    assert sign_in(server, account.email, "wrong").json()["code"] == "INVALID_CREDENTIALS"
    server.root_sql(f"update auth.users set locked_until = now() - interval '1 second' where id = '{account.id}'")
    assert sign_in(server, account.email).status_code == 200
    assert server.root_sql(f"select failed_attempts, locked_until from auth.users where id = '{account.id}'") == [(0, None)]


@pytest.mark.twin("auth:lock")
def test_twin_without_the_lock_lets_guessing_go_on(twin: Server) -> None:
    """Without the count of failures the right guess after many wrong ones is let in."""
    free = {"x-twin-without": "AddressLimit"}
    guessed, kept = sign_up(twin, headers=free), sign_up(twin, headers=free)
    for account, off in ((guessed, "AddressLimit,auth:lock"), (kept, "AddressLimit")):
        for _ in range(6):
            sign_in(twin, account.email, "wrong", headers={"x-twin-without": off})
    assert sign_in(twin, guessed.email, headers=free).status_code == 200
    assert sign_in(twin, kept.email, headers=free).status_code == 403


@dataclass(slots=True)
class Cost:
    """What one sign-in took."""

    hashes: int
    statements: list[str]
    answer: str


async def costs(server: Server, attempts: list[tuple[str, str]]) -> list[Cost]:
    """Each attempt on the real services, with its hashes and statements counted."""
    from fluxbase.app import open_program
    from fluxbase.db.session import SystemTx

    found: list[Cost] = []
    original = SystemTx.fetch
    async with open_program(server.data_dir) as program:
        accounts, passwords, tenant = program.auth.accounts, program.auth.passwords, program.registry.default
        for email, password in attempts:
            statements: list[str] = []

            async def counted(tx: SystemTx, sql: Any, *params: Any, seen: list[str] = statements) -> Any:
                seen.append(str(sql))
                return await original(tx, sql, *params)

            SystemTx.fetch = counted  # type: ignore[method-assign]
            before = passwords.hashes
            try:
                await accounts.sign_in_with_password(tenant, email, password, Device())
                answer = "let in"
            except AuthError as error:
                answer = f"{error.code} {error.message}"
            finally:
                SystemTx.fetch = original  # type: ignore[method-assign]
            found.append(Cost(passwords.hashes - before, statements, answer))
    return found


def test_unknown_accounts_cost_what_known_ones_cost(server: Server) -> None:
    """Wrong password, unknown address, an account without a password, a locked one: the same hashes, statements and bytes."""
    known, locked = sign_up(server), sign_up(server)
    bare = f"{uuid.uuid4().hex}@example.test"
    assert server.post("/auth/v1/admin/users", key="service", json={"email": bare}).status_code == 200
    server.root_sql(f"update auth.users set locked_until = now() + interval '1 hour' where id = '{locked.id}'")
    emails = [known.email, f"{uuid.uuid4().hex}@example.test", bare, locked.email, "no address", "a\0b@example.test", ""]
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(lambda: asyncio.run(costs(server, [(email, "wrong password") for email in emails]))).result(60)
    assert [cost.hashes for cost in found] == [1] * len(emails)
    assert all(cost.statements == found[0].statements for cost in found)
    assert {cost.answer for cost in found} == {"invalid_credentials Invalid login credentials"}
    bodies = {sign_in(server, email, "wrong password").json()["error"] for email in emails}
    assert len(bodies) == 1


@pytest.mark.twin("auth:equal-cost")
def test_twin_without_the_dummy_hash_tells_who_has_an_account() -> None:
    """Without it an unknown address costs no hash, which the clock tells; with it one."""
    from fluxbase.auth.passwords import Passwords
    from fluxbase.config.auth import Auth
    from tests.support.twin import LIFTED

    async def hashes(verify: Any) -> int:
        passwords = Passwords(Auth(hash_workers=1))
        assert not await verify(passwords, None, "x")
        passwords.close()
        return passwords.hashes

    assert asyncio.run(hashes(Passwords.verify)) == 1
    assert asyncio.run(hashes(LIFTED["auth:equal-cost"][2](Passwords.verify))) == 0


def test_nobody_reaches_anothers_account(server: Server) -> None:
    """Another's session ids are 404 like unknown ones, lists show one's own, and admin routes refuse users and anon."""
    mine, other = sign_up(server), sign_up(server)
    session = server.get("/api/v1/auth/sessions", key=other.access).json()["sessions"][0]["id"]
    assert session not in server.get("/api/v1/auth/sessions", key=mine.access).text
    answers = [
        server.request("DELETE", f"/api/v1/auth/sessions/{each}", key=mine.access) for each in (session, str(uuid.uuid4()), "x", "%00")
    ]
    assert {answer.status_code for answer in answers} <= {400, 404}
    assert answers[0].json()["error"] == answers[1].json()["error"]
    assert other.user().status_code == 200
    for key in (mine.access, "anon", None):
        for path in ("/auth/v1/admin/users", f"/auth/v1/admin/users/{other.id}", "/api/v1/admin/users", f"/api/v1/admin/users/{other.id}"):
            assert server.get(path, key=key).status_code in {401, 403}
    assert server.request("DELETE", f"/auth/v1/admin/users/{other.id}", key=mine.access).status_code == 403
    assert server.request("DELETE", f"/api/v1/auth/sessions/{session}", key=other.access).status_code == 204
    assert other.user().status_code == 401


def test_a_user_makes_himself_nothing_more(server: Server) -> None:
    """Role, application metadata, confirmation, ban and tenant in sign-up or update change nothing (mass assignment)."""
    email = f"{uuid.uuid4().hex}@example.test"
    greedy = {
        "role": "service_role", "app_metadata": {"admin": True}, "email_verified": True, "is_confirmed": True, "tenant_id": str(uuid.uuid4()),
        "id": str(uuid.uuid4()), "epoch": 9, "raw_app_meta_data": {"admin": True}, "aal": "aal2",
    }  # fmt: skip
    body = server.post("/api/v1/auth/signup", json={"email": email, "password": PASSWORD, **greedy}).json()
    account = Account(server, email, body["user"]["id"], body["access_token"], body["refresh_token"])
    server.request("PATCH", "/api/v1/auth/user", key=account.access, json={"user_metadata": {"role": "admin"}, **greedy})
    assert server.request("PUT", "/auth/v1/user", key=account.access, json=greedy).status_code == 403
    row = server.root_sql(f"select role, raw_app_meta_data, epoch, id::text = '{greedy['id']}' from auth.users where id = '{account.id}'")
    assert row == [("authenticated", {}, 0, False)]
    assert account.user().json()["app_metadata"] == {"provider": "email", "providers": ["email"]}


def test_no_hash_or_token_of_another_leaves(server: Server) -> None:
    """No answer of any account route has the password's hash, and the admin list has neither hashes nor tokens (threat B24)."""
    account = sign_up(server)
    stored = server.root_sql(f"select encrypted_password from auth.users where id = '{account.id}'")[0][0]
    assert str(stored).startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    texts = [
        server.get(path, key=key).text
        for path, key in (
            ("/api/v1/auth/user", account.access), ("/auth/v1/user", account.access), ("/api/v1/auth/sessions", account.access),
            ("/auth/v1/admin/users?per_page=1000", "service"), (f"/api/v1/admin/users/{account.id}", "service"),
        )
    ]  # fmt: skip
    assert [text for text in texts if "$argon2" in text or account.refresh in text or "password" in text] == []
