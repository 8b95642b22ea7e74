"""Platform administrators: how the first one is made, how others come, and how one works in a tenant (contract-native 1.2, 2.4).

Their accounts are users of :data:`HOME`, a tenant of their own that no header, host or slug names: passwords, sessions, refresh,
locks and second factors are those of every account, but its tokens are signed with its own keys. A platform credential is
looked up on each request (so its end, a ban, a lost assignment and a second factor that is owed act at once), and enters a tenant's
database only through a row minted there (DESIGN invariant 5). An instance administrator enters every tenant, a tenant's
administrator those he is assigned to.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from fluxbase.auth import platform_store as store
from fluxbase.auth.accounts import checked_email
from fluxbase.auth.roles import actor_of
from fluxbase.auth.user_admin import UserChange
from fluxbase.kernel.errors import AuthError, Conflict, Forbidden, NotFound, Revoked, Unauthenticated
from fluxbase.kernel.ids import ANON, SERVICE_ROLE, DatabaseName, TenantId
from fluxbase.kernel.permissions import OUTSIDE
from fluxbase.kernel.principal import CredentialKind, Principal
from fluxbase.tenancy.registry import Tenant, unknown_tenant

if TYPE_CHECKING:
    from fluxbase.auth.accounts import Accounts
    from fluxbase.auth.platform_store import Row
    from fluxbase.auth.ports import AuditRecorder, SystemSessions
    from fluxbase.auth.user_admin import UserAdmin
    from fluxbase.auth.users import Device, IssuedSession, SecondFactorRequired, User
    from fluxbase.tenancy.registry import TenantRegistry

HOME = TenantId("f1b0a5e0-0000-4000-8000-000000000001")
"""Whose users the platform's administrators are."""
INSTANCE_ADMIN, TENANT_ADMIN = "instance_admin", "tenant_admin"
ROLES = (INSTANCE_ADMIN, TENANT_ADMIN)
SETUP, INVITATION = "fb_st_", "fb_in_"
INVITATION_HOURS = 72


def at_home(principal: Principal) -> Principal:
    """A platform administrator as the owner of his account, for the services of accounts."""
    return replace(principal, tenant=HOME, session_id=principal.platform_session)


def home_tenant(main: DatabaseName, locator: str) -> Tenant:
    """The administrators' own tenant, in the main database."""
    return Tenant(HOME, "", main, locator)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


class Platform:
    """The use cases of platform administrators."""

    def __init__(
        self, sessions: SystemSessions, registry: TenantRegistry, home: Tenant, accounts: Accounts, users: UserAdmin,
        record: AuditRecorder, *, is_factor_required: bool = False,
    ) -> None:  # fmt: skip
        self._sessions = sessions
        self._registry = registry
        self.home = home
        self._accounts = accounts
        self._users = users
        self._record = record
        self._is_factor_required = is_factor_required

    # -- the first one ------------------------------------------------------------------------------------------------------

    async def has_admin(self) -> bool:
        """Whether set-up is over."""
        async with self._main("count administrators") as tx:
            return await store.count_admins(tx, HOME) > 0

    async def new_setup_token(self) -> str | None:
        """A token that makes the first administrator, once; None when there is one. An older token is void."""
        async with self._main("make a set-up token") as tx:
            if await store.count_admins(tx, HOME):
                return None
            token = SETUP + secrets.token_urlsafe(32)
            await store.put_setup_token(tx, _digest(token))
            return token

    async def set_up(self, email: str, password: str, name: str, token: str, device: Device) -> IssuedSession | SecondFactorRequired:
        """The first instance administrator. Raises Forbidden, Unauthenticated, AuthError."""
        address = checked_email(email)
        if await self.has_admin():
            raise Forbidden("Set-up is over.", code="setup_completed")
        await self._accounts.require_strength(password, address)
        account = await self._prepare(address, password, name, INSTANCE_ADMIN)
        async with self._main("use the set-up token") as tx:
            if await store.count_admins(tx, HOME) or not await store.use_setup_token(tx, _digest(token)):
                raise Unauthenticated("This set-up token is not valid.", code="invalid_setup_token")
            await self._record(tx, action="platform.setup", actor="setup", resource="platform", details={})
            await self._users.make(tx, self.home, account, actor="setup")
        return await self.sign_in(address, password, device)

    async def sign_in(self, email: str, password: str, device: Device) -> IssuedSession | SecondFactorRequired:
        """As every account signs in."""
        return await self._accounts.sign_in_with_password(self.home, email, password, device)

    async def sign_out(self, principal: Principal) -> None:
        """End the session; its tokens are refused on their next request."""
        if principal.platform_session is not None:
            await self._accounts.sign_out(self.home, at_home(principal), "local")

    async def me(self, principal: Principal) -> User:
        """The caller's account."""
        return await self._users.get(self.home, principal.user_id or "")

    def owes_factor(self, aal: str, *, has_factor: bool) -> bool:
        """Whether a session of this level must show a second factor, or set one up, before it opens anything."""
        return aal == "aal1" and (has_factor or self._is_factor_required)

    async def close_account(self, principal: Principal, password: str) -> None:
        """Delete the caller's own account, with its password. Raises AuthError, Conflict for the last one who administers the instance."""
        user = await self.me(principal)
        await self._accounts.require_password(self.home, user, password)
        await self.remove(principal, user.id)

    async def remove(self, principal: Principal, user: str) -> None:
        """Delete an administrator and his assignments. Raises AuthError ``unknown_user``, Conflict for the last of the instance."""
        role = (await self._users.get(self.home, user)).role
        async with self._main("remove an administrator") as tx:
            await self._keep_one(tx, role)
            await store.unassign_all(tx, user)
            await self._users.remove(tx, self.home, user, actor=actor_of(principal))

    async def set_role(self, principal: Principal, user: str, role: str) -> User:
        """Another role; his sessions end. Raises AuthError, Conflict for the last who administers the instance."""
        if role not in ROLES:
            raise AuthError(f"role must be one of {', '.join(ROLES)}", code="validation_failed")
        known = await self._users.get(self.home, user)
        async with self._main("change an administrator's role") as tx:
            if role != INSTANCE_ADMIN:
                await self._keep_one(tx, known.role)
            return await self._users.apply(tx, self.home, user, {"role": role}, actor=actor_of(principal))

    async def _keep_one(self, tx: Any, role: str) -> None:
        if role == INSTANCE_ADMIN and await store.count_admins(tx, HOME) < 2:
            raise Conflict("The instance would be left without an administrator.", code="last_administrator")

    async def _prepare(self, email: str, password: str, name: str, role: str) -> dict[str, Any]:
        return await self._users.prepare(
            UserChange(email=email, password=password, is_confirmed=True, user_metadata={"name": name}, role=role)
        )

    # -- at work ------------------------------------------------------------------------------------------------------------

    async def enter(self, principal: Principal, named: Tenant | None, address: str) -> Principal:
        """A verified token of :data:`HOME` as who it is now: at home, or in the tenant that is named. Raises Revoked, NotFound."""
        if principal.user_id is None or principal.session_id is None:
            raise Unauthenticated("This credential is not one of an administrator.", code="invalid_key")
        async with self._main("look an administrator up") as tx:
            found = await store.select_standing(tx, HOME, principal.user_id, principal.session_id, None if named is None else named.id)
        if found is None or found.role not in ROLES:
            raise Revoked("This session has ended.", pgrst="PGRST303")
        role, user, session = found.role, principal.user_id, principal.session_id
        principal = replace(principal, is_pending=self.owes_factor(found.aal, has_factor=found.has_factor))
        if named is None and role != INSTANCE_ADMIN:
            return self._as(principal, self._registry.default, OUTSIDE, None)
        if role != INSTANCE_ADMIN and not found.is_assigned:
            raise unknown_tenant()
        tenant = named or self._registry.default
        async with self._sessions(tenant, reason="an administrator enters") as tx:
            entry = await store.enter(tx, tenant.id, user, session, address)
        if entry is None:
            raise Revoked("This session has ended here.", pgrst="PGRST303")
        return self._as(principal, tenant, role, entry)

    def _as(self, principal: Principal, tenant: Tenant, role: str, entry: str | None) -> Principal:
        """In SQL he is the service role of the tenant he entered, and outside of any nobody."""
        database_role = ANON if entry is None else SERVICE_ROLE
        claims: dict[str, Any] = {"role": database_role, "platform_role": role, "session_id": entry}
        if entry is not None:
            claims["sub"] = principal.user_id
        return replace(
            principal, tenant=tenant.id, role=database_role, credential=CredentialKind.PLATFORM_TOKEN, platform_role=role,
            platform_session=principal.session_id,
            claims_json=orjson.dumps(claims).decode(), deny_keys=() if entry is None else (f"entry:{entry}",),
        )  # fmt: skip

    # -- assignments --------------------------------------------------------------------------------------------------------

    async def admins(self, tenant: TenantId) -> list[Row]:
        """Administrators of a tenant."""
        async with self._main("list administrators") as tx:
            return await store.select_assigned(tx, tenant)

    async def tenants_of(self, principal: Principal) -> list[str]:
        """Ids of the tenants an administrator is assigned to."""
        async with self._main("list an administrator's tenants") as tx:
            return await store.select_tenants_of(tx, principal.user_id or "")

    async def assign(self, principal: Principal, tenant: TenantId, user: str) -> Row:
        """Make a platform user an administrator of a tenant. Raises AuthError ``unknown_user``."""
        await self._users.get(self.home, user)
        async with self._main("assign an administrator") as tx:
            await store.assign(tx, tenant, user, actor_of(principal))
            await self._note(tx, principal, "platform.admin.assigned", tenant, {"user": user})
            return next(row for row in await store.select_assigned(tx, tenant) if row["user_id"] == user)

    async def unassign(self, principal: Principal, tenant: TenantId, user: str) -> None:
        """From his next request on. Raises NotFound."""
        async with self._main("unassign an administrator") as tx:
            if not await store.unassign(tx, tenant, user):
                raise NotFound("No such administrator.", code="unknown_admin")
            await self._note(tx, principal, "platform.admin.unassigned", tenant, {"user": user})

    # -- invitations --------------------------------------------------------------------------------------------------------

    async def invite(self, principal: Principal, email: str, role: str, tenant: TenantId | None) -> tuple[Row, str]:
        """The invitation and, this once, its token. Only who administers the instance invites into it."""
        address = checked_email(email)
        token = INVITATION + secrets.token_urlsafe(32)
        async with self._main("invite an administrator") as tx:
            row = await store.insert_invitation(tx, _digest(token), address, role, tenant, actor_of(principal), INVITATION_HOURS)
            await self._note(tx, principal, "platform.invited", tenant or HOME, {"role": role, "invitation": row["id"]})
        return row, token

    async def invitations(self, tenant: TenantId | None) -> list[Row]:
        """All, or those into one tenant."""
        async with self._main("list invitations") as tx:
            return await store.select_invitations(tx, tenant)

    async def withdraw(self, principal: Principal, text: str, tenant: TenantId | None) -> None:
        """By id or token. Raises NotFound."""
        is_token = text.startswith(INVITATION)
        async with self._main("withdraw an invitation") as tx:
            if not await store.delete_invitation(tx, _digest(text) if is_token else None, None if is_token else text, tenant):
                raise NotFound("No such invitation.", code="unknown_invitation")
            await self._note(tx, principal, "platform.invitation.withdrawn", tenant or HOME, {})

    async def invitation(self, token: str) -> Row:
        """One that can be accepted now. Raises NotFound: the same for used, expired, withdrawn and unknown ones."""
        async with self._main("read an invitation") as tx:
            row = await store.select_open_invitation(tx, _digest(token))
        if row is None:
            raise NotFound("No such invitation.", code="unknown_invitation")
        return row

    async def accept(self, token: str, password: str, name: str, device: Device) -> IssuedSession | SecondFactorRequired:
        """Make the account, once, and with it the invitation is used; refused, it is not. Raises NotFound, AuthError."""
        row = await self.invitation(token)
        await self._accounts.require_strength(password, row["email"])
        account = await self._prepare(row["email"], password, name, row["role"])
        async with self._main("accept an invitation") as tx:
            row = await store.use_invitation(tx, _digest(token))
            if row is None:
                raise NotFound("No such invitation.", code="unknown_invitation")
            actor = f"invitation:{row['id']}"
            await self._record(
                tx, action="platform.invitation.accepted", actor=actor, resource=f"platform.invitations/{row['id']}",
                details={"role": row["role"]},
            )  # fmt: skip
            user = await self._users.make(tx, self.home, account, actor=actor)
            if row["tenant_id"] is not None:
                await store.assign(tx, TenantId(row["tenant_id"]), user.id, actor)
        return await self.sign_in(row["email"], password, device)

    def _main(self, reason: str) -> Any:
        return self._sessions(self._registry.default, reason=reason)

    async def _note(self, tx: Any, principal: Principal, action: str, tenant: TenantId, details: dict[str, object]) -> None:
        await self._record(tx, action=action, actor=actor_of(principal), resource=f"platform.tenants/{tenant}", details=details)
