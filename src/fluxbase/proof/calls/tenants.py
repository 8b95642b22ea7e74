"""The lifecycle of tenants: for the instance's key. Verbs that would hurt work on a tenant made for the proof."""

from __future__ import annotations

from fluxbase.proof.call import INSTANCE, SERVICE, Call

ROOT = "/api/v1/admin/tenants"
_SCRATCH = "works on a tenant that the proof made"

CALLS: dict[str, tuple[Call, ...]] = {
    "tenants.mine": (Call("GET", f"{ROOT}/mine", by=SERVICE),),
    "tenants.list": (Call("GET", ROOT, by=INSTANCE),),
    "tenants.deleted": (Call("GET", f"{ROOT}/deleted", by=INSTANCE, shows="", because="neither is deleted"),),
    "tenants.create": (
        Call("POST", ROOT, by=INSTANCE, body={"slug": "{fresh}", "isolation": "row"}, status=(201,), shows="", because="a new tenant"),
    ),
    "tenants.get": (
        Call("GET", f"{ROOT}/{{tenant}}", by=SERVICE, is_secret=True),
        Call("GET", f"{ROOT}/{{slug}}", by=SERVICE, is_secret=True),
        Call("GET", f"{ROOT}/{{tenant}}", by=INSTANCE),
    ),
    "tenants.update": (
        Call("PATCH", f"{ROOT}/{{tenant}}", by=SERVICE, body={"metadata": {"proof": "{canary}"}}, is_secret=True),
        Call("PATCH", f"{ROOT}/{{tenant}}", by=INSTANCE, body={"metadata": {"proof": "{canary}"}}),
    ),
    "tenants.delete": (Call("DELETE", f"{ROOT}/{{scratch}}", by=INSTANCE, status=(204,), shows="", because=_SCRATCH),),
    **{
        f"tenants.{verb}": (Call("POST", f"{ROOT}/{{scratch}}/{verb}", by=INSTANCE, shows="", because=_SCRATCH),)
        for verb in ("recover", "migrate", "repair", "freeze", "thaw")
    },
}
