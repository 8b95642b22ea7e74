"""Roles, organisations and teams: each call makes what it needs first, named after the canary."""

from __future__ import annotations

from fluxbase.proof.call import SERVICE, Call

ROLES = "/api/v1/admin/roles"
OF_USER = "/api/v1/admin/users/{new}/roles"
ORGS = "/api/v1/orgs"
ONE = f"{ORGS}/{{org}}"
_GONE = "answers without a body"

_ROLE = Call("PUT", f"{ROLES}/fluxbase-proof", by=SERVICE, body={"description": "{canary}"})
_GIVEN = Call("PUT", f"{OF_USER}/fluxbase-proof", by=SERVICE, shows="", because="names roles alone", before=(_ROLE,))
_ORG = Call("POST", ORGS, by=SERVICE, body={"slug": "{fresh}", "name": "{canary}"}, status=(201,), keep={"org": "id"})
_MEMBER = Call("POST", f"{ONE}/members", by=SERVICE, body={"user_id": "{row}"}, status=(201,), shows="row", before=(_ORG,))
_TEAM = Call("POST", f"{ONE}/teams", by=SERVICE, body={"name": "{canary}"}, status=(201,), before=(_ORG,), keep={"team": "id"})
_TEAM_AND_MEMBER = (_ORG, _TEAM, _MEMBER)
_JOINED = Call("PUT", f"{ONE}/teams/{{team}}/members/{{row}}", by=SERVICE, status=(204,), shows="", because=_GONE, before=_TEAM_AND_MEMBER)

CALLS: dict[str, tuple[Call, ...]] = {
    "roles.list": (Call("GET", ROLES, by=SERVICE, before=(_ROLE,)),),
    "roles.put": (_ROLE,),
    "roles.delete": (Call("DELETE", f"{ROLES}/fluxbase-proof", by=SERVICE, status=(204,), shows="", because=_GONE, before=(_ROLE,)),),
    "roles.of_user": (Call("GET", OF_USER, by=SERVICE, shows="", because="names roles alone", before=(_ROLE, _GIVEN)),),
    "roles.assign": (_GIVEN,),
    "roles.unassign": (
        Call("DELETE", f"{OF_USER}/fluxbase-proof", by=SERVICE, shows="", because="names roles alone", before=(_ROLE, _GIVEN)),
    ),
    "orgs.list": (Call("GET", ORGS, by=SERVICE, before=(_ORG,)),),
    "orgs.create": (_ORG,),
    "orgs.get": (Call("GET", ONE, by=SERVICE, before=(_ORG,)),),
    "orgs.update": (Call("PATCH", ONE, by=SERVICE, body={"name": "{canary}"}, before=(_ORG,)),),
    "orgs.delete": (Call("DELETE", ONE, by=SERVICE, status=(204,), shows="", because=_GONE, before=(_ORG,)),),
    "orgs.members": (Call("GET", f"{ONE}/members", by=SERVICE, shows="row", before=(_ORG, _MEMBER)),),
    "orgs.add_member": (_MEMBER,),
    "orgs.change_member": (
        Call("PATCH", f"{ONE}/members/{{row}}", by=SERVICE, body={"role": "admin"}, shows="row", before=(_ORG, _MEMBER)),
    ),
    "orgs.remove_member": (
        Call("DELETE", f"{ONE}/members/{{row}}", by=SERVICE, status=(204,), shows="", because=_GONE, before=(_ORG, _MEMBER)),
    ),
    "orgs.teams": (Call("GET", f"{ONE}/teams", by=SERVICE, before=(_ORG, _TEAM)),),
    "orgs.create_team": (_TEAM,),
    "orgs.delete_team": (
        Call("DELETE", f"{ONE}/teams/{{team}}", by=SERVICE, status=(204,), shows="", because=_GONE, before=(_ORG, _TEAM)),
    ),
    "orgs.join_team": (_JOINED,),
    "orgs.leave_team": (
        Call(
            "DELETE",
            f"{ONE}/teams/{{team}}/members/{{row}}",
            by=SERVICE,
            status=(204,),
            shows="",
            because=_GONE,
            before=(*_TEAM_AND_MEMBER, _JOINED),
        ),
    ),
}
