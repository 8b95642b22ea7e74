"""A user made for one call and signed in as ``member``: second factors and passkeys change an account and end its sessions."""

from __future__ import annotations

from fluxbase.proof.call import ANON, MEMBER, SERVICE, Call, Computed
from fluxbase.proof.devices import code

NATIVE, GOTRUE = "/api/v1/auth", "/auth/v1"
_LOGIN = {"email": "{member_email}", "password": "{password}"}

MADE = Call(
    "POST", "/api/v1/admin/users", by=SERVICE, status=(201,), keep={"member": "id", "member_email": "email"},
    body={
        "email": "{canary}-{fresh}@proof.invalid", "password": "{password}", "email_verified": True, "user_metadata": {"proof": "{canary}"},
    },
)  # fmt: skip
ENTERED = Call("POST", f"{NATIVE}/signin", by=ANON, body=_LOGIN, is_entry=True, signs_in="member")
SIGNED_IN = (MADE, ENTERED)

TOTP_SETUP = Call(
    "POST", f"{NATIVE}/2fa/setup", by=MEMBER, body={"friendly_name": "{canary}"}, before=SIGNED_IN
)  # fmt: skip
_ENROLLED = Call(
    "POST", f"{GOTRUE}/factors", by=MEMBER, body={"factor_type": "totp", "friendly_name": "{canary}"},
    keep={"factor": "id", "secret": "totp.secret"},
)  # fmt: skip
WITH_SECRET = (*SIGNED_IN, _ENROLLED, Computed(code))
TOTP_ENABLED = Call(
    "POST", f"{NATIVE}/2fa/enable", by=MEMBER, body={"code": "{code}"}, is_secret=True, shows="tenant",
    keep={"recovery_code": "backup_codes.0"}, signs_in="member", before=WITH_SECRET,
)  # fmt: skip
GUARDED = (*WITH_SECRET, TOTP_ENABLED)
"""The member has shown a second factor: aal2."""

HALF_IN = Call("POST", f"{NATIVE}/signin", by=ANON, body=_LOGIN, is_entry=True, keep={"ticket": "ticket"})
"""The first step of two."""
