"""Second factors in both dialects, each on a member made for the call; codes are worked out as an authenticator app does."""

from __future__ import annotations

from fluxbase.proof.call import ANON, MEMBER, SERVICE, Call, Computed
from fluxbase.proof.calls.members import GOTRUE, GUARDED, HALF_IN, NATIVE, SIGNED_IN, TOTP_ENABLED, TOTP_SETUP, WITH_SECRET
from fluxbase.proof.calls.passkeys import CREDENTIAL, MADE, SHOWN
from fluxbase.proof.devices import made_passkey, shown_passkey

_FACTORS, _ADMIN = f"{GOTRUE}/factors", f"{GOTRUE}/admin/users/{{member}}/factors"
_CODES = f"{_FACTORS}/recovery-codes"
_RANDOM = "codes and tickets are random"

_ENROLLED = Call("POST", _FACTORS, by=MEMBER, body={"factor_type": "webauthn", "friendly_name": "{canary}"}, keep={"factor": "id"})
_CHALLENGED = Call("POST", f"{_FACTORS}/{{factor}}/challenge", by=MEMBER, keep={"challenge_id": "id"})
_OPTIONS = "webauthn.credential_options.publicKey"
_TO_MAKE = Call(
    "POST", f"{_FACTORS}/{{factor}}/challenge", by=MEMBER,
    keep={"challenge_id": "id", "challenge": f"{_OPTIONS}.challenge", "handle": f"{_OPTIONS}.user.id"},
)  # fmt: skip
_TO_SHOW = Call(
    "POST", f"{_FACTORS}/{{factor}}/challenge", by=MEMBER, keep={"challenge_id": "id", "challenge": f"{_OPTIONS}.challenge"}
)  # fmt: skip
_NEW_CODES = Call("POST", _CODES, by=MEMBER, keep={"set": "id", "recovery_code": "codes.0"}, shows="", because=_RANDOM, before=GUARDED)


def _answer(kind: str, response: dict[str, str]) -> dict[str, object]:
    shown = {"type": kind, "credential_response": {**CREDENTIAL, "response": response}}
    return {"challenge_id": "{challenge_id}", "webauthn": shown}


_WITH_KEY = (*SIGNED_IN, _ENROLLED, _TO_MAKE, Computed(made_passkey))
_KEY_MADE = Call(
    "POST", f"{_FACTORS}/{{factor}}/verify", by=MEMBER, body=_answer("create", MADE), is_secret=True, signs_in="member", before=_WITH_KEY
)  # fmt: skip


def _of_guarded(method: str, path: str, body: object = None, **more: object) -> tuple[Call, ...]:
    return (Call(method, path, **{"by": MEMBER, "body": body, "before": GUARDED, **more}),)  # type: ignore[arg-type]


CALLS: dict[str, tuple[Call, ...]] = {
    "auth.2fa_setup": (TOTP_SETUP,),
    "auth.2fa_enable": (TOTP_ENABLED,),
    "auth.2fa_challenge": _of_guarded("POST", f"{NATIVE}/2fa/challenge", shows="", because=_RANDOM),
    "auth.2fa_status": _of_guarded("GET", f"{NATIVE}/2fa/status"),
    "auth.2fa_verify": (
        Call(
            "POST", f"{NATIVE}/2fa/verify", by=ANON, body={"ticket": "{ticket}", "code": "{next_code}"}, is_entry=True, is_secret=True,
            before=(*GUARDED, HALF_IN),
        ),
        Call(
            "POST", f"{NATIVE}/2fa/verify", by=ANON, body={"ticket": "{ticket}", "code": "{recovery_code}"}, is_entry=True,
            is_secret=True, before=(*GUARDED, HALF_IN),
        ),
    ),
    "auth.2fa_disable": _of_guarded("POST", f"{NATIVE}/2fa/disable", {"password": "{password}"}, is_secret=True, shows="factor"),
    "auth.2fa_codes": _of_guarded("POST", f"{NATIVE}/2fa/recovery-codes", shows="", because=_RANDOM),
    "admin.users_2fa_reset": _of_guarded(
        "POST", "/api/v1/admin/users/{member}/2fa/reset", by=SERVICE, is_secret=True, shows="factor"
    ),
    "gotrue.factors_enroll": (
        Call("POST", _FACTORS, by=MEMBER, body={"factor_type": "totp", "friendly_name": "{canary}"}, before=SIGNED_IN),
        Call("POST", _FACTORS, by=MEMBER, body={"factor_type": "webauthn", "friendly_name": "{canary}"}, before=SIGNED_IN),
    ),
    "gotrue.factors_challenge": (
        Call("POST", f"{_FACTORS}/{{factor}}/challenge", by=MEMBER, is_secret=True, shows="", because=_RANDOM, before=WITH_SECRET),
        Call("POST", f"{_FACTORS}/{{factor}}/challenge", by=MEMBER, is_secret=True, before=(*SIGNED_IN, _ENROLLED)),
    ),
    "gotrue.factors_verify": (
        Call(
            "POST", f"{_FACTORS}/{{factor}}/verify", by=MEMBER, body={"challenge_id": "{challenge_id}", "code": "{code}"},
            is_secret=True, before=(*WITH_SECRET, _CHALLENGED),
        ),
        _KEY_MADE,
        Call(
            "POST", f"{_FACTORS}/{{factor}}/verify", by=MEMBER, body=_answer("request", SHOWN), is_secret=True,
            before=(*_WITH_KEY, _KEY_MADE, _TO_SHOW, Computed(shown_passkey)),
        ),
    ),
    "gotrue.factors_unenroll": _of_guarded("DELETE", f"{_FACTORS}/{{factor}}", is_secret=True, shows="factor"),
    "gotrue.recovery_codes": _of_guarded("GET", _CODES, shows="set", before=(*GUARDED, _NEW_CODES)),
    "gotrue.recovery_codes_generate": (_NEW_CODES,),
    "gotrue.recovery_codes_regenerate": _of_guarded("POST", f"{_CODES}/regenerate", shows="", because=_RANDOM),
    "gotrue.recovery_codes_verify": _of_guarded("POST", f"{_CODES}/verify", {"code": "{recovery_code}"}, is_secret=True),
    "gotrue.recovery_codes_remove": _of_guarded("DELETE", _CODES, shows="set", before=(*GUARDED, _NEW_CODES)),
    "gotrue.admin_factors": _of_guarded("GET", _ADMIN, by=SERVICE, is_secret=True),
    "gotrue.admin_factors_update": _of_guarded(
        "PUT", f"{_ADMIN}/{{factor}}", {"friendly_name": "{canary}"}, by=SERVICE, is_secret=True
    ),
    "gotrue.admin_factors_delete": _of_guarded("DELETE", f"{_ADMIN}/{{factor}}", by=SERVICE, is_secret=True),
}  # fmt: skip
