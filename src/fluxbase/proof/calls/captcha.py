"""The captcha, which the proof switches on for password resets: work done for one tenant counts in that tenant alone."""

from __future__ import annotations

from fluxbase.proof.call import ANON, NOBODY, Call, Computed
from fluxbase.proof.devices import solved

_ROOT = "/api/v1/auth/captcha"
FLOW = "password_reset"
CHALLENGED = Call(
    "POST", f"{_ROOT}/check", by=ANON, body={"endpoint": FLOW}, is_entry=True, shows="",
    because="a signed challenge, which names nobody's things", keep={"captcha": "challenge_id", "difficulty": "difficulty"},
)  # fmt: skip
SOLVED = (CHALLENGED, Computed(solved))

CALLS: dict[str, tuple[Call, ...]] = {
    "auth.captcha_config": (Call("GET", f"{_ROOT}/config", by=NOBODY, shows="", because="the same for everybody"),),
    "auth.captcha_check": (CHALLENGED,),
}
