"""What is mailed and taken back. Asking for a mail answers the same for everybody; tokens of a tenant are made by its service key."""

from __future__ import annotations

from fluxbase.proof.call import NOBODY, SERVICE, USER, Call
from fluxbase.proof.calls.captcha import SOLVED

NATIVE = "/api/v1/auth"
_SAME = "the same answer for every address"
_REFUSED = "a token that was never mailed is refused"
_MAILED = {"email": "{canary}@proof.example"}
_INVITED: dict[str, object] = {"email": "{fresh}@proof.example", "data": {"of": "{canary}"}}
_HASH = {"token_hash": "fb_ot_{fresh}"}
_PASSWORD = {"new_password": "a long and {fresh} one"}
_NONCE = (200, 401, 403, 422, 429)
_TELLS_NOTHING = "mails a code and tells nothing"
_TOKEN = {"token": "fb_ot_{fresh}"}


def _ask(path: str, **more: object) -> tuple[Call, ...]:
    return (Call("POST", path, by=NOBODY, body={**_MAILED, **more}, status=(200, 429), shows="", because=_SAME),)


def _take(path: str, *status: int, **more: object) -> tuple[Call, ...]:
    return (Call("POST", path, by=NOBODY, body={**_TOKEN, **more}, status=status, shows="", because=_REFUSED),)


def _reset(path: str, solution: dict[str, object]) -> tuple[Call, ...]:
    """With a captcha of its own tenant; the other's is refused."""
    body = {"email": "{fresh}@proof.example", **solution}
    return (Call("POST", path, by=NOBODY, body=body, is_secret=True, shows="", because=_SAME, before=SOLVED),)


CALLS: dict[str, tuple[Call, ...]] = {
    "gotrue.otp.post": _ask("/auth/v1/otp"),
    "gotrue.magiclink.post": _ask("/auth/v1/magiclink"),
    "gotrue.recover.post": _reset("/auth/v1/recover", {"gotrue_meta_security": {"captcha_token": "{captcha}.{solution}"}}),
    "gotrue.resend.post": _ask("/auth/v1/resend", type="signup"),
    "gotrue.verify.get": (
        Call("GET", "/auth/v1/verify?type=magiclink&token=fb_ot_x", by=NOBODY, shows="", because="reads no table"),
    ),
    "gotrue.verify.post": _take("/auth/v1/verify", 403, type="magiclink", **_HASH),
    "gotrue.reauthenticate.get": (
        Call("GET", "/auth/v1/reauthenticate", by=USER, status=_NONCE, shows="", because=_TELLS_NOTHING),
    ),
    "gotrue.invite.post": (Call("POST", "/auth/v1/invite", by=SERVICE, body=_INVITED),),
    "gotrue.admin/generate_link.post": (
        Call("POST", "/auth/v1/admin/generate_link", by=SERVICE, body={"type": "magiclink", **_INVITED}),
    ),
    "auth.magiclink.post": _ask(f"{NATIVE}/magiclink"),
    "auth.magiclink.verify.post": _take(f"{NATIVE}/magiclink/verify", 400),
    "auth.password.reset.post": _reset(f"{NATIVE}/password/reset", {"challenge_id": "{captcha}", "captcha_token": "{solution}"}),
    "auth.password.reset.verify.post": _take(f"{NATIVE}/password/reset/verify", 400),
    "auth.password.reset.confirm.post": _take(f"{NATIVE}/password/reset/confirm", 400, **_PASSWORD),
    "auth.verify-email.post": _take(f"{NATIVE}/verify-email", 400),
    "auth.verify-email.resend.post": _ask(f"{NATIVE}/verify-email/resend"),
    "auth.otp.signin.post": _ask(f"{NATIVE}/otp/signin"),
    "auth.otp.verify.post": _take(f"{NATIVE}/otp/verify", 401, **_MAILED, type="email"),
    "auth.otp.resend.post": _ask(f"{NATIVE}/otp/resend"),
    "auth.reauthenticate.post": (
        Call("POST", f"{NATIVE}/reauthenticate", by=USER, status=_NONCE, shows="", because=_TELLS_NOTHING),
    ),
}  # fmt: skip
