"""A platform administrator's own account. The proof has no administrator's session and leaves none behind."""

from __future__ import annotations

from fluxbase.proof.call import NOBODY, SERVICE, Call

ROOT = "/api/v1/dashboard/auth"
_ADMIN_ONLY = "for an administrator's own session: every credential of a tenant is refused"
_NOBODY = "nothing is signed in: it would leave a session"
_EVERYBODY = "the same for everybody"
_UNKNOWN = {"email": "a@proof.invalid", "password": "{password}"}


def _own(method: str, path: str, body: object = None) -> tuple[Call, ...]:
    return (Call(method, f"{ROOT}{path}", by=SERVICE, body=body, status=(403,), shows="", because=_ADMIN_ONLY),)


def _nobody(method: str, path: str, body: object, *status: int, because: str = _NOBODY) -> tuple[Call, ...]:
    return (Call(method, path, by=NOBODY, body=body, status=status, shows="", because=because),)


CALLS: dict[str, tuple[Call, ...]] = {
    "dashboard.signup": _nobody("POST", f"{ROOT}/signup", {**_UNKNOWN, "setup_token": "{new}"}, 401, 403),
    "dashboard.login": _nobody("POST", f"{ROOT}/login", _UNKNOWN, 401),
    "dashboard.refresh": _nobody("POST", f"{ROOT}/refresh", {"refresh_token": "{new}"}, 401),
    "dashboard.2fa.verify.post": _nobody("POST", f"{ROOT}/2fa/verify", {"ticket": "{new}", "code": "000000"}, 401),
    "dashboard.password.reset.post": _nobody("POST", f"{ROOT}/password/reset", {"email": "{fresh}@proof.invalid"}, 200, because=_EVERYBODY),
    "dashboard.password.reset.verify.post": _nobody("POST", f"{ROOT}/password/reset/verify", {"token": "{new}"}, 400),
    "dashboard.password.reset.confirm.post": _nobody(
        "POST", f"{ROOT}/password/reset/confirm", {"token": "{new}", "new_password": "{password}"}, 400
    ),
    "dashboard.reset-password.get": _nobody("GET", "/dashboard/reset-password", None, 200, because=_EVERYBODY),
    "dashboard.reset-password.post": _nobody("POST", "/dashboard/reset-password", None, 403),
    "dashboard.me.get": _own("GET", "/me"),
    "dashboard.2fa.setup.post": _own("POST", "/2fa/setup", {}),
    "dashboard.2fa.enable.post": _own("POST", "/2fa/enable", {"code": "000000"}),
    "dashboard.2fa.disable.post": _own("POST", "/2fa/disable", {"password": "{new}"}),
    "dashboard.2fa.recovery-codes.post": _own("POST", "/2fa/recovery-codes", {}),
    "dashboard.profile.put": _own("PUT", "/profile", {"name": "x"}),
    "dashboard.password.change.post": _own("POST", "/password/change", {"current_password": "{new}", "new_password": "{new}"}),
    "dashboard.account.delete": _own("DELETE", "/account", {"password": "{new}"}),
}
