"""Client keys and service keys: each call makes the key it needs first, named after the canary."""

from __future__ import annotations

from fluxbase.proof.call import SERVICE, Call

CLIENT = "/api/v1/client-keys"
NAMED = "/api/v1/admin/service-keys"
_NEW = {"name": "{canary}", "scopes": ["tables:read"]}

_CLIENT = Call("POST", CLIENT, by=SERVICE, body=_NEW, status=(201,), keep={"key": "id"})
_SERVICE = Call("POST", NAMED, by=SERVICE, body=_NEW, status=(201,), keep={"key": "id"})
_GONE = "answers without a body"
_DONE = "says only that it is done"

CALLS: dict[str, tuple[Call, ...]] = {
    "client_keys.list": (Call("GET", CLIENT, by=SERVICE, before=(_CLIENT,)),),
    "client_keys.create": (_CLIENT,),
    "client_keys.get": (Call("GET", f"{CLIENT}/{{key}}", by=SERVICE, before=(_CLIENT,)),),
    "client_keys.update": (Call("PATCH", f"{CLIENT}/{{key}}", by=SERVICE, body={"name": "{canary}"}, before=(_CLIENT,)),),
    "client_keys.delete": (Call("DELETE", f"{CLIENT}/{{key}}", by=SERVICE, status=(204,), shows="", because=_GONE, before=(_CLIENT,)),),
    "client_keys.revoke": (Call("POST", f"{CLIENT}/{{key}}/revoke", by=SERVICE, shows="", because=_DONE, before=(_CLIENT,)),),
    "service_keys.list": (Call("GET", NAMED, by=SERVICE, before=(_SERVICE,)),),
    "service_keys.create": (_SERVICE,),
    "service_keys.get": (Call("GET", f"{NAMED}/{{key}}", by=SERVICE, before=(_SERVICE,)),),
    "service_keys.update": (Call("PUT", f"{NAMED}/{{key}}", by=SERVICE, body={"name": "{canary}"}, before=(_SERVICE,)),),
    "service_keys.delete": (Call("DELETE", f"{NAMED}/{{key}}", by=SERVICE, status=(204,), shows="", because=_GONE, before=(_SERVICE,)),),
    **{
        f"service_keys.{verb}": (Call("POST", f"{NAMED}/{{key}}/{verb}", by=SERVICE, before=(_SERVICE,)),)
        for verb in ("disable", "enable", "revoke", "deprecate")
    },
    "service_keys.rotate": (Call("POST", f"{NAMED}/{{key}}/rotate", by=SERVICE, status=(201,), before=(_SERVICE,)),),
    "service_keys.revocations": (
        Call("GET", f"{NAMED}/{{key}}/revocations", by=SERVICE, shows="", because="empty until it is revoked", before=(_SERVICE,)),
    ),
}
