"""Accounts, sessions and their administration, in both dialects. Entry routes read the tenant's key in ``apikey`` alone."""

from __future__ import annotations

from fluxbase.proof.call import ANON, NOBODY, SERVICE, USER, Call

_NATIVE, _GOTRUE, _ADMIN = "/api/v1/auth", "/auth/v1", "/api/v1/admin/users"
_SESSIONS = "/api/v1/admin/auth/sessions"
_NEW = {"email": "{fresh}@proof.invalid", "password": "{password}"}
_OLD = {"email": "{email}", "password": "{password}"}
_MARKED = {"proof": "{canary}"}
_MESSAGE = "a message or counts alone"

_SIGN_IN = Call("POST", f"{_NATIVE}/signin", by=ANON, body=_OLD, is_entry=True, is_secret=True, keep={"refresh": "refresh_token"})
_SPARE_USER = Call(
    "POST", _ADMIN, by=SERVICE, body={**_NEW, "email_verified": True, "user_metadata": _MARKED}, status=(201,), keep={"spare_user": "id"}
)  # fmt: skip


def _of_spare(method: str, path: str, body: object = None, **more: object) -> Call:
    return Call(method, path, by=SERVICE, body=body, before=(_SPARE_USER,), **more)  # type: ignore[arg-type]


CALLS: dict[str, tuple[Call, ...]] = {
    "auth.signup.post": (
        Call("POST", f"{_NATIVE}/signup", by=ANON, body={**_NEW, "user_metadata": {"proof": "{mine}"}}, status=(201,), is_entry=True),
    ),
    "auth.signin.post": (_SIGN_IN,),
    "auth.signin.anonymous.post": (Call("POST", f"{_NATIVE}/signin/anonymous", by=ANON, status=(201,), is_entry=True, shows="tenant"),),
    "auth.refresh.post": (
        Call(
            "POST",
            f"{_NATIVE}/refresh",
            by=ANON,
            body={"refresh_token": "{refresh}"},
            is_entry=True,
            is_secret=True,
            before=(_SIGN_IN,),
            shows="tenant",
        ),
    ),
    "auth.signout.post": (Call("POST", f"{_NATIVE}/signout", by=USER, shows="", because=_MESSAGE, ends_session=True),),
    "auth.user.get": (Call("GET", f"{_NATIVE}/user", by=USER),),
    "auth.user.patch": (Call("PATCH", f"{_NATIVE}/user", by=USER, body={"user_metadata": {"proof": "{mine}"}}),),
    "auth.sessions.get": (Call("GET", f"{_NATIVE}/sessions", by=USER, shows="session"),),
    "auth.sessions.{session}.delete": (
        Call(
            "DELETE",
            f"{_NATIVE}/sessions/{{session}}",
            by=USER,
            status=(204,),
            shows="",
            because=_MESSAGE,
            is_secret=True,
            ends_session=True,
        ),
    ),
    "gotrue.signup.post": (Call("POST", f"{_GOTRUE}/signup", by=ANON, body={**_NEW, "data": {"proof": "{mine}"}}, is_entry=True),),
    "gotrue.token.post": (
        Call("POST", f"{_GOTRUE}/token?grant_type=password", by=ANON, body=_OLD, is_entry=True, is_secret=True),
        Call(
            "POST",
            f"{_GOTRUE}/token?grant_type=refresh_token",
            by=ANON,
            body={"refresh_token": "{refresh}"},
            is_entry=True,
            is_secret=True,
            before=(_SIGN_IN,),
        ),
    ),
    "gotrue.user.get": (Call("GET", f"{_GOTRUE}/user", by=USER),),
    "gotrue.user.put": (Call("PUT", f"{_GOTRUE}/user", by=USER, body={"data": {"proof": "{mine}"}}),),
    "gotrue.logout.post": (
        Call("POST", f"{_GOTRUE}/logout?scope=local", by=USER, status=(204,), shows="", because=_MESSAGE, ends_session=True),
    ),
    "gotrue.settings.get": (Call("GET", f"{_GOTRUE}/settings", by=ANON, is_entry=True, shows="", because="what is switched on"),),
    "gotrue.health.get": (Call("GET", f"{_GOTRUE}/health", by=NOBODY, shows="", because="the same for everybody"),),
    "admin.users.get": (Call("GET", f"{_ADMIN}?search={{email}}", by=SERVICE),),
    "admin.users.post": (_SPARE_USER,),
    "admin.users.one.get": (Call("GET", f"{_ADMIN}/{{user}}", by=SERVICE, is_secret=True),),
    "admin.users.one.patch": (
        Call("PATCH", f"{_ADMIN}/{{user}}", by=SERVICE, body={"user_metadata": {"proof": "{mine}"}}, is_secret=True),
    ),
    "admin.users.one.role.patch": (_of_spare("PATCH", f"{_ADMIN}/{{spare_user}}/role", {"role": "editor"}, is_secret=True),),
    "admin.users.one.signout.post": (_of_spare("POST", f"{_ADMIN}/{{spare_user}}/signout", shows="", because=_MESSAGE, is_secret=True),),
    "admin.users.one.delete": (_of_spare("DELETE", f"{_ADMIN}/{{spare_user}}", shows="", because=_MESSAGE, is_secret=True),),
    "admin.users.invite": (
        Call("POST", f"{_ADMIN}/invite", by=SERVICE, body={"email": "{fresh}@proof.invalid"}, status=(201,), shows="fresh"),
    ),
    "admin.users.reset_password": (
        _of_spare("POST", f"{_ADMIN}/{{spare_user}}/reset-password", shows="", because=_MESSAGE, is_secret=True),
    ),
    "admin.sessions.list": (Call("GET", f"{_SESSIONS}?limit=1000", by=SERVICE, shows="session"),),
    "admin.sessions.end": (
        Call("DELETE", f"{_SESSIONS}/{{new}}", by=SERVICE, status=(404,), shows="", because="the planted session is needed further"),
    ),
    "admin.sessions.end_all": (_of_spare("DELETE", f"{_SESSIONS}/user/{{spare_user}}", shows="", because=_MESSAGE, is_secret=True),),
    "gotrue.admin.users.get": (Call("GET", f"{_GOTRUE}/admin/users?filter={{email}}", by=SERVICE),),
    "gotrue.admin.users.post": (
        Call("POST", f"{_GOTRUE}/admin/users", by=SERVICE, body={**_NEW, "email_confirm": True, "user_metadata": {"proof": "{mine}"}}),
    ),
    "gotrue.admin.users.one.get": (Call("GET", f"{_GOTRUE}/admin/users/{{user}}", by=SERVICE, is_secret=True),),
    "gotrue.admin.users.one.put": (
        Call("PUT", f"{_GOTRUE}/admin/users/{{user}}", by=SERVICE, body={"user_metadata": {"proof": "{mine}"}}, is_secret=True),
    ),
    "gotrue.admin.users.one.delete": (
        _of_spare("DELETE", f"{_GOTRUE}/admin/users/{{spare_user}}", shows="", because=_MESSAGE, is_secret=True),
    ),
}
