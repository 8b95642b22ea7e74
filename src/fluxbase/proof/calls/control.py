"""Health, keys, status."""

from __future__ import annotations

from fluxbase.proof.call import INSTANCE, NOBODY, Call

_CONSTANT = "the same for everybody"

CALLS: dict[str, tuple[Call, ...]] = {
    "health": (Call("GET", "/health", by=NOBODY, shows="", because=_CONSTANT),),
    "ready": (Call("GET", "/ready", by=NOBODY, status=(200, 503), shows="", because=_CONSTANT),),
    "root": (Call("GET", "/", by=NOBODY, shows="", because=_CONSTANT),),
    "jwks:/.well-known/jwks.json": (Call("GET", "/.well-known/jwks.json", by=NOBODY, shows="kid"),),
    "jwks:/auth/v1/.well-known/jwks.json": (Call("GET", "/auth/v1/.well-known/jwks.json", by=NOBODY, shows="kid"),),
    "auth.csrf": (Call("GET", "/api/v1/auth/csrf", by=NOBODY, shows="", because="random, of no tenant"),),
    "admin.status": (Call("GET", "/api/v1/admin/status", by=INSTANCE, shows="", because="speaks of the process"),),
}
