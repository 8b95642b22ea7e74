"""Platform administrators: set-up once, entry into the tenants they have and no other, and an end that acts at once (A4, A5, B20, B30)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.parallel import PARALLEL, at_once, statuses
from tests.support.server import start_server
from tests.support.tenant import TenantHandle, make_tenant

ADMIN = "/api/v1/admin"
PASSWORD = "violet otter climbs a ladder"
CANARY = "platform-canary"


class Instance:
    """A server with its first administrator, two tenants with a canary each, and an administrator of the first."""

    def __init__(self) -> None:
        self.server = start_server(is_twin=True)
        self.setup_token = re.findall(r"set-up token +(\S+)", self.server.log)[-1]
        answer = self.set_up(self.setup_token)
        assert answer.status_code == 201, answer.text
        self.root: dict[str, Any] = answer.json()
        self.acme, self.other = (make_tenant(self.server, slug) for slug in ("acme", "other"))
        for tenant in (self.acme, self.other):
            tenant.sql("set role fluxbase_owner; create table secret (id int primary key, text text)")
            tenant.sql(f"insert into secret values (1, '{CANARY} {tenant.id}')")
        invited = self.invite("boss@acme.example", self.acme)
        accepted = self.server.post(f"/api/v1/invitations/{invited['token']}/accept", key=None, json={"password": PASSWORD, "name": "Boss"})
        assert accepted.status_code == 201, accepted.text
        self.boss: dict[str, Any] = accepted.json()

    def set_up(self, token: str) -> Any:
        """Ask for the first administrator."""
        body = {"email": "root@example.com", "password": PASSWORD, "name": "Root", "setup_token": token}
        return self.server.post(f"{ADMIN}/setup", key=None, json=body)

    def invite(self, email: str, tenant: TenantHandle) -> dict[str, Any]:
        """An invitation of a tenant's administrator."""
        headers = {"x-fb-tenant": tenant.id}
        answer = self.server.post(f"{ADMIN}/invitations", key=self.root["access_token"], headers=headers, json={"email": email})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def sign_in(self, email: str) -> dict[str, Any]:
        """A new session."""
        answer = self.server.post(f"{ADMIN}/login", key=None, json={"email": email, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def read(self, token: str, tenant: TenantHandle | None) -> Any:
        """Rows of a tenant, by an administrator."""
        headers = {} if tenant is None else {"x-fb-tenant": tenant.id}
        return self.server.get("/rest/v1/secret", key=token, headers=headers)


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    """One for this file."""
    made = Instance()
    yield made
    made.server.stop()


def test_set_up_happens_once(instance: Instance) -> None:
    """The token of the first start made the first administrator; it, another and none at all make no second, and the next start prints none."""
    assert instance.set_up(instance.setup_token).status_code == 403
    assert instance.set_up("fb_st_guessed").status_code == 403
    status = instance.server.get(f"{ADMIN}/setup/status", key=None)
    assert status.json() == {"needs_setup": False, "has_admin": True}
    me = instance.server.get(f"{ADMIN}/me", key=instance.root["access_token"]).json()["user"]
    assert (me["email"], me["role"], me["name"]) == ("root@example.com", "instance_admin", "Root")


@pytest.mark.twin("platform:setup-token")
def test_a_guessed_token_makes_nobody_and_two_hundred_at_once_make_one() -> None:
    """Before set-up: a wrong token is 401 (201 at the twin that takes any); the right one redeemed in parallel gives one administrator."""
    server = start_server(is_twin=True)
    try:
        token = re.findall(r"set-up token +(\S+)", server.log)[-1]

        def ask(number: int, secret: str = token, without: str = "") -> int:
            body = {"email": f"root{number}@example.com", "password": PASSWORD, "setup_token": secret}
            return server.post(f"{ADMIN}/setup", key=None, json=body, headers={"x-twin-without": without}).status_code

        assert ask(0, "fb_st_guessed") == 401
        assert ask(0, "fb_st_guessed", "platform:setup-token") == 201
        server.root_sql("delete from auth.users where email = 'root0@example.com'")
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(ask, range(1, 201)))
        assert answers.count(201) == 1
        assert set(answers) <= {201, 401, 403, 503}
        assert server.root_sql("select count(*) from auth.users where role = 'instance_admin'") == [(1,)]
    finally:
        server.stop()


def test_an_instance_administrator_enters_every_tenant(instance: Instance) -> None:
    """By header, through a row minted there; without one he is in the default tenant and administers the register."""
    token = instance.root["access_token"]
    for tenant in (instance.acme, instance.other):
        assert [row["text"] for row in instance.read(token, tenant).json()] == [f"{CANARY} {tenant.id}"]
        assert tenant.sql("select count(*) from auth.platform_entries where ended_at is null") == [(1,)]
    slugs = {row["slug"] for row in instance.server.get(f"{ADMIN}/tenants", key=token).json()}
    assert {"default", "acme", "other"} <= slugs


def test_a_tenants_administrator_enters_his_own_only(instance: Instance) -> None:
    """Another tenant is 404 as one that is not there; the register, other tenants' administrators and invitations are closed."""
    boss, server = instance.boss["access_token"], instance.server
    assert [row["text"] for row in instance.read(boss, instance.acme).json()] == [f"{CANARY} {instance.acme.id}"]
    foreign = instance.read(boss, instance.other)
    absent = server.get("/rest/v1/secret", key=boss, headers={"x-fb-tenant": str(uuid.uuid4())})
    assert (foreign.status_code, absent.status_code, CANARY in foreign.text) == (404, 404, False)
    assert foreign.json() == absent.json()
    assert instance.read(boss, None).status_code == 403
    assert [row["slug"] for row in server.get(f"{ADMIN}/tenants/mine", key=boss).json()] == ["acme"]
    for headers in ({}, {"x-fb-tenant": instance.acme.id}):
        for method, path, body in (
            ("GET", "/tenants", None), ("POST", "/tenants", {"slug": "mine"}), ("DELETE", "/tenants/other", None), ("POST", "/tenants/acme/freeze", {}),
            ("GET", "/status", None), ("POST", "/invitations", {"email": "x@example.com", "role": "instance_admin"}),
        ):  # fmt: skip
            answer = server.request(method, ADMIN + path, key=boss, headers=headers, **({} if body is None else {"json": body}))
            assert answer.status_code == 403, (method, path, answer.text)
        root = instance.root["user"]["id"]
        for method, path in (("GET", "/admins"), ("POST", "/admins"), ("DELETE", f"/admins/{root}")):
            options = {"json": {"user_id": instance.boss["user"]["id"]}} if method == "POST" else {}
            assert (
                server.request(method, f"{ADMIN}/tenants/{instance.other.id}{path}", key=boss, headers=headers, **options).status_code
                == 404
            )


def test_an_assigned_administrator_reads_and_renames_his_tenant(instance: Instance) -> None:
    """With and without naming it; another tenant is 404 as one that is not there, and stays as it is; members are its administrators."""
    server, boss = instance.server, instance.boss["access_token"]
    for headers in ({}, {"x-fb-tenant": instance.acme.id}):
        path = f"{ADMIN}/tenants/{instance.acme.id}"
        assert server.get(path, key=boss, headers=headers).json()["slug"] == "acme"
        changed = server.request("PATCH", path, key=boss, headers=headers, json={"metadata": {"by": "boss"}})
        assert (changed.status_code, changed.json()["metadata"]) == (200, {"by": "boss"})
        for other in (instance.other.id, "default", str(uuid.uuid4())):
            for method in ("GET", "PATCH"):
                answer = server.request(method, f"{ADMIN}/tenants/{other}", key=boss, headers=headers, json={"name": "Taken"})
                assert (answer.status_code, answer.json()["error"]) == (404, "No such tenant.")
        members = server.get(f"{path}/members", key=boss, headers=headers).json()
        assert (instance.boss["user"]["id"], "tenant_admin") in [(row["user_id"], row["role"]) for row in members]
        one = f"{path}/members/{instance.boss['user']['id']}"
        assert server.request("PATCH", one, key=boss, headers=headers, json={"role": "tenant_admin"}).status_code == 200
        assert server.request("PATCH", one, key=boss, headers=headers, json={"role": "instance_admin"}).status_code == 400
        assert server.request("PATCH", f"{path}/members/{uuid.uuid4()}", key=boss, json={"role": "tenant_admin"}).status_code == 404
    names = instance.server.root_sql("select name from platform.tenants where name = 'Taken'")
    assert names == []


def test_administrators_of_a_tenant_come_and_go(instance: Instance) -> None:
    """Assigned and unassigned by whoever administers the tenant; a taken assignment acts on the next request of a living session."""
    server, root, other = instance.server, instance.root["access_token"], instance.other
    user = instance.boss["user"]["id"]
    path = f"{ADMIN}/tenants/{other.slug if hasattr(other, 'slug') else other.id}/admins"
    assert server.post(path, key=root, json={"user_id": user}).status_code == 201
    assert instance.read(instance.boss["access_token"], other).status_code == 200
    assert [row["user_id"] for row in server.get(path, key=root).json()] == [user]
    assert server.request("DELETE", f"{path}/{user}", key=root).status_code == 204
    assert instance.read(instance.boss["access_token"], other).status_code == 404
    assert server.request("DELETE", f"{path}/{user}", key=root).status_code == 404
    assert server.post(path, key=root, json={"user_id": str(uuid.uuid4())}).status_code == 404
    assert server.get(path, key=str(instance.acme.keys["service_key"])).status_code == 404
    assert server.get(path, key=str(other.keys["service_key"])).status_code == 200
    assert server.get(path, key=str(other.keys["anon_key"])).status_code == 404


@pytest.mark.parametrize("end", ["logout", "ban", "entry"])
def test_the_end_of_a_session_acts_in_every_tenant(instance: Instance, end: str) -> None:
    """Signed out, banned, or put out of the tenant by its own row: refused there on the next request; other sessions go on."""
    session = instance.sign_in("boss@acme.example")
    token = session["access_token"]
    assert [instance.read(token, instance.acme).status_code for _ in range(2)] == [200, 200]
    if end == "logout":
        assert instance.server.post(f"{ADMIN}/logout", key=token).status_code == 200
        refreshed = instance.server.post(f"{ADMIN}/refresh", key=None, json={"refresh_token": session["refresh_token"]})
        assert refreshed.status_code == 401
    elif end == "ban":
        instance.server.root_sql("update auth.users set banned_until = now() + interval '1 hour' where email = 'boss@acme.example'")
    else:
        instance.acme.sql(
            "update auth.platform_entries set ended_at = now() where id = (select id from auth.platform_entries order by started_at desc limit 1)"
        )
    try:
        assert instance.read(token, instance.acme).status_code == 401
        if end == "ban":
            assert instance.server.get(f"{ADMIN}/me", key=token).status_code == 401
        elif end == "entry":
            assert instance.server.get(f"{ADMIN}/me", key=token).status_code == 200
        assert instance.read(instance.root["access_token"], instance.acme).status_code == 200
    finally:
        instance.server.root_sql("update auth.users set banned_until = null where email = 'boss@acme.example'")


def test_nobody_else_is_an_administrator(instance: Instance) -> None:
    """Tokens of applications that name the role, a user of the same address, tokens of the administrators' own tenant by other ways: none enters."""
    server = instance.server
    user = str(uuid.uuid4())
    forged = [server.token(user, role="instance_admin"), server.token(user, role="tenant_admin", platform_role="instance_admin"),
              server.token(instance.root["user"]["id"], role="instance_admin", tenant="acme")]  # fmt: skip
    for token in (*forged, "anon"):
        for path in ("/me", "/tenants", "/invitations", "/status", "/tenants/mine"):
            assert server.get(ADMIN + path, key=token).status_code in {401, 403}
    assert server.get("/rest/v1/secret", key=forged[0], headers={"x-fb-tenant": instance.acme.id}).status_code == 404
    home = instance.server.root_sql("select distinct tenant_id::text from auth.users where role = 'instance_admin'")[0][0]
    assert server.get("/rest/v1/secret", key="service", headers={"x-fb-tenant": home}).status_code == 404
    assert server.post("/api/v1/auth/signin", key=None, json={"email": "root@example.com", "password": PASSWORD}).status_code == 401
    for path in ("/api/v1/auth/user", "/api/v1/orgs", "/api/v1/client-keys", "/rest/v1/secret"):
        assert server.get(path, key=instance.boss["access_token"]).status_code == 403


def test_an_invitation_is_accepted_once_and_only_while_it_holds(instance: Instance) -> None:
    """Two hundred at once make one account; used, withdrawn, expired and unknown tokens get the same 404; its token is stored nowhere."""
    server, root = instance.server, instance.root["access_token"]
    invited = instance.invite("many@acme.example", instance.acme)

    def accept(token: str) -> Any:
        return server.post(f"/api/v1/invitations/{token}/accept", key=None, json={"password": PASSWORD})

    assert server.get(f"/api/v1/invitations/{invited['token']}/validate", key=None).json()["email"] == "many@acme.example"
    assert server.post(f"/api/v1/invitations/{invited['token']}/accept", key=None, json={"password": "short"}).status_code == 400
    answers = statuses(at_once(server, "POST", f"/api/v1/invitations/{invited['token']}/accept", json={"password": PASSWORD}))
    assert (len(answers), answers.count(201)) == (PARALLEL, 1)
    assert set(answers) == {201, 404}
    withdrawn, expired = instance.invite("a@acme.example", instance.acme), instance.invite("b@acme.example", instance.acme)
    boss = {"key": instance.boss["access_token"], "headers": {"x-fb-tenant": instance.acme.id}}
    assert server.request("DELETE", f"{ADMIN}/invitations/{withdrawn['id']}", **boss).status_code == 204
    server.root_sql(f"update platform.invitations set expires_at = now() where id = '{expired['id']}'")
    texts = [accept(token) for token in (invited["token"], withdrawn["token"], expired["token"], "fb_in_unknown")]
    assert [answer.status_code for answer in texts] == [404] * 4
    assert len({answer.json()["error"] for answer in texts}) == 1
    assert invited["token"] not in server.root_sql("select string_agg(i::text, ' ') from platform.invitations i")[0][0]
    foreign = server.post(
        f"{ADMIN}/invitations", key=root, headers={"x-fb-tenant": instance.other.id}, json={"email": "c@other.example"}
    ).json()
    assert server.request("DELETE", f"{ADMIN}/invitations/{foreign['id']}", **boss).status_code == 404
    assert "c@other.example" not in server.get(f"{ADMIN}/invitations", **boss).text


def test_an_invitation_for_a_taken_address_changes_nobody(instance: Instance) -> None:
    """Who has an account keeps it as it is, password and tenants; the invitation is refused, stays unused, and signs nobody in."""
    server, email = instance.server, "twice@acme.example"
    first, second = instance.invite(email, instance.acme), instance.invite(email, instance.other)

    def accept(token: str, password: str) -> Any:
        return server.post(f"/api/v1/invitations/{token}/accept", key=None, json={"password": password, "name": "Mallory"})

    def account() -> list[tuple[Any, ...]]:
        return server.root_sql(
            f"select u.encrypted_password, u.role, u.raw_user_meta_data, u.epoch, (select count(*) from platform.tenant_admins a "
            f"where a.user_id = u.id) from auth.users u where u.email = '{email}'"
        )

    assert accept(first["token"], PASSWORD).status_code == 201
    before = account()
    refused = accept(second["token"], "copper lantern 58 fog")
    assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_INPUT")
    assert "access_token" not in refused.text
    assert account() == before
    assert server.root_sql(f"select accepted_at from platform.invitations where id = '{second['id']}'") == [(None,)]


@pytest.mark.twin("platform:invitation-once")
def test_twin_of_an_invitation_that_is_not_used_up(instance: Instance) -> None:
    """An administrator who was removed does not come back with his old invitation, but where accepting does not use it up."""
    server, invited = instance.server, instance.invite("gone@acme.example", instance.acme)

    def accept(without: str = "") -> int:
        server.root_sql("delete from auth.users where email = 'gone@acme.example'")
        path = f"/api/v1/invitations/{invited['token']}/accept"
        return server.post(path, key=None, json={"password": PASSWORD}, headers={"x-twin-without": without}).status_code

    assert [accept("platform:invitation-once"), accept("platform:invitation-once")] == [201, 201]
    assert [accept(), accept()] == [201, 404]


@pytest.mark.twin("platform:assignment", "platform:session")
def test_twins_of_the_way_into_a_tenant(instance: Instance) -> None:
    """Without the look at assignments a tenant's administrator reads his neighbour; without the look at the session a signed-out one goes on."""
    server, boss = instance.server, instance.sign_in("boss@acme.example")["access_token"]

    def read(tenant: TenantHandle, without: str = "") -> Any:
        return server.get("/rest/v1/secret", key=boss, headers={"x-fb-tenant": tenant.id, "x-twin-without": without})

    assert read(instance.other).status_code == 404
    assert CANARY in read(instance.other, "platform:assignment").text
    assert server.post(f"{ADMIN}/logout", key=boss).status_code == 200
    assert read(instance.acme).status_code == 401
    assert CANARY in read(instance.acme, "platform:session").text


ACT = "/api/v1/auth/impersonate"


def sign_up(instance: Instance, email: str, **app_metadata: Any) -> str:
    """A user of the first tenant."""
    key = str(instance.acme.keys["service_key"])
    answer = instance.server.post(
        f"{ADMIN}/users", key=key, json={"email": email, "password": PASSWORD, "email_confirm": True, **app_metadata}
    )
    if answer.status_code >= 400:
        answer = instance.server.post("/auth/v1/admin/users", key=key, json={"email": email, "password": PASSWORD, "email_confirm": True})
    assert answer.status_code in {200, 201}, answer.text
    found = answer.json()
    return str(found.get("id") or found["user"]["id"])


def test_an_impersonation_is_visible_and_ends(instance: Instance) -> None:
    """The token acts as the user, says who is behind it, changes no account, does not impersonate again, and is refused once ended."""
    server, user = instance.server, sign_up(instance, "target@acme.example")
    boss = {"key": instance.boss["access_token"], "headers": {"x-fb-tenant": instance.acme.id}}
    assert server.post(ACT, json={"target_user_id": user, "reason": " "}, **boss).status_code == 400
    assert server.post(ACT, json={"target_user_id": user}, **boss).status_code == 400
    started = server.post(ACT, json={"target_user_id": user, "reason": "ticket 7"}, **boss)
    assert started.status_code == 200, started.text
    token = started.json()["access_token"]
    assert server.get("/api/v1/auth/user", key=token).json()["id"] == user
    claims = instance.acme.sql(
        "set role fluxbase_owner; create or replace function who() returns jsonb language sql stable as 'select auth.jwt()'; select 1"
    )
    assert claims == [(1,)]
    assert server.post("/rest/v1/rpc/who", key=token).json()["impersonated_by"] == instance.boss["user"]["id"]
    assert server.request("PATCH", "/api/v1/auth/user", key=token, json={"password": "another violet otter here"}).status_code == 403
    assert server.post(ACT, key=token, json={"target_user_id": user, "reason": "again"}).status_code == 403
    assert server.get(ACT, **boss).json()["target_user"]["id"] == user
    assert server.request("DELETE", ACT, **boss).json()["success"] is True
    assert server.get("/api/v1/auth/user", key=token).status_code == 401
    assert server.post("/rest/v1/rpc/who", key=token).status_code == 401
    record = server.get(f"{ACT}/sessions", **boss).json()["sessions"][0]
    assert (record["reason"], record["target_user_id"], record["is_active"]) == ("ticket 7", user, False)
    actions = instance.acme.sql("select action from audit.entries where action like 'auth.impersonation%' order by id")
    assert actions == [("auth.impersonation.started",), ("auth.impersonation.ended",)]


def test_no_administrator_is_impersonated_and_nobody_else_impersonates(instance: Instance) -> None:
    """Whoever holds an administrating permission is refused as a target; users without the right, and keys, are refused; another tenant's user is not there."""
    server, key = instance.server, str(instance.acme.keys["service_key"])
    helper, target = sign_up(instance, "helper@acme.example"), sign_up(instance, "low@acme.example")
    boss = {"key": instance.boss["access_token"], "headers": {"x-fb-tenant": instance.acme.id}}
    for name, permissions in (("support", ["auth:impersonation:start"]), ("wide", ["*:*:*"]), ("reader", ["invoices:invoice:read"])):
        assert server.request("PUT", f"{ADMIN}/roles/{name}", key=key, json={"permissions": permissions}).status_code == 200
    token = server.token(helper, tenant="acme")
    ask = {"target_user_id": target, "reason": "test"}
    assert [server.post(ACT, key=each, json=ask).status_code for each in (token, key, str(instance.acme.keys["anon_key"]))] == [403] * 3
    assert server.request("PUT", f"{ADMIN}/users/{helper}/roles/support", key=key).status_code == 200
    assert server.post(ACT, key=token, json=ask).status_code == 200
    assert [server.post(f"{ACT}/{kind}", key=token, json={"reason": "test"}).status_code for kind in ("anon", "service")] == [403, 403]
    assert server.post(ACT, json={**ask, "target_user_id": helper}, **boss).status_code == 403
    assert server.request("PUT", f"{ADMIN}/users/{target}/roles/reader", key=key).status_code == 200
    assert server.post(ACT, key=token, json=ask).status_code == 200
    assert server.request("PUT", f"{ADMIN}/users/{target}/roles/wide", key=key).status_code == 200
    assert server.post(ACT, key=token, json=ask).status_code == 403
    for stranger in (str(uuid.uuid4()), instance.root["user"]["id"], instance.boss["user"]["id"]):
        assert server.post(ACT, json={**ask, "target_user_id": stranger}, **boss).status_code == 404
    anon = server.post(f"{ACT}/anon", json={"reason": "test"}, **boss).json()["access_token"]
    assert server.post("/rest/v1/rpc/who", key=anon).json()["role"] == "anon"
    assert server.get(f"{ADMIN}/roles", key=anon).status_code == 403
