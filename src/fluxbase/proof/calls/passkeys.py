"""Passkeys in both dialects: the same calls at two roots, each with a passkey made for it (``devices.py``)."""

from __future__ import annotations

from fluxbase.proof.call import ANON, MEMBER, SERVICE, Call, Computed
from fluxbase.proof.calls.members import GOTRUE, NATIVE, SIGNED_IN
from fluxbase.proof.devices import made_passkey, shown_passkey

_ADMIN = f"{GOTRUE}/admin/users/{{member}}/passkeys"
_RANDOM = "a challenge is random"
_GONE = "answers without a body"
CREDENTIAL: dict[str, object] = {"id": "{credential_id}", "rawId": "{credential_id}", "type": "public-key", "clientExtensionResults": {}}
MADE = {"clientDataJSON": "{client_data}", "attestationObject": "{attestation}"}
SHOWN = {
    "clientDataJSON": "{client_data}", "authenticatorData": "{authenticator_data}", "signature": "{signature}",
    "userHandle": "{user_handle}",
}  # fmt: skip


def _answer(response: dict[str, str], **more: str) -> dict[str, object]:
    return {"challenge_id": "{challenge_id}", "credential": {**CREDENTIAL, "response": response}, **more}


def _registered(root: str) -> tuple[Call | Computed, ...]:
    begun = Call(
        "POST", f"{root}/registration/options", by=MEMBER,
        keep={"challenge_id": "challenge_id", "challenge": "options.challenge", "handle": "options.user.id"},
    )  # fmt: skip
    done = Call("POST", f"{root}/registration/verify", by=MEMBER, body=_answer(MADE, friendly_name="{canary}"), keep={"passkey": "id"})
    return (*SIGNED_IN, begun, Computed(made_passkey), done)


def _calls(root: str) -> dict[str, tuple[Call, ...]]:
    registered = _registered(root)
    asked = Call(
        "POST", f"{root}/authentication/options", by=ANON, is_entry=True, shows="", because=_RANDOM,
        keep={"challenge_id": "challenge_id", "challenge": "options.challenge"},
    )  # fmt: skip
    one = f"{root}/{{passkey}}"
    return {
        "passkeys_register_begin": (Call("POST", f"{root}/registration/options", by=MEMBER, before=SIGNED_IN),),
        "passkeys_register": (
            Call(
                "POST", f"{root}/registration/verify", by=MEMBER, body=_answer(MADE, friendly_name="{canary}"), is_secret=True,
                before=registered[:-1],
            ),
        ),
        "passkeys": (Call("GET", root, by=MEMBER, before=registered),),
        "passkeys_rename": (
            Call("PATCH", one, by=MEMBER, body={"friendly_name": "{canary}"}, is_secret=True, before=registered),
        ),
        "passkeys_remove": (
            Call("DELETE", one, by=MEMBER, status=(204,), is_secret=True, shows="", because=_GONE, before=registered),
        ),
        "passkeys_signin_begin": (asked,),
        "passkeys_signin": (
            Call(
                "POST", f"{root}/authentication/verify", by=ANON, body=_answer(SHOWN), is_entry=True, is_secret=True,
                before=(*registered, asked, Computed(shown_passkey)),
            ),
        ),
    }  # fmt: skip


CALLS: dict[str, tuple[Call, ...]] = {
    **{f"gotrue.{name}": calls for name, calls in _calls(f"{GOTRUE}/passkeys").items()},
    **{f"auth.{name}": calls for name, calls in _calls(f"{NATIVE}/passkeys").items()},
    "gotrue.admin_passkeys": (Call("GET", _ADMIN, by=SERVICE, is_secret=True, before=_registered(f"{GOTRUE}/passkeys")),),
    "gotrue.admin_passkeys_delete": (
        Call(
            "DELETE", f"{_ADMIN}/{{passkey}}", by=SERVICE, status=(204,), is_secret=True, shows="", because=_GONE,
            before=_registered(f"{GOTRUE}/passkeys"),
        ),
    ),
}  # fmt: skip
