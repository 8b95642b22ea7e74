"""Whoever impersonates looks and works as the user, and takes nothing along: no session, key, factor or organisation (threat B20)."""

from __future__ import annotations

import uuid
from typing import Any

import pyotp
import pytest

from tests.support.accounts import Account, sign_up
from tests.support.second_factor import FREE, ROOT, claims, without
from tests.support.server import Server

ACT = "/api/v1/auth/impersonate"
KEYS = "/api/v1/client-keys"
KEY = {"name": "kept", "scopes": ["*"]}
LASTING: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", f"{ROOT}/setup", {}), ("POST", f"{ROOT}/enable", {"code": "000000"}), ("POST", "/auth/v1/factors", {"factor_type": "totp"}),
    ("POST", "/auth/v1/passkeys/registration/options", {}), ("POST", "/api/v1/auth/passkeys/registration/options", {}),
    ("POST", KEYS, KEY), ("POST", "/api/v1/orgs", {"slug": "kept"}), ("PATCH", "/api/v1/auth/user", {"user_metadata": {"x": 1}}),
    ("PUT", "/auth/v1/user", {"password": "copper lantern 58 fog"}), ("POST", "/api/v1/auth/signout", {"scope": "global"}),
    ("POST", "/auth/v1/logout?scope=global", {}), ("POST", ACT, {"target_user_id": str(uuid.uuid4()), "reason": "again"}),
]  # fmt: skip


def supporter(server: Server) -> Account:
    """A user who may impersonate, and nothing else."""
    account = sign_up(server, headers=FREE)
    permissions = {"permissions": ["auth:impersonation:start"]}
    assert server.request("PUT", "/api/v1/admin/roles/supporter", key="service", json=permissions).status_code == 200
    assert server.request("PUT", f"/api/v1/admin/users/{account.id}/roles/supporter", key="service").status_code == 200
    return account


def impersonate(server: Server, by: Account, target: Account) -> str:
    """A token of the target's."""
    answer = server.post(ACT, key=by.access, json={"target_user_id": target.id, "reason": "ticket 7"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def test_who_impersonates_makes_nothing_that_lasts(twin: Server) -> None:
    """Every way to a session, a key, a factor, an organisation or a change of the account is refused by name, in both dialects."""
    target = sign_up(twin, headers=FREE)
    token = impersonate(twin, supporter(twin), target)
    for method, path, body in LASTING:
        answer = twin.request(method, path, key=token, json=body, headers=FREE)
        assert (answer.status_code, "impersonat" in answer.text) == (403, True), (method, path, answer.text)
    assert target.user().status_code == 200
    assert twin.get("/api/v1/auth/user", key=token).json()["id"] == target.id
    kept = f"select count(*) from auth.factors where user_id = '{target.id}' union all select count(*) from auth.api_keys where user_id = '{target.id}'"
    assert twin.root_sql(kept) == [(0,), (0,)]


def test_the_session_behind_it_ends_with_it(twin: Server) -> None:
    """Its row says ended, so that nothing that reads the row goes on; its token is refused everywhere, the user's own is not."""
    by, target = supporter(twin), sign_up(twin, headers=FREE)
    token = impersonate(twin, by, target)
    assert twin.request("DELETE", ACT, key=by.access).json()["success"] is True
    session = claims(token)["session_id"]
    assert twin.root_sql(f"select ended_at is not null, end_reason from auth.sessions where id = '{session}'") == [
        (True, "impersonation ended")
    ]
    assert [twin.get(path, key=token).status_code for path in ("/api/v1/auth/user", "/api/v1/tables")] == [401, 401]
    assert target.user().status_code == 200


@pytest.mark.twin("impersonation:scope")
def test_twin_that_asks_only_the_users_routes_gives_a_lasting_key(twin: Server) -> None:
    """Without the rule an impersonation of a minute leaves a key of the user's that goes on after its end."""
    by, target = supporter(twin), sign_up(twin, headers=FREE)
    token = impersonate(twin, by, target)
    made = twin.post(KEYS, key=token, json=KEY, headers=without("impersonation:scope"))
    assert made.status_code == 201, made.text
    assert twin.request("DELETE", ACT, key=by.access).json()["success"] is True
    assert twin.get("/api/v1/tables", key=made.json()["key"]).status_code == 200


@pytest.mark.twin("impersonation:step-up")
def test_twin_without_both_doors_sets_a_factor_up_and_still_gets_no_session(twin: Server) -> None:
    """The second door (the step-up) holds where the first is gone; where both are, the factor is made, but the session is never raised."""
    token = impersonate(twin, supporter(twin), sign_up(twin, headers=FREE))
    assert twin.post(f"{ROOT}/setup", key=token, json={}, headers=without("impersonation:scope")).status_code == 403
    weak = without("impersonation:scope", "impersonation:step-up")
    made = twin.post(f"{ROOT}/setup", key=token, json={}, headers=weak)
    assert made.status_code == 200, made.text
    code = pyotp.TOTP(made.json()["totp"]["secret"]).now()
    raised = twin.post(f"{ROOT}/enable", key=token, json={"code": code}, headers=weak)
    assert raised.status_code >= 400
    assert "access_token" not in raised.text
