"""A verified caller as a database that tenants share may see him (isolation ``row``; docs/decisions/0031).

In a database of its own a tenant needs no name. In a shared one the claims, which the server signs, must carry it; nobody
passes Row Level Security; and what is denied to a user of one tenant is not denied to his namesake in another.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from fluxbase.kernel.ids import SERVICE_ROLE, TENANT_SERVICE
from fluxbase.kernel.principal import Principal
from fluxbase.tenancy.store import frozen_key

if TYPE_CHECKING:
    from fluxbase.tenancy.registry import Tenant

_SCOPED = ("user:", "session:")


@lru_cache(maxsize=10_000)
def narrowed(principal: Principal) -> Principal:
    """The same caller: tenant in the claims, ``tenant_service`` instead of ``service_role``, deny keys of this tenant."""
    claims: dict[str, Any] = orjson.loads(principal.claims_json)
    claims["tenant_id"] = principal.tenant
    if claims.get("role") == SERVICE_ROLE:
        claims["role"] = TENANT_SERVICE
    return replace(
        principal,
        role=TENANT_SERVICE if principal.role == SERVICE_ROLE else principal.role,
        claims_json=orjson.dumps(claims).decode(),
        deny_keys=(*(scoped(key, principal) for key in principal.deny_keys), frozen_key(principal.tenant)),
    )


def scoped(deny_key: str, principal: Principal) -> str:
    """``user:`` and ``session:`` keys are of one tenant; key and token ids are unique anyway."""
    return f"{principal.tenant}/{deny_key}" if deny_key.startswith(_SCOPED) else deny_key


def deny_prefix(tenant: Tenant) -> str:
    """What stands before ``user:`` and ``session:`` in the denylist of a tenant's database."""
    return f"{tenant.id}/" if tenant.is_shared else ""
