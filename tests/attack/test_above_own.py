"""Who may write accounts, but does not administer the tenant, becomes nobody who holds more than he does (B30)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.attack.test_rbac import give, new_user, organisation
from tests.support.accounts import Account, sign_up
from tests.support.server import Server

USERS, GOTRUE = "/api/v1/admin/users", "/auth/v1/admin/users"
NEW = "copper lantern 58 fog"


def support(server: Server) -> Account:
    """A user who may write accounts and manage factors, and holds nothing else."""
    account = sign_up(server)
    give(server, account.id, "auth:users:*", "auth:factors:manage", role="support")
    return account


def boss(server: Server) -> Account:
    """A user who writes roles."""
    account = sign_up(server)
    give(server, account.id, "auth:roles:*", role="boss")
    return account


ATTACKS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("PUT", f"{GOTRUE}/{{id}}", {"password": NEW}),
    ("PATCH", f"{USERS}/{{id}}", {"password": NEW}),
    ("PUT", f"{GOTRUE}/{{id}}", {"email": "{new}@example.test"}),
    ("PUT", f"{GOTRUE}/{{id}}", {"ban_duration": "24h"}),
    ("POST", f"{USERS}/{{id}}/signout", {}),
    ("POST", f"{USERS}/{{id}}/2fa/reset", {}),
    ("DELETE", f"{GOTRUE}/{{id}}/factors/00000000-0000-0000-0000-000000000001", None),
    ("PUT", f"{GOTRUE}/{{id}}/factors/00000000-0000-0000-0000-000000000001", {"friendly_name": "x"}),
    ("DELETE", f"{GOTRUE}/{{id}}/passkeys/00000000-0000-0000-0000-000000000001", None),
    ("DELETE", f"{GOTRUE}/{{id}}", None),
    ("DELETE", f"{USERS}/{{id}}", None),
]


def attack(server: Server, by: str, method: str, path: str, body: dict[str, Any] | None, victim: str, **options: Any) -> tuple[int, str]:
    """One request upon the victim: status and code."""
    sent = None if body is None else {name: str(value).format(new=new_user()) for name, value in body.items()}
    answer = server.request(method, path.format(id=victim), key=by, **({} if sent is None else {"json": sent}), **options)
    return answer.status_code, str(answer.json() if answer.content else "")


def test_nobody_acts_upon_whoever_holds_more(server: Server) -> None:
    """Every way to another's account: refused for the boss and an organisation's owner, who stay signed in and enter as before."""
    helper, chief, owner = support(server), boss(server), sign_up(server)
    organisation(server, owner.access)
    for victim in (chief, owner):
        for method, path, body in ATTACKS:
            status, text = attack(server, helper.access, method, path, body, victim.id)
            assert (status, "more than he holds" in text) == (403, True), (method, path, text)
        assert victim.user().status_code == 200
        assert victim.again().id == victim.id


def test_whoever_holds_no_more_is_helped(server: Server) -> None:
    """The same caller sets the password of a plain user, renames himself, and makes accounts."""
    helper, plain = support(server), sign_up(server)
    assert attack(server, helper.access, "PUT", f"{GOTRUE}/{{id}}", {"password": NEW}, plain.id)[0] == 200
    assert plain.user().status_code == 401
    assert server.request("PUT", f"{GOTRUE}/{helper.id}", key=helper.access, json={"user_metadata": {"a": 1}}).status_code == 200
    assert server.post(USERS, key=helper.access, json={"email": f"{new_user()}@example.test", "password": NEW}).status_code in (200, 201)


@pytest.mark.parametrize("body", [{"role": "admin"}, {"app_metadata": {"is_admin": True}}])
def test_roles_of_the_database_are_not_given_by_role(server: Server, body: dict[str, Any]) -> None:
    """Neither to himself, nor to another, nor to a new account; nor is an account made under an id that already holds more."""
    helper, plain = support(server), sign_up(server)
    new = {"email": f"{new_user()}@example.test", "password": NEW}
    for victim in (helper, plain):
        assert server.request("PUT", f"{GOTRUE}/{victim.id}", key=helper.access, json=body).status_code == 403
    assert server.post(GOTRUE, key=helper.access, json={**new, **body}).status_code == 403
    chosen = new_user()
    give(server, chosen, "auth:roles:*", role="boss")
    assert server.post(GOTRUE, key=helper.access, json={**new, "id": chosen}).status_code == 403
    assert server.request("PUT", f"{GOTRUE}/{plain.id}", key="service", json=body).status_code == 200


def test_a_role_of_the_database_is_above_another(server: Server) -> None:
    """An account whose tokens have another role of the database is not reached, whatever it holds."""
    helper, moderator = support(server), sign_up(server)
    assert server.request("PUT", f"{GOTRUE}/{moderator.id}", key="service", json={"role": "moderator"}).status_code == 200
    assert attack(server, helper.access, "PUT", f"{GOTRUE}/{{id}}", {"password": NEW}, moderator.id)[0] == 403


def link(server: Server, by: str, email: str, **options: Any) -> tuple[int, str]:
    """A link to sign in with that no mail carries: status and token."""
    answer = server.post("/auth/v1/admin/generate_link", key=by, json={"type": "magiclink", "email": email}, **options)
    return answer.status_code, str(answer.json().get("hashed_token"))


def test_links_to_sign_in_with_are_for_administrators(server: Server) -> None:
    """generate_link gives whoever calls it the account: refused by role, for the boss as for a plain user."""
    helper = support(server)
    for victim in (boss(server), sign_up(server)):
        assert link(server, helper.access, victim.email) == (403, "None")


@pytest.mark.twin("users:above-own")
def test_twin_without_the_comparison_hands_the_boss_over(twin: Server) -> None:
    """Without it the helper sets the boss's password and writes roles as he."""
    helper, chief = support(twin), boss(twin)
    removed = {"x-twin-without": "users:above-own"}
    assert attack(twin, helper.access, *ATTACKS[0], chief.id, headers=removed)[0] == 200
    entered = twin.post("/api/v1/auth/signin", json={"email": chief.email, "password": NEW}).json()
    assert twin.get("/api/v1/admin/roles", key=entered["access_token"]).status_code == 200


@pytest.mark.twin("users:administrators-only")
def test_twin_without_it_makes_links_for_everybody(twin: Server) -> None:
    """Without it a link made by role signs its maker in as the boss."""
    helper, chief = support(twin), boss(twin)
    status, token = link(twin, helper.access, chief.email, headers={"x-twin-without": "users:administrators-only"})
    assert status == 200
    assert twin.post("/api/v1/auth/magiclink/verify", json={"token": token}).json()["user"]["id"] == chief.id
