"""Administrators of the platform, and impersonation. The proof has no administrator's session and leaves none behind."""

from __future__ import annotations

from fluxbase.proof.call import NOBODY, SERVICE, USER, Call

ROOT = "/api/v1/admin"
ADMINS = f"{ROOT}/tenants/{{tenant}}/admins"
MEMBERS = f"{ROOT}/tenants/{{tenant}}/members"
ACT = "/api/v1/auth/impersonate"
_ADMIN_ONLY = "for an administrator's own session: every credential of a tenant is refused"
_NOBODY = "nothing is signed in: it would leave a session"
_HOME = "names users of the platform alone"

_INVITED = Call(
    "POST", f"{ROOT}/invitations", by=SERVICE, body={"email": "{fresh}@proof.invalid"}, status=(201,), shows="fresh",
    keep={"invitation": "id", "token": "token"},
)  # fmt: skip

CALLS: dict[str, tuple[Call, ...]] = {
    "platform.setup_status": (Call("GET", f"{ROOT}/setup/status", by=NOBODY, shows="", because="the same for everybody"),),
    "platform.setup": (
        Call(
            "POST",
            f"{ROOT}/setup",
            by=NOBODY,
            body={"email": "a@proof.invalid", "password": "{password}", "setup_token": "{new}"},
            status=(401, 403),
            shows="",
            because="set-up happens once",
        ),
    ),
    "platform.login": (
        Call(
            "POST",
            f"{ROOT}/login",
            by=NOBODY,
            body={"email": "a@proof.invalid", "password": "{new}"},
            status=(401,),
            shows="",
            because=_NOBODY,
        ),
    ),
    "platform.refresh": (
        Call("POST", f"{ROOT}/refresh", by=NOBODY, body={"refresh_token": "{new}"}, status=(401,), shows="", because=_NOBODY),
    ),
    "platform.logout": (Call("POST", f"{ROOT}/logout", by=SERVICE, status=(403,), shows="", because=_ADMIN_ONLY),),
    "platform.me": (Call("GET", f"{ROOT}/me", by=SERVICE, status=(403,), shows="", because=_ADMIN_ONLY),),
    "invitations.list": (Call("GET", f"{ROOT}/invitations", by=SERVICE, shows="fresh", before=(_INVITED,)),),
    "invitations.create": (_INVITED,),
    "invitations.delete": (
        Call(
            "DELETE",
            f"{ROOT}/invitations/{{invitation}}",
            by=SERVICE,
            status=(204,),
            shows="",
            because="answers without a body",
            before=(_INVITED,),
        ),
    ),
    "invitations.validate": (
        Call("GET", "/api/v1/invitations/{new}/validate", by=NOBODY, status=(404,), shows="", because="whoever has the token is meant"),
    ),
    "invitations.accept": (
        Call(
            "POST",
            "/api/v1/invitations/{new}/accept",
            by=NOBODY,
            body={"password": "{password}"},
            status=(404,),
            shows="",
            because="it would leave an administrator",
        ),
    ),
    "tenant_admins.list": (Call("GET", ADMINS, by=SERVICE, shows="", because=_HOME),),
    "tenant_admins.assign": (Call("POST", ADMINS, by=SERVICE, body={"user_id": "{new}"}, status=(404,), shows="", because=_HOME),),
    "tenant_members.list": (Call("GET", MEMBERS, by=SERVICE, shows="", because=_HOME),),
    "tenant_members.assign": (Call("POST", MEMBERS, by=SERVICE, body={"user_id": "{new}"}, status=(404,), shows="", because=_HOME),),
    "tenant_members.change": (
        Call("PATCH", f"{MEMBERS}/{{new}}", by=SERVICE, body={"role": "tenant_admin"}, status=(404,), shows="", because=_HOME),
    ),
    "tenant_members.unassign": (Call("DELETE", f"{MEMBERS}/{{new}}", by=SERVICE, status=(404,), shows="", because=_HOME),),
    "tenant_admins.unassign": (Call("DELETE", f"{ADMINS}/{{new}}", by=SERVICE, status=(404,), shows="", because=_HOME),),
    "impersonation.user": (
        Call("POST", ACT, by=USER, body={"target_user_id": "{row}", "reason": "proof"}, status=(403,), shows="", because=_ADMIN_ONLY),
    ),
    **{
        f"impersonation.{kind}": (
            Call("POST", f"{ACT}/{kind}", by=USER, body={"reason": "proof"}, status=(403,), shows="", because=_ADMIN_ONLY),
        )
        for kind in ("anon", "service")
    },
    "impersonation.stop": (Call("DELETE", ACT, by=USER, shows="", because="there is none to end"),),
    "impersonation.current": (Call("GET", ACT, by=USER, shows="", because="there is none"),),
    "impersonation.sessions": (Call("GET", f"{ACT}/sessions", by=SERVICE, shows="", because="empty until somebody impersonates"),),
}
