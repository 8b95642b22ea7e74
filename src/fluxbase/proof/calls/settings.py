"""Settings of a tenant: the mails' name for the application carries the canary."""

from __future__ import annotations

from fluxbase.proof.call import SERVICE, Call

OWN = "/api/v1/admin/tenants/{tenant}/settings"
APP = "/api/v1/admin/app/settings"
_GONE = "answers without a body"

CHANGED = ("mail.app_name", "mail.from_name")
"""What the calls change: noted before the proof and restored after it."""

_NAMED = Call("PATCH", OWN, by=SERVICE, body={"settings": dict.fromkeys(CHANGED, "{canary}")})

CALLS: dict[str, tuple[Call, ...]] = {
    "tenant_settings.list": (Call("GET", OWN, by=SERVICE, before=(_NAMED,)),),
    "tenant_settings.change": (_NAMED,),
    "tenant_settings.get": (Call("GET", f"{OWN}/mail.app_name", by=SERVICE, before=(_NAMED,)),),
    "tenant_settings.delete": (
        Call("DELETE", f"{OWN}/mail.app_name", by=SERVICE, status=(204,), shows="", because=_GONE, before=(_NAMED,)),
    ),
    "app_settings.get": (Call("GET", APP, by=SERVICE, before=(_NAMED,)),),
    "app_settings.put": (Call("PUT", APP, by=SERVICE, body={"email": {"from_name": "{canary}"}}),),
}
