"""What administrators do with accounts and sessions, of the application and of the platform (contract-native 1.1, 1.9, 1.10)."""

from __future__ import annotations

import uuid

import pytest

from tests.support.accounts import sign_up
from tests.support.administrator import ADMIN, DASHBOARD, PASSWORD, administrator, login
from tests.support.second_factor import FREE
from tests.support.server import Server

SESSIONS = f"{ADMIN}/auth/sessions"


def test_sessions_are_listed_and_end_at_once(twin: Server) -> None:
    """An administrator sees whose they are and ends one, or a user's all; the next request is refused, another's id is 404."""
    user = sign_up(twin, headers=FREE)
    other = user.again()
    listed = twin.get(f"{SESSIONS}?limit=1000", key="service").json()
    mine = [each["id"] for each in listed["sessions"] if each["user_id"] == user.id]
    assert (len(mine), listed["total"] >= 2) == (2, True)
    newest = next(each["id"] for each in twin.get("/api/v1/auth/sessions", key=other.access).json()["sessions"] if each["is_current"])
    assert twin.request("DELETE", f"{SESSIONS}/{newest}", key="service").status_code == 200
    assert [other.user().status_code, user.user().status_code] == [401, 200]
    for wrong in (newest, str(uuid.uuid4()), "x"):
        assert twin.request("DELETE", f"{SESSIONS}/{wrong}", key="service").status_code == 404
    assert twin.request("DELETE", f"{SESSIONS}/user/{user.id}", key="service").json()["sessions"] == 1
    assert user.user().status_code == 401


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", f"/{uuid.UUID(int=7)}"), ("DELETE", f"/user/{uuid.UUID(int=8)}")])
def test_only_administrators_see_sessions(twin: Server, method: str, path: str) -> None:
    """Neither the anon key nor a user."""
    user = sign_up(twin, headers=FREE)
    assert [twin.request(method, SESSIONS + path, key=key).status_code for key in ("anon", user.access)] == [403, 403]


def test_a_user_is_invited_and_his_password_reset(twin: Server) -> None:
    """201 and a mail each; a second invitation of a confirmed user is refused, and so is a redirect that is not configured."""
    email = f"{uuid.uuid4().hex}@example.test"
    made = twin.post(f"{ADMIN}/users/invite", key="service", json={"email": email, "user_metadata": {"a": 1}})
    assert (made.status_code, made.json()["user"]["email"]) == (201, email)
    assert twin.post(f"{ADMIN}/users/invite", key="service", json={"email": email, "redirect_to": "https://evil.test"}).status_code == 400
    user = sign_up(twin, headers=FREE)
    assert twin.post(f"{ADMIN}/users/{user.id}/reset-password", key="service").status_code == 200
    assert twin.post(f"{ADMIN}/users/{uuid.uuid4()}/reset-password", key="service").status_code == 404
    templates = [row[0] for row in twin.root_sql(f"select template from platform.mails where recipient in ('{email}', '{user.email}')")]
    assert sorted(templates) == ["invite", "recovery"]


def test_administrators_are_administered_by_those_of_the_instance(twin: Server) -> None:
    """type=dashboard: listed, read, given a role, freed of a lost second factor, reset, deleted; a service key and others are refused."""
    root, made = administrator(twin), administrator(twin)
    made.enrol()
    identity = made.id
    one = f"{ADMIN}/users/{identity}"
    calls = (("GET", f"{ADMIN}/users"), ("GET", one), ("PATCH", f"{one}/role"), ("POST", f"{one}/2fa/reset"), ("POST", f"{one}/reset-password"),
             ("POST", f"{ADMIN}/users/invite"), ("DELETE", one))  # fmt: skip
    body = {"role": "tenant_admin", "email": f"{uuid.uuid4().hex}@example.test"}
    for method, path in calls:
        assert twin.request(method, f"{path}?type=dashboard", key="service", json=body).status_code == 403, path
        assert twin.request(method, f"{path}?type=other", key="service", json=body).status_code in {400, 403}, path
    assert twin.get(one, key=root.access).status_code == 404
    found = twin.get(f"{one}?type=dashboard", key=root.access).json()
    assert (found["email"], found["totp_enabled"], found["role"]) == (made.email, True, "instance_admin")
    assert made.email in {each["email"] for each in twin.get(f"{ADMIN}/users?type=dashboard&limit=1000", key=root.access).json()["users"]}
    assert twin.post(f"{one}/2fa/reset?type=dashboard", key=root.access).status_code == 200
    assert "access_token" in login(twin, made.email).json()
    assert twin.post(f"{one}/reset-password?type=dashboard", key=root.access).status_code == 200
    invited = twin.post(f"{ADMIN}/users/invite?type=dashboard", key=root.access, json={"email": body["email"], "role": "tenant_admin"})
    assert (invited.status_code, invited.json()["token"][:6]) == (201, "fb_in_")
    assert twin.request("PATCH", f"{one}/role?type=dashboard", key=root.access, json={"role": "authenticated"}).status_code == 400
    changed = twin.request("PATCH", f"{one}/role?type=dashboard", key=root.access, json={"role": "tenant_admin"})
    assert changed.json()["role"] == "tenant_admin"
    again = login(twin, made.email).json()["access_token"]
    assert twin.get(f"{ADMIN}/users?type=dashboard", key=again).status_code == 403
    assert twin.request("DELETE", f"{one}?type=dashboard", key=root.access).status_code == 200
    assert twin.get(f"{ADMIN}/me", key=again).status_code == 401


def test_the_last_administrator_stays(twin: Server) -> None:
    """He is neither deleted, nor lowered, nor does he close his own account: somebody must be able to let others in."""
    root = administrator(twin)
    twin.root_sql(f"update auth.users set role = 'tenant_admin' where role = 'instance_admin' and email <> '{root.email}'")
    try:
        one, password = f"{ADMIN}/users/{root.id}", {"password": PASSWORD}
        answers = [
            twin.request("DELETE", f"{one}?type=dashboard", key=root.access),
            twin.request("PATCH", f"{one}/role?type=dashboard", key=root.access, json={"role": "tenant_admin"}),
            twin.request("DELETE", f"{DASHBOARD}/account", key=root.access, json=password),
        ]
        assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(409, "CONFLICT")] * 3
    finally:
        twin.root_sql("update auth.users set role = 'instance_admin' where role = 'tenant_admin'")


def test_a_sign_in_page_learns_what_it_needs(twin: Server) -> None:
    """The SDK's getAuthConfig: ways in and the rule of passwords, with an expired token or none."""
    found = twin.get("/api/v1/auth/config", key="expired.token.x")
    assert found.status_code == 200
    told = found.json()
    assert (told["signup_enabled"], told["password_min_length"], told["mfa_available"], told["captcha"]) == (
        True,
        12,
        True,
        {"enabled": False},
    )
    assert told["password_require_uppercase"] is False
    assert (told["oauth_providers"], told["saml_providers"]) == ([], [])


def test_the_way_back_from_a_providers_logout_leads_nowhere_else(twin: Server) -> None:
    """An unknown provider is refused; single logout by form is an answer, never a request (whose signature stands in an address)."""
    assert twin.get("/api/v1/auth/oauth/google/logout/callback?redirect_url=https://evil.test", key=None).status_code == 400
    assert twin.post("/api/v1/auth/saml/slo", key=None, data={"SAMLRequest": "x"}).status_code == 400
    answered = twin.post("/api/v1/auth/saml/slo", key=None, data={"SAMLResponse": "x"}, follow_redirects=False)
    assert (answered.status_code, answered.headers["location"]) == (303, twin.url)
