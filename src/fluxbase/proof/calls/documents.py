"""OpenAPI documents: a tenant's own schema, comments included. Tenants in rows share their schema."""

from __future__ import annotations

from fluxbase.proof.call import ANYONE, NOBODY, Call

_OWN_SCHEMA = ("database", "schema")
_REFUSED = "the method is refused"

CALLS: dict[str, tuple[Call, ...]] = {
    "rest.root": (
        Call("GET", "/rest/v1/", shows_in=_OWN_SCHEMA),
        *(Call(method, "/rest/v1/", status=(405,), shows="", because=_REFUSED) for method in ("POST", "PUT", "PATCH", "DELETE")),
    ),
    "openapi": (Call("GET", "/api/v1/openapi.json", by=ANYONE, shows_in=_OWN_SCHEMA),),
    "docs": (Call("GET", "/docs", by=NOBODY, shows="", because="a constant page"),),
}
