"""Organisations of a tenant, their members and teams (docs/rbac.md). For their own members.

Who is no member gets the same 404 as for an organisation that is not there (threat B30); what a member may do is what his
role and his teams' roles there hold, read in the transaction that does it, so that a demotion a moment ago counts.
Nobody gives more than he holds; an organisation keeps an owner.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

from fluxbase.auth import rbac_store as store
from fluxbase.auth import user_store
from fluxbase.auth.roles import actor_of, refuse_more_than_own
from fluxbase.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound
from fluxbase.kernel.ids import UserId
from fluxbase.kernel.permissions import administers, covers

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxbase.auth.ports import AuditRecorder, SystemSessions
    from fluxbase.auth.rbac_store import Row
    from fluxbase.kernel.ids import TenantId
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
OWNER = "owner"
BUILT_IN = {
    OWNER: ("Owns the organisation.", ["orgs:*:*"]),
    "admin": ("Runs the organisation for its owner.", ["orgs:members:write", "orgs:organisation:write", "orgs:teams:write"]),
}
"""Made with the first organisation of a tenant; the tenant may change them."""
MOST_ORGANISATIONS = 1000
PAGE = 100


def unknown() -> NotFound:
    """The one answer for an organisation that is not there and for one the caller is no member of."""
    return NotFound("No such organisation.", code="unknown_organisation")


class Organisations:
    """The use cases of organisations."""

    def __init__(
        self, sessions: SystemSessions, tenant_of: Callable[[TenantId], Tenant], record: AuditRecorder
    ) -> None:  # fmt: skip
        self._sessions = sessions
        self._tenant_of = tenant_of
        self._record = record

    async def list(self, principal: Principal, offset: int) -> list[Row]:
        """The caller's own; an administrator of the tenant sees all of them."""
        user = None if _is_administrator(principal) else _user_of(principal)
        async with self._open(principal, "list organisations") as tx:
            return await store.select_organisations(tx, principal.tenant, user, limit=PAGE, offset=offset)

    async def create(self, principal: Principal, slug: str, name: str, metadata: Row, owner: str | None) -> Row:
        """Make one; a user becomes its owner, an administrator may name another. Raises InvalidInput, Forbidden, NotFound, Conflict."""
        if not SLUG.fullmatch(slug) or "--" in slug:
            raise InvalidInput("Not a slug.", code="bad_slug", hint="Lower-case letters, digits and single hyphens, 63 at most.")
        if owner is not None and not _is_administrator(principal):
            raise Forbidden("Only an administrator names the owner.", code="owner_named")
        async with self._open(principal, "make an organisation") as tx:
            if not _is_administrator(principal):
                await self._refuse_too_many(tx, principal)
            if owner is not None and await user_store.select_user(tx, principal.tenant, UserId(owner), is_locking=True) is None:
                raise NotFound("No such user.", code="unknown_user", hint="owner_id: the id of an account of this tenant.")
            for role, (about, permissions) in BUILT_IN.items():
                await store.upsert_role(tx, principal.tenant, role, about, permissions, keeps=True)
            row = await store.insert_organisation(tx, principal.tenant, slug, _name(name or slug), metadata, principal.user_id)
            if row is None:
                raise Conflict("An organisation with this slug exists.", code="already_exists")
            first = owner or principal.user_id
            if first is not None:
                await store.upsert_member(tx, principal.tenant, row["id"], first, OWNER)
            await self._note(tx, principal, "auth.organisation.created", row["id"], {"owner": first})
        return row

    async def _refuse_too_many(self, tx: Any, principal: Principal) -> None:
        if (
            await store.count_created(tx, principal.tenant, _user_of(principal))
            >= self._tenant_of(principal.tenant).settings.rbac.organisations_per_user
        ):
            raise Forbidden("You may not make another organisation.", code="too_many_organisations")

    async def get(self, principal: Principal, organisation: str) -> Row:
        """One the caller is a member of. Raises NotFound."""
        async with self._open(principal, "read an organisation") as tx:
            row, _ = await self._enter(tx, principal, organisation)
            return row

    async def id_of(self, principal: Principal, slug: str) -> str:
        """The id of a slug. Raises NotFound, also where :meth:`get` would."""
        async with self._open(principal, "find an organisation") as tx:
            row = await store.select_organisation_named(tx, principal.tenant, slug)
        if row is None:
            raise unknown()
        return str((await self.get(principal, row["id"]))["id"])

    async def update(self, principal: Principal, organisation: str, name: str | None, metadata: Row | None) -> Row:
        """Name and metadata."""
        async with self._open(principal, "change an organisation") as tx:
            await self._enter(tx, principal, organisation, "orgs:organisation:write")
            row = await store.update_organisation(tx, principal.tenant, organisation, None if name is None else _name(name), metadata)
            await self._note(tx, principal, "auth.organisation.updated", organisation, {})
            return row or {}

    async def delete(self, principal: Principal, organisation: str) -> None:
        """With everything in it."""
        async with self._open(principal, "delete an organisation") as tx:
            await self._enter(tx, principal, organisation, "orgs:organisation:delete")
            await store.delete_organisation(tx, principal.tenant, organisation)
            await self._note(tx, principal, "auth.organisation.deleted", organisation, {})

    async def members(self, principal: Principal, organisation: str) -> list[Row]:
        """Its members and their roles."""
        async with self._open(principal, "list members") as tx:
            await self._enter(tx, principal, organisation)
            return await store.select_members(tx, principal.tenant, organisation)

    async def set_member(self, principal: Principal, organisation: str, user: str, role: str | None, *, is_new: bool) -> Row:
        """Take a user in, or change his role. Raises NotFound, Forbidden, Conflict (already a member, the last owner)."""
        async with self._open(principal, "change a member") as tx:
            _, held = await self._enter(tx, principal, organisation, "orgs:members:write")
            before = {row["user_id"]: row["role"] for row in await store.select_members(tx, principal.tenant, organisation)}
            if is_new and user in before:
                raise Conflict("Already a member.", code="already_exists")
            if not is_new and user not in before:
                raise NotFound("No such member.", code="unknown_member")
            await self._grantable(tx, principal, held, role)
            await self._grantable(tx, principal, held, before.get(user))
            _keep_an_owner({**before, user: role}, before)
            row = await store.upsert_member(tx, principal.tenant, organisation, user, role)
            await self._note(tx, principal, "auth.member.written", organisation, {"user": user, "role": role})
            return row or {}

    async def remove_member(self, principal: Principal, organisation: str, user: str) -> None:
        """Put a member out; anybody may leave. Raises NotFound, Forbidden, Conflict (the last owner)."""
        async with self._open(principal, "remove a member") as tx:
            is_leaving = user == principal.user_id
            _, held = await self._enter(tx, principal, organisation, "" if is_leaving else "orgs:members:write")
            before = {row["user_id"]: row["role"] for row in await store.select_members(tx, principal.tenant, organisation)}
            if user not in before:
                raise NotFound("No such member.", code="unknown_member")
            if not is_leaving:
                await self._grantable(tx, principal, held, before[user])
            _keep_an_owner({who: role for who, role in before.items() if who != user}, before)
            await store.delete_member(tx, principal.tenant, organisation, user)
            await self._note(tx, principal, "auth.member.removed", organisation, {"user": user})

    async def teams(self, principal: Principal, organisation: str) -> list[Row]:
        """Its teams."""
        async with self._open(principal, "list teams") as tx:
            await self._enter(tx, principal, organisation)
            return await store.select_teams(tx, principal.tenant, organisation)

    async def create_team(self, principal: Principal, organisation: str, name: str, role: str | None) -> Row:
        """Raises Conflict, Forbidden."""
        async with self._open(principal, "make a team") as tx:
            _, held = await self._enter(tx, principal, organisation, "orgs:teams:write")
            await self._grantable(tx, principal, held, role)
            row = await store.insert_team(tx, principal.tenant, organisation, _name(name), role)
            if row is None:
                raise Conflict("A team of this name exists.", code="already_exists")
            await self._note(tx, principal, "auth.team.created", organisation, {"team": row["id"], "role": role})
            return row

    async def delete_team(self, principal: Principal, organisation: str, team: str) -> None:
        """Raises NotFound, Forbidden."""
        async with self._open(principal, "delete a team") as tx:
            await self._enter_team(tx, principal, organisation, team)
            await store.delete_team(tx, principal.tenant, organisation, team)
            await self._note(tx, principal, "auth.team.deleted", organisation, {"team": team})

    async def set_team_member(self, principal: Principal, organisation: str, team: str, user: str, *, is_in: bool) -> None:
        """Put a member into a team or out of it. Raises NotFound, Forbidden."""
        async with self._open(principal, "change a team") as tx:
            await self._enter_team(tx, principal, organisation, team)
            change = store.insert_team_member if is_in else store.delete_team_member
            if not await change(tx, principal.tenant, organisation, team, user):
                raise NotFound("No such member.", code="unknown_member")
            await self._note(tx, principal, "auth.team.changed", organisation, {"team": team, "user": user, "is_in": is_in})

    async def _enter(self, tx: Any, principal: Principal, organisation: str, needed: str = "") -> tuple[Row, list[str]]:
        """The organisation, and what the caller holds in it; refuses strangers as if it were not there."""
        row = await store.select_organisation(tx, principal.tenant, organisation)
        if row is None:
            raise unknown()
        if _is_administrator(principal):
            return row, [*principal.permissions]
        if principal.user_id is None:
            raise unknown()
        grants = await store.select_grants(tx, principal.tenant, principal.user_id)
        inside = grants["orgs"].get(organisation)
        if inside is None:
            raise unknown()
        held = [*grants["permissions"], *inside["permissions"]]
        if needed and not covers(held, needed):
            raise Forbidden("Your role in the organisation does not allow this.", code="organisation_role", details={"permission": needed})
        return row, held

    async def _enter_team(self, tx: Any, principal: Principal, organisation: str, team: str) -> None:
        _, held = await self._enter(tx, principal, organisation, "orgs:teams:write")
        row = await store.select_team(tx, principal.tenant, organisation, team)
        if row is None:
            raise NotFound("No such team.", code="unknown_team")
        await self._grantable(tx, principal, held, row["role"])

    async def _grantable(self, tx: Any, principal: Principal, held: list[str], role: str | None) -> None:
        """Whether the caller may give or take this role."""
        if role is None:
            return
        row = await store.select_role(tx, principal.tenant, role)
        if row is None:
            raise InvalidInput("No such role.", code="unknown_role")
        refuse_more_than_own(principal, row["permissions"], held)

    def _open(self, principal: Principal, reason: str) -> Any:
        return self._sessions(self._tenant_of(principal.tenant), reason=reason)

    async def _note(self, tx: Any, principal: Principal, action: str, organisation: str, details: dict[str, object]) -> None:
        await self._record(
            tx, action=action, actor=actor_of(principal), resource=f"auth.organisations/{organisation}",
            details={**details, "tenant": principal.tenant},
        )  # fmt: skip


def _is_administrator(principal: Principal) -> bool:
    """Of the tenant: its keys, platform administrators, users whose role holds ``orgs:organisations:write``."""
    return administers(principal) or covers(principal.permissions, "orgs:organisations:write")


def _user_of(principal: Principal) -> UserId:
    if principal.user_id is None:
        raise Forbidden("A signed-in user is required.", code="user_required")
    return principal.user_id


def _keep_an_owner(after: dict[str, str | None], before: dict[str, str | None]) -> None:
    if OWNER in before.values() and OWNER not in after.values():
        raise Conflict("An organisation keeps an owner.", code="last_owner", hint="Make somebody else its owner first.")


def _name(text: str) -> str:
    name = unicodedata.normalize("NFC", text).strip()
    if not name or len(name) > 200 or not name.isprintable():
        raise InvalidInput("A name has 1 to 200 printable characters.", code="bad_name")
    return name
