"""Roles of a tenant and who has them in all of it. For administrators; nobody gives what he does not hold himself.

A change, the end of the claims made before it (a trigger of the tables) and its audit row are one transaction.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fluxbase.auth import rbac_store as store
from fluxbase.kernel.errors import Forbidden, InvalidInput, NotFound
from fluxbase.kernel.permissions import administers, check_permission_name, covers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fluxbase.auth.ports import AuditRecorder, SystemSessions
    from fluxbase.auth.rbac_store import Row
    from fluxbase.kernel.ids import TenantId
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant

ROLE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)
RESERVED = frozenset({"anon", "authenticated", "service_role", "tenant_service", "instance_admin", "tenant_admin"})
"""What a token's role claim may say: ``auth.has_role`` must not take one for the other."""
MOST_PERMISSIONS = 200


def actor_of(principal: Principal) -> str:
    """How the audit names a caller."""
    return f"user:{principal.user_id}" if principal.user_id else f"key:{principal.credential_id}"


def refuse_more_than_own(principal: Principal, wanted: Iterable[str], held: Iterable[str]) -> None:
    """Raises Forbidden when a permission is not covered by what the caller holds; whoever administers the tenant holds all."""
    mine = list(held)
    if not administers(principal) and not all(covers(mine, permission) for permission in wanted):
        raise Forbidden("Nobody can give more than he holds himself.", code="more_than_own")


class Roles:
    """The use cases of a tenant's roles."""

    def __init__(self, sessions: SystemSessions, tenant_of: Callable[[TenantId], Tenant], record: AuditRecorder) -> None:
        self._sessions = sessions
        self._tenant_of = tenant_of
        self._record = record

    async def list(self, principal: Principal) -> list[Row]:
        """Every role."""
        async with self._open(principal, "list roles") as tx:
            return await store.select_roles(tx, principal.tenant)

    async def put(self, principal: Principal, name: str, description: str, permissions: list[str]) -> Row:
        """Make or change a role. Raises InvalidInput, and Forbidden for more than the caller holds, before or after."""
        if not ROLE_NAME.fullmatch(name) or name in RESERVED:
            raise InvalidInput(
                "Not a name of a role.", code="bad_role", hint="Lower-case letters, digits, _ and -, a letter first; not reserved."
            )
        if len(permissions) > MOST_PERMISSIONS:
            raise InvalidInput(f"A role has at most {MOST_PERMISSIONS} permissions.", code="bad_role")
        wanted = sorted({check_permission_name(text) for text in permissions})
        async with self._open(principal, "write a role") as tx:
            before = await store.select_role(tx, principal.tenant, name)
            refuse_more_than_own(principal, [*wanted, *(before or {}).get("permissions", [])], principal.permissions)
            row = await store.upsert_role(tx, principal.tenant, name, description, wanted)
            await self._note(tx, principal, "auth.role.written", f"auth.roles/{name}", {"permissions": wanted})
        return row or {}

    async def delete(self, principal: Principal, name: str) -> None:
        """Raises NotFound, Forbidden."""
        async with self._open(principal, "delete a role") as tx:
            await self._grantable(tx, principal, name)
            await store.delete_role(tx, principal.tenant, name)
            await self._note(tx, principal, "auth.role.deleted", f"auth.roles/{name}", {})

    async def of_user(self, principal: Principal, user: str) -> list[str]:
        """Tenant-wide roles of a user."""
        async with self._open(principal, "read a user's roles") as tx:
            return await store.select_assignments(tx, principal.tenant, user)

    async def assign(self, principal: Principal, user: str, name: str) -> list[str]:
        """Give a role in the whole tenant. Raises NotFound, Forbidden."""
        async with self._open(principal, "assign a role") as tx:
            await self._grantable(tx, principal, name)
            await store.assign_role(tx, principal.tenant, user, name)
            await self._note(tx, principal, "auth.role.assigned", f"auth.users/{user}", {"role": name})
            return await store.select_assignments(tx, principal.tenant, user)

    async def unassign(self, principal: Principal, user: str, name: str) -> list[str]:
        """Take it back. Raises NotFound, Forbidden."""
        async with self._open(principal, "take a role back") as tx:
            await self._grantable(tx, principal, name)
            if not await store.unassign_role(tx, principal.tenant, user, name):
                raise NotFound("The user has not this role.", code="unknown_role")
            await self._note(tx, principal, "auth.role.unassigned", f"auth.users/{user}", {"role": name})
            return await store.select_assignments(tx, principal.tenant, user)

    async def _grantable(self, tx: Any, principal: Principal, name: str) -> None:
        role = await store.select_role(tx, principal.tenant, name)
        if role is None:
            raise NotFound("No such role.", code="unknown_role")
        refuse_more_than_own(principal, role["permissions"], principal.permissions)

    def _open(self, principal: Principal, reason: str) -> Any:
        return self._sessions(self._tenant_of(principal.tenant), reason=reason)

    async def _note(self, tx: Any, principal: Principal, action: str, resource: str, details: dict[str, object]) -> None:
        await self._record(tx, action=action, actor=actor_of(principal), resource=resource, details={**details, "tenant": principal.tenant})
