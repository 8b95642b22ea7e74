"""Roles, organisations and teams in policies: what a user holds is signed, acts on the next request, and opens nobody else's (B20, B30).

The rows are read through ``/rest/v1``; what users hold is changed through the administrators' routes.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.support.accounts import sign_up
from tests.support.server import Server
from tests.support.without import changed_function, replaced_by, without_trigger

CANARY = "ledger-canary"
SCHEMA = f"""
drop table if exists ledger, project;
create table ledger (id int primary key, secret text);
insert into ledger values (1, '{CANARY}');
create policy by_permission on ledger for select using ((select auth.has_permission('ledger:entries:read')));
create policy by_role on ledger for update using ((select auth.has_role('auditor')));
create table project (id int primary key, org uuid not null, secret text);
create policy members on project for select using (org = any ((select auth.org_ids())::uuid[]));
create policy writers on project for update using (auth.has_permission('project:rows:write', org));
"""
ADMIN = "/api/v1/admin"


def new_user() -> str:
    """An id nobody has."""
    return str(uuid.uuid4())


def give(server: Server, user: str, *permissions: str, role: str = "reader") -> None:
    """A tenant-wide role with these permissions, over HTTP."""
    assert server.request("PUT", f"{ADMIN}/roles/{role}", key="service", json={"permissions": list(permissions)}).status_code == 200
    assert server.request("PUT", f"{ADMIN}/users/{user}/roles/{role}", key="service").status_code == 200


def take(server: Server, user: str, role: str = "reader") -> None:
    """Take it back."""
    assert server.request("DELETE", f"{ADMIN}/users/{user}/roles/{role}", key="service").status_code == 200


def sees(server: Server, token: str, table: str = "ledger") -> bool:
    """Whether the canary reaches this caller."""
    return CANARY in server.get(f"/rest/v1/{table}", key=token).text


@pytest.fixture(scope="module")
def ruled(server: Server) -> Iterator[Server]:
    """Two tables with policies by permission, role and organisation."""
    server.sql(SCHEMA)
    yield server
    server.sql("drop table ledger, project")


@pytest.fixture(scope="module")
def ruled_twin(twin: Server) -> Iterator[Server]:
    """The same on the twin."""
    twin.sql(SCHEMA)
    yield twin
    twin.sql("drop table ledger, project")


def test_a_permission_opens_and_its_end_closes_on_the_next_request(ruled: Server) -> None:
    """One token all the time: nothing, then the rows, then nothing again; another user never sees them."""
    user, other = new_user(), ruled.token(new_user())
    token = ruled.token(user)
    assert not sees(ruled, token)
    give(ruled, user, "ledger:*:read")
    assert sees(ruled, token)
    assert not sees(ruled, other)
    take(ruled, user)
    assert not sees(ruled, token)


def test_a_change_of_the_role_itself_acts_on_the_next_request(ruled: Server) -> None:
    """Permissions added to and taken from a role count at once for everybody who has it, and so does its deletion."""
    user = new_user()
    token = ruled.token(user)
    give(ruled, user, "ledger:other:read", role="changing")
    assert not sees(ruled, token)
    give(ruled, user, "ledger:entries:read", role="changing")
    assert sees(ruled, token)
    give(ruled, user, role="changing")
    assert not sees(ruled, token)
    give(ruled, user, "ledger:entries:read", role="changing")
    assert sees(ruled, token)
    assert ruled.request("DELETE", f"{ADMIN}/roles/changing", key="service").status_code == 204
    assert not sees(ruled, token)


def test_a_role_is_asked_by_its_name(ruled: Server) -> None:
    """``auth.has_role``: the assigned role, or the token's own; anon and others update nothing."""
    user = new_user()
    give(ruled, user, "ledger:entries:read", role="auditor")
    for token, changed in ((ruled.token(user), 1), (ruled.token(new_user()), 0), (ruled.token(new_user(), role="moderator"), 0)):
        answer = ruled.request("PATCH", "/rest/v1/ledger?id=eq.1", key=token, json={"id": 1}, headers={"prefer": "count=exact"})
        assert answer.headers.get("content-range", "").endswith(f"/{changed}")


@pytest.mark.twin("trigger:move_claims")
def test_twin_without_the_epoch_keeps_what_was_taken(ruled_twin: Server) -> None:
    """Without the trigger the claims of a moment ago go on opening the table."""
    user = new_user()
    token = ruled_twin.token(user)
    give(ruled_twin, user, "ledger:entries:read")
    assert sees(ruled_twin, token)
    with without_trigger(ruled_twin, "auth.role_assignments", "move_claims"):
        take(ruled_twin, user)
        assert sees(ruled_twin, token)


@pytest.mark.twin("function:fluxbase.grants_of")
def test_twin_that_grants_everything_opens_the_table(ruled_twin: Server) -> None:
    """What somebody holds is what grants_of reads: answering "everything", it opens the table to a user of a harmless role."""
    honest, user = new_user(), new_user()
    for each in (honest, user):
        give(ruled_twin, each, "something:else:read", role="harmless")
    assert not sees(ruled_twin, ruled_twin.token(honest))
    everything = replaced_by(
        "return jsonb_build_object('epoch', (select e.epoch from auth.claims_epochs e where e.user_id = whose), 'roles', '[]'::jsonb, "
        "'orgs', '{}'::jsonb, 'permissions', jsonb_build_array('*:*:*'));"
    )
    with changed_function(ruled_twin, "fluxbase.grants_of", lambda text: everything(text.replace("LANGUAGE sql", "LANGUAGE plpgsql"))):
        assert sees(ruled_twin, ruled_twin.token(user))


def test_grants_in_a_token_or_a_setting_are_nobodys(ruled: Server) -> None:
    """A token whose claims say "grants" opens nothing: they are written by the server alone, and SQL cannot forge them."""
    grants = {"roles": ["auditor"], "permissions": ["*:*:*"], "orgs": {}}
    assert not sees(ruled, ruled.token(new_user(), grants=grants))


def organisation(server: Server, token: str) -> str:
    """A new one, owned by the caller."""
    answer = server.post("/api/v1/orgs", key=token, json={"slug": f"o{uuid.uuid4().hex[:20]}"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_members_see_their_organisations_rows_and_nobody_elses(ruled: Server) -> None:
    """Two organisations, two owners, a member that comes and goes: each sees exactly the rows of the own organisations."""
    (alice, bob, carol) = (new_user() for _ in range(3))
    tokens = {user: ruled.token(user) for user in (alice, bob, carol)}
    first, second = organisation(ruled, tokens[alice]), organisation(ruled, tokens[bob])
    ruled.sql(f"delete from project; insert into project values (1, '{first}', 'first'), (2, '{second}', 'second')")

    def rows(user: str) -> list[str]:
        return [row["secret"] for row in ruled.get("/rest/v1/project?select=secret&order=id", key=tokens[user]).json()]

    assert (rows(alice), rows(bob), rows(carol)) == (["first"], ["second"], [])
    assert ruled.post(f"/api/v1/orgs/{first}/members", key=tokens[alice], json={"user_id": carol}).status_code == 201
    assert rows(carol) == ["first"]
    assert ruled.request("DELETE", f"/api/v1/orgs/{first}/members/{carol}", key=tokens[alice]).status_code == 204
    assert (rows(carol), rows(alice)) == ([], ["first"])


def test_a_teams_role_holds_in_its_organisation_only(ruled: Server) -> None:
    """A member writes the rows of the organisation whose team he joined, not of the other he is in, and no more once out."""
    owner, writer = new_user(), new_user()
    boss, token = ruled.token(owner), ruled.token(writer)
    first, second = organisation(ruled, boss), organisation(ruled, boss)
    ruled.sql(f"delete from project; insert into project values (1, '{first}', 'first'), (2, '{second}', 'second')")
    assert ruled.request("PUT", f"{ADMIN}/roles/writer", key="service", json={"permissions": ["project:rows:write"]}).status_code == 200
    for org in (first, second):
        assert ruled.post(f"/api/v1/orgs/{org}/members", key=boss, json={"user_id": writer}).status_code == 201
    team = ruled.post(f"/api/v1/orgs/{first}/teams", key="service", json={"name": "writers", "role": "writer"}).json()["id"]

    def written() -> int:
        answer = ruled.request("PATCH", "/rest/v1/project?id=gt.0", key=token, json={"secret": "x"}, headers={"prefer": "count=exact"})
        return int(answer.headers["content-range"].rpartition("/")[2])

    member = f"/api/v1/orgs/{first}/teams/{team}/members/{writer}"
    assert written() == 0
    assert ruled.request("PUT", member, key="service").status_code == 204
    assert written() == 1
    assert ruled.request("DELETE", member, key="service").status_code == 204
    assert written() == 0


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None), ("PATCH", "", {"name": "taken over"}), ("DELETE", "", None), ("GET", "/members", None),
        ("POST", "/members", {"user_id": "{me}"}), ("PATCH", "/members/{owner}", {"role": None}), ("DELETE", "/members/{owner}", None),
        ("GET", "/teams", None), ("POST", "/teams", {"name": "mine"}), ("DELETE", "/teams/{team}", None),
        ("PUT", "/teams/{team}/members/{me}", None), ("DELETE", "/teams/{team}/members/{owner}", None),
    ],
)  # fmt: skip
def test_a_stranger_gets_the_same_404_as_for_nothing(ruled: Server, method: str, path: str, body: dict[str, str] | None) -> None:
    """Every route with an id, called with another's ids: byte for byte the answer for an organisation that is not there (B30)."""
    owner, me = new_user(), new_user()
    boss, token = ruled.token(owner), ruled.token(me)
    organisation(ruled, token)
    theirs = organisation(ruled, boss)
    team = ruled.post(f"/api/v1/orgs/{theirs}/teams", key=boss, json={"name": "team"}).json()["id"]
    names = {"me": me, "owner": owner, "team": team}
    sent = None if body is None else {key: value.format(**names) if isinstance(value, str) else value for key, value in body.items()}
    options = {} if sent is None else {"json": sent}

    def ask(org: str, key: str | None) -> tuple[int, dict[str, object]]:
        answer = ruled.request(method, f"/api/v1/orgs/{org}{path.format(**names)}", key=key, **options)
        return answer.status_code, {name: value for name, value in answer.json().items() if name != "request_id"}

    assert ask(theirs, token) == ask(new_user(), token)
    assert ask(theirs, token)[0] == 404
    assert (ask(theirs, "anon")[0], ask(theirs, None)[0]) == (404, 401)
    assert ruled.get(f"/api/v1/orgs/{theirs}", key=boss).json()["name"] != "taken over"
    assert [row["user_id"] for row in ruled.get(f"/api/v1/orgs/{theirs}/members", key=boss).json()["members"]] == [owner]


def test_nobody_gives_more_than_he_holds(ruled: Server) -> None:
    """An organisation's admin makes no owner, a member nothing at all; the last owner stays; a tenant's role giver gives only his own."""
    owner, admin, member = new_user(), new_user(), new_user()
    boss, helper, low = (ruled.token(user) for user in (owner, admin, member))
    org = organisation(ruled, boss)
    for user, role in ((admin, "admin"), (member, None)):
        assert ruled.post(f"/api/v1/orgs/{org}/members", key=boss, json={"user_id": user, "role": role}).status_code == 201
    members = f"/api/v1/orgs/{org}/members"
    assert ruled.request("PATCH", f"{members}/{admin}", key=helper, json={"role": "owner"}).status_code == 403
    assert ruled.request("PATCH", f"{members}/{owner}", key=helper, json={"role": None}).status_code == 403
    assert ruled.request("PATCH", f"{members}/{member}", key=low, json={"role": "admin"}).status_code == 403
    assert ruled.request("DELETE", f"{members}/{owner}", key=boss).status_code == 409
    assert ruled.request("PATCH", f"{members}/{member}", key=helper, json={"role": "admin"}).status_code == 200
    give(ruled, admin, "auth:roles:*", "ledger:entries:read", role="role-giver")
    assert ruled.request("PUT", f"{ADMIN}/roles/little", key=helper, json={"permissions": ["ledger:entries:read"]}).status_code == 200
    assert ruled.request("PUT", f"{ADMIN}/roles/much", key=helper, json={"permissions": ["ledger:*:read"]}).status_code == 403
    assert ruled.request("PUT", f"{ADMIN}/users/{admin}/roles/owner", key=helper).status_code == 403
    assert ruled.request("PUT", f"{ADMIN}/roles/little", key=low, json={"permissions": []}).status_code == 403
    take(ruled, admin, "role-giver")
    assert ruled.request("PUT", f"{ADMIN}/roles/little", key=helper, json={"permissions": []}).status_code == 403


@pytest.mark.parametrize("is_soft", [False, True])
def test_who_is_deleted_holds_nothing_and_is_in_nothing(ruled: Server, *, is_soft: bool) -> None:
    """Role, organisation and team forget a deleted user at once, softly deleted or for good; his token is refused."""
    account = sign_up(ruled)
    give(ruled, account.id, "ledger:entries:read")
    org = ruled.post("/api/v1/orgs", key="service", json={"slug": f"o{account.id}", "owner_id": account.id}).json()["id"]
    team = ruled.post(f"/api/v1/orgs/{org}/teams", key="service", json={"name": "all"}).json()["id"]
    assert ruled.request("PUT", f"/api/v1/orgs/{org}/teams/{team}/members/{account.id}", key="service").status_code == 204
    assert ruled.get(f"/api/v1/orgs/{org}/members", key="service").json()["members"][0]["user_id"] == account.id
    gone = ruled.request("DELETE", f"/auth/v1/admin/users/{account.id}", key="service", json={"should_soft_delete": is_soft})
    assert gone.status_code == 200, gone.text
    assert ruled.get(f"{ADMIN}/users/{account.id}/roles", key="service").json() == {"roles": []}
    assert ruled.get(f"/api/v1/orgs/{org}/members", key="service").json() == {"members": []}
    assert ruled.root_sql(f"select count(*) from auth.team_members where user_id = '{account.id}'") == [(0,)]
    assert ruled.get("/rest/v1/ledger", key=account.access).status_code == 401


def test_another_tenants_roles_are_not_ours(ruled: Server) -> None:
    """A user id that holds a role in one tenant holds nothing under the same id in another, in shared rows too."""
    from tests.support.tenant import make_tenant

    user = new_user()
    give(ruled, user, "*:*:*", role="everything")
    for slug, isolation in (("rbac-own", "database"), ("rbac-row", "row"), ("rbac-row-two", "row")):
        tenant = make_tenant(ruled, slug, isolation)
        token = ruled.token(user, tenant=slug)
        assert ruled.get(f"{ADMIN}/roles", key=token).status_code == 403
        assert ruled.get(f"{ADMIN}/roles", key=str(tenant.keys["service_key"])).json() == {"roles": []}
        assert ruled.get("/api/v1/orgs", key=token).json() == {"organisations": []}
        if slug == "rbac-row":
            assert (
                ruled.request(
                    "PUT", f"{ADMIN}/roles/mine", key=str(tenant.keys["service_key"]), json={"permissions": ["*:*:*"]}
                ).status_code
                == 200
            )
            assert ruled.request("PUT", f"{ADMIN}/users/{user}/roles/mine", key=str(tenant.keys["service_key"])).status_code == 200
            assert ruled.get(f"{ADMIN}/roles", key=token).status_code == 200


@pytest.mark.parametrize(
    "body", [{"permissions": ["x"]}, {"permissions": ["a:b:c\n"]}, {"permissions": ["a:b:.*"]}, {"permissions": 7}, {"more": 1}, []]
)
def test_bad_roles_are_refused_whole(ruled: Server, body: object) -> None:
    """A permission that is none, a wrong type, an unknown member: 400, and no role is made."""
    assert ruled.request("PUT", f"{ADMIN}/roles/bad", key="service", json=body).status_code == 400
    assert ruled.request("PUT", f"{ADMIN}/roles/service_role", key="service", json={}).status_code == 400
    assert "bad" not in {role["name"] for role in ruled.get(f"{ADMIN}/roles", key="service").json()["roles"]}


def test_nobody_owns_no_organisation(ruled: Server) -> None:
    """An owner whom an administrator names must be an account: else a clear 404 and nothing is written, for an id that a later account might get."""
    gone, owner = sign_up(ruled), sign_up(ruled)
    assert ruled.request("DELETE", f"/auth/v1/admin/users/{gone.id}", key="service", json={"should_soft_delete": True}).status_code == 200
    before = ruled.root_sql("select (select count(*) from auth.organisations), (select count(*) from auth.memberships)")
    for who in (new_user(), gone.id):
        answer = ruled.post("/api/v1/orgs", key="service", json={"slug": f"of-{who}", "owner_id": who})
        assert (answer.status_code, answer.json()["error"]) == (404, "No such user.")
        assert "owner_id" in answer.json()["hint"]
    assert ruled.post("/api/v1/orgs", key="service", json={"slug": "x", "owner_id": "nobody"}).status_code == 400
    assert ruled.root_sql("select (select count(*) from auth.organisations), (select count(*) from auth.memberships)") == before
    made = ruled.post("/api/v1/orgs", key="service", json={"slug": f"of-{owner.id}", "owner_id": owner.id})
    assert made.status_code == 201, made.text
    assert [each["slug"] for each in ruled.get("/api/v1/orgs", key=owner.access).json()["organisations"]] == [f"of-{owner.id}"]
