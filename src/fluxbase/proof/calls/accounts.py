"""Accounts and sessions: the planted user carries the canary in its metadata; verbs that would hurt it work on one made for the call."""

from __future__ import annotations

from fluxbase.proof.call import NOBODY, SERVICE, USER, Call

AUTH = "/api/v1/auth"
GOTRUE = "/auth/v1"
NATIVE_USERS = "/api/v1/admin/users"
GOTRUE_USERS = f"{GOTRUE}/admin/users"
_NEW = "a new account"
PASSWORD = "violet tunnel 93 cup"  # noqa: S105 - of accounts that the proof makes and removes
_FRESH = {"email": "{fresh}@proof.invalid", "password": PASSWORD}
_BARE = {"email": "{fresh}@proof.invalid"}
"""Without a password, which would cost a hash each time."""
_OWN = {"email": "{canary}@proof.invalid", "password": PASSWORD}
_SIGNED_IN = Call("POST", f"{AUTH}/signin", by=NOBODY, body=_OWN, keep={"refresh": "refresh_token"})
_MADE = Call("POST", GOTRUE_USERS, by=SERVICE, body=_BARE, shows="", because=_NEW, keep={"made": "id"})
_REFRESH = {"refresh_token": "{refresh}"}
_NO_SESSION = "the planted token has no session of its own"
_GONE = "answers without a body"
_MENDED = {"user_metadata": {"proof": "{canary}"}}

CALLS: dict[str, tuple[Call, ...]] = {
    "auth.signup.post": (Call("POST", f"{AUTH}/signup", by=NOBODY, body=_FRESH, status=(201,), shows="", because=_NEW),),
    "auth.signin.post": (_SIGNED_IN,),
    "auth.signin.anonymous.post": (
        Call("POST", f"{AUTH}/signin/anonymous", by=NOBODY, status=(201, 403), shows="", because="a new account, where they are allowed"),
    ),
    "auth.refresh.post": (
        Call("POST", f"{AUTH}/refresh", by=NOBODY, body=_REFRESH, shows="", because="tokens alone", before=(_SIGNED_IN,)),
    ),
    "auth.signout.post": (Call("POST", f"{AUTH}/signout", by=USER, body={"scope": "global"}, shows="", because="says how many ended"),),
    "auth.user.get": (Call("GET", f"{AUTH}/user", by=USER),),
    "auth.user.patch": (Call("PATCH", f"{AUTH}/user", by=USER, body=_MENDED),),
    "auth.sessions.get": (Call("GET", f"{AUTH}/sessions", by=USER, shows="", because="no session has the canary"),),
    "auth.sessions.{session}.delete": (Call("DELETE", f"{AUTH}/sessions/{{row}}", by=USER, status=(404,), shows="", because=_NO_SESSION),),
    "gotrue.signup.post": (Call("POST", f"{GOTRUE}/signup", by=NOBODY, body=_FRESH, shows="", because=_NEW),),
    "gotrue.token.post": (
        Call("POST", f"{GOTRUE}/token?grant_type=password", by=NOBODY, body=_OWN),
        Call("POST", f"{GOTRUE}/token?grant_type=refresh_token", by=NOBODY, body=_REFRESH, before=(_SIGNED_IN,)),
    ),
    "gotrue.user.get": (Call("GET", f"{GOTRUE}/user", by=USER),),
    "gotrue.user.put": (Call("PUT", f"{GOTRUE}/user", by=USER, body={"data": {"proof": "{canary}"}}),),
    "gotrue.logout.post": (Call("POST", f"{GOTRUE}/logout", by=USER, status=(204,), shows="", because=_GONE),),
    "gotrue.settings.get": (Call("GET", f"{GOTRUE}/settings", by=NOBODY, shows="", because="the same for every tenant"),),
    "gotrue.health.get": (Call("GET", f"{GOTRUE}/health", by=NOBODY, shows="", because="the same for everybody"),),
    "gotrue.admin.users.get": (Call("GET", f"{GOTRUE_USERS}?filter={{canary}}", by=SERVICE),),
    "gotrue.admin.users.post": (_MADE,),
    "gotrue.admin.users.one.get": (Call("GET", f"{GOTRUE_USERS}/{{user}}", by=SERVICE),),
    "gotrue.admin.users.one.put": (Call("PUT", f"{GOTRUE_USERS}/{{user}}", by=SERVICE, body=_MENDED),),
    "gotrue.admin.users.one.delete": (Call("DELETE", f"{GOTRUE_USERS}/{{made}}", by=SERVICE, shows="", because=_GONE, before=(_MADE,)),),
    "admin.users.get": (Call("GET", f"{NATIVE_USERS}?search={{canary}}", by=SERVICE),),
    "admin.users.post": (Call("POST", NATIVE_USERS, by=SERVICE, body=_BARE, status=(201,), shows="", because=_NEW),),
    "admin.users.one.get": (Call("GET", f"{NATIVE_USERS}/{{user}}", by=SERVICE),),
    "admin.users.one.patch": (Call("PATCH", f"{NATIVE_USERS}/{{user}}", by=SERVICE, body=_MENDED),),
    "admin.users.one.role.patch": (
        Call("PATCH", f"{NATIVE_USERS}/{{made}}/role", by=SERVICE, body={"role": "member"}, shows="made", before=(_MADE,)),
    ),
    "admin.users.one.signout.post": (
        Call("POST", f"{NATIVE_USERS}/{{made}}/signout", by=SERVICE, shows="", because=_GONE, before=(_MADE,)),
    ),
    "admin.users.one.delete": (Call("DELETE", f"{NATIVE_USERS}/{{made}}", by=SERVICE, shows="", because=_GONE, before=(_MADE,)),),
}
