"""Acting as somebody else: for support, with a reason, for as long as an access token lives, and never as an administrator.

The token says who is behind it (claim ``impersonated_by``), so policies, triggers and logs can see it. It cannot be refreshed or
raised to another level, opens only rows, functions and what is read (``kernel/permissions.py``), and whoever impersonates cannot
impersonate again. Beginning and end are rows and audit entries in the tenant's own database.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from fluxbase.auth import impersonation_store as store
from fluxbase.auth import rbac_store, session_store, user_store
from fluxbase.auth.roles import actor_of
from fluxbase.auth.store import deny
from fluxbase.kernel.errors import Forbidden, InvalidInput, NotFound
from fluxbase.kernel.ids import ANON, SERVICE_ROLE, UserId
from fluxbase.kernel.permissions import PERMISSIONS, administers, covers

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxbase.auth.impersonation_store import Row
    from fluxbase.auth.minter import TokenMinter
    from fluxbase.auth.ports import AuditRecorder, SystemSessions
    from fluxbase.auth.users import Device, User
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant

CLAIM = "impersonated_by"
ADMIN_ROLES = frozenset({"admin", "instance_admin", "tenant_admin", "service_role", "tenant_service"})
ADMIN_AREAS = ("auth:", "keys:", "platform:", "tenants:", "instance:")
"""Permissions that administer; who holds one of them is an administrator."""
NOBODY = {"anon": "impersonated-anon", "service": "impersonated-service"}
"""Subject of a token that acts as no user: no UUID, so ``auth.uid()`` is null."""


class Impersonation:
    """The use cases. ``prefix_of`` scopes denied sessions in a shared database."""

    def __init__(
        self, sessions: SystemSessions, tenant_of: Callable[..., Tenant], minter: TokenMinter, record: AuditRecorder, *, seconds: int,
        prefix_of: Callable[[Tenant], str],
    ) -> None:  # fmt: skip
        self._sessions = sessions
        self._tenant_of = tenant_of
        self._minter = minter
        self._record = record
        self._seconds = seconds
        self._prefix_of = prefix_of

    async def start(self, principal: Principal, kind: str, target: str | None, reason: str, device: Device) -> tuple[Row, User | None, str]:
        """The row, the user, and a token of the target's. Raises InvalidInput, Forbidden, NotFound."""
        admin = self._admin(principal)
        if not reason.strip():
            raise InvalidInput("A reason is required.", code="reason_required")
        if kind != "user" and not administers(principal):
            raise Forbidden("Only an administrator of the whole tenant acts as a role.", code="more_than_own")
        tenant = self._tenant_of(principal.tenant)
        async with self._sessions(tenant, reason="impersonate") as tx:
            user = None if target is None else await self._target(tx, tenant, target)
            await self._end(tx, tenant, admin, None)
            role, session = {"anon": str(ANON), "service": str(SERVICE_ROLE)}.get(kind, ""), str(uuid.uuid4())
            if user is not None:
                made = await session_store.insert_session(
                    tx, tenant.id, user.id, aal="aal1", amr=[{"method": "impersonation"}], factor_ids=(), user_agent=device.user_agent,
                    address=device.address, lifetime_seconds=self._seconds, token_hash=uuid.uuid4().bytes,
                )  # fmt: skip
                role, session = user.role, made.id
            begun = {
                "id": session, "admin_user_id": admin, "target_user_id": target, "impersonation_type": kind, "target_role": role,
                "reason": reason, "ip_address": device.address, "user_agent": device.user_agent,
            }  # fmt: skip
            row = await store.insert_impersonation(tx, tenant.id, begun, self._seconds)
            details: dict[str, object] = {"target": target, "type": kind, "reason": reason, "tenant": tenant.id}
            await self._record(
                tx,
                action="auth.impersonation.started",
                actor=actor_of(principal),
                resource=f"auth.impersonations/{session}",
                details=details,
            )
        subject = NOBODY[kind] if user is None else user.id
        token = await self._minter.access_token(
            tenant.id, subject, role, session, None if user is None else user.email, {CLAIM: admin, "impersonation_reason": reason}
        )
        return row, user, token

    async def stop(self, principal: Principal) -> int:
        """End what the caller is at; by the impersonating token too, which ends itself. How many ended."""
        tenant = self._tenant_of(principal.tenant)
        behind = principal.impersonated_by
        async with self._sessions(tenant, reason="end an impersonation") as tx:
            ended = await self._end(tx, tenant, behind or self._admin(principal), principal.session_id if behind else None)
            if ended:
                await self._record(
                    tx, action="auth.impersonation.ended", actor=f"user:{behind or principal.user_id}", resource="auth.impersonations",
                    details={"ended": ended, "tenant": tenant.id},
                )  # fmt: skip
        return len(ended)

    async def current(self, principal: Principal) -> tuple[Row | None, User | None]:
        """What the caller is at, and as whom."""
        tenant = self._tenant_of(principal.tenant)
        async with self._sessions(tenant, reason="read an impersonation") as tx:
            row = await store.select_current(tx, tenant.id, principal.impersonated_by or self._admin(principal))
            target = None if row is None or row["target_user_id"] is None else UserId(row["target_user_id"])
            return row, None if target is None else await user_store.select_user(tx, tenant.id, target)

    async def history(self, principal: Principal, limit: int, offset: int) -> list[Row]:
        """Of the whole tenant."""
        async with self._sessions(self._tenant_of(principal.tenant), reason="list impersonations") as tx:
            return await store.select_history(tx, principal.tenant, limit=limit, offset=offset)

    async def _target(self, tx: Any, tenant: Tenant, target: str) -> User:
        user = await user_store.select_user(tx, tenant.id, UserId(target))
        if user is None or user.deleted_at is not None:
            raise NotFound("No such user.", code="unknown_user")
        held = (await rbac_store.select_grants(tx, tenant.id, target))["permissions"]
        administers_something = any(covers(held, name) for name in PERMISSIONS if name.startswith(ADMIN_AREAS))
        if user.role in ADMIN_ROLES or administers_something or any(text.startswith(("*", *ADMIN_AREAS)) for text in held):
            raise Forbidden("An administrator is never impersonated.", code="target_is_admin")
        return user

    async def _end(self, tx: Any, tenant: Tenant, admin: str, only: str | None) -> list[str]:
        """Their sessions' ids. A token that acts as no user has no session, only its denial."""
        ended = await store.end_impersonations(tx, tenant.id, admin, only)
        prefix, reason, seconds = self._prefix_of(tenant), "impersonation ended", self._seconds + 60
        for session, target in ended:
            await deny(tx, f"{prefix}session:{session}", reason, _in(seconds))
            if target is not None:
                await session_store.end_sessions(tx, tenant.id, target, reason=reason, prefix=prefix, deny_seconds=seconds, only=session)
        return [session for session, _ in ended]

    @staticmethod
    def _admin(principal: Principal) -> str:
        if principal.impersonated_by is not None:
            raise Forbidden("Whoever impersonates cannot do this.", code="is_impersonating")
        if principal.user_id is None:
            raise Forbidden("A signed-in administrator is required.", code="user_required")
        return principal.user_id


def _in(seconds: int) -> int:
    return int(time.time()) + seconds
