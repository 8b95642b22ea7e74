"""Plants canaries in a tenant and takes them away again.

A canary is a random text that stands in one tenant alone: in its rows (one public, the others private), in its
schema's comments, in its line of the register. Whatever answer, header, log line or metric shows the other tenant's is a leak.
"""

from __future__ import annotations

import base64
import secrets
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from fluxbase.auth.minter import TokenMinter
from fluxbase.auth.rules import ACCESS_TYPE
from fluxbase.crypto.opaque import PUBLISHABLE, SECRET, format_opaque
from fluxbase.db.named_sql import named_sql
from fluxbase.db.provision import OWNER_LOGIN
from fluxbase.db.session import SystemSessions

if TYPE_CHECKING:
    from fluxbase.app import Program
    from fluxbase.tenancy.registry import Tenant

ACTOR = "cli:prove"


@dataclass(slots=True)
class Place:
    """One of the two tenants: its credentials, its canary, and the values that fill templates."""

    tenant: Tenant
    canary: str
    credentials: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    values: dict[str, str] = field(default_factory=dict[str, str], repr=False)

    def headers(self, kind: str) -> dict[str, str]:
        """The request headers of one kind of credential."""
        if kind == "nobody":
            return {"x-fb-tenant": self.tenant.slug}
        return {"authorization": f"Bearer {self.credentials[kind]}"}

    def secrets(self) -> dict[str, str]:
        """What must stay with the tenant, by name."""
        return {"canary": self.canary, "secret key": self.credentials["secret_key"], "service key": self.credentials["service_key"]}


class Plants:
    """Canaries, credentials and state of the tenants under proof."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._owner = SystemSessions(lambda tenant: program.target.login_conninfo(OWNER_LOGIN, tenant.database))
        self.places: list[Place] = []
        self.schema = program.config.data.schemas[0]
        self.scratch = f"proof-{secrets.token_hex(6)}"
        """A tenant that destructive verbs may work on; further ones made by calls begin with its name."""

    async def plant(self, slugs: list[str], *, with_scratch: bool) -> list[Place]:
        """Schema, rows, comments, metadata, keys and tokens of each tenant. Raises NotFound for one that is not served."""
        from fluxbase.tenancy.lifecycle import NewTenant

        if with_scratch:
            await self._program.tenants.create(NewTenant(self.scratch, isolation="row"), actor=ACTOR)
        tenants = [await self._program.registry.resolve(slug) for slug in slugs]
        planted: set[str] = set()
        for tenant in tenants:
            place = Place(tenant, f"canary-{secrets.token_hex(12)}")
            where = f"{tenant.database}.{tenant.schema}"
            if where not in planted:
                await self._run(tenant, "plant")
                planted.add(where)
            self.places.append(place)
        for place in self.places:
            await self._fill(place)
        self._program.registry.forget()
        return self.places

    async def _fill(self, place: Place) -> None:
        program, tenant = self._program, place.tenant
        place.credentials = {
            **(await program.keys.show(tenant)).revealed(),
            "access_token": await self._token(tenant, user := await self._account(place)),
            "instance": (await program.keys.show(program.registry.default)).service_key.reveal(),
        }
        signer = (await program.rings.get(tenant.id)).ring.signer
        place.values = {
            "tenant": tenant.id, "slug": tenant.slug, "host": f"{tenant.slug}.{program.config.tenants.base_host}", "canary": place.canary,
            "schema": self.schema, "own_schema": self.schema_of(tenant),
            "kid": signer.key_id, "scratch": self.scratch, "row": str(uuid.uuid4()), "public_row": str(uuid.uuid4()),
            "spare": str(uuid.uuid4()), "user": user,
        }  # fmt: skip
        await self.refresh(place)
        if tenant.isolation != "row":
            async with self._owner(tenant, reason="plant a canary in a comment") as tx:
                await tx.fetch(named_sql("proof", "settings"), self.schema_of(tenant), place.canary)
                await tx.fetch(named_sql("proof", "comment"))
        await program.tenants.update(tenant.id, metadata={"proof": place.canary}, actor=ACTOR)

    async def _account(self, place: Place) -> str:
        """A user whose address and metadata have the canary; the id."""
        from fluxbase.auth.user_admin import UserChange
        from fluxbase.proof.calls.accounts import PASSWORD

        email, metadata = f"{place.canary}@proof.invalid", {"proof": place.canary}
        new = UserChange(email=email, password=PASSWORD, is_confirmed=True, user_metadata=metadata)
        return (await self._program.auth.users.create(place.tenant, new, actor=ACTOR)).id

    async def _token(self, tenant: Tenant, user: str) -> str:
        return await TokenMinter(self._program.rings, self._program.rules).access_token(tenant.id, user_id=user)

    async def refresh(self, place: Place) -> None:
        """Put back the rows that calls use up, and give what must be new each time a new name."""
        suffix = ["shared_row", place.tenant.id] if place.tenant.isolation == "row" else ["row"]
        for name, is_public in (("row", "false"), ("spare", "false"), ("public_row", "true")):
            await self._run(place.tenant, suffix[0], place.values[name], place.canary, is_public, *suffix[1:])
        place.values |= {"new": str(uuid.uuid4()), "fresh": f"{self.scratch}-{secrets.token_hex(4)}"}

    def schema_of(self, tenant: Tenant) -> str:
        """The schema that holds a tenant's tables."""
        return tenant.schema or self.schema

    async def state(self, place: Place) -> str:
        """Changes when anything that was planted in the tenant does."""
        shared = place.tenant.isolation == "row"
        rows = await self._run(place.tenant, "shared_state" if shared else "state", *([place.tenant.id] if shared else []))
        async with self._program.sessions(self._program.registry.default, reason="prove tenants") as tx:
            line = await tx.fetch(named_sql("proof", "register"), place.tenant.id)
        return f"{rows[0][0]}:{line[0][0]}"

    async def forged(self, own: Place, other: Place) -> dict[str, str]:
        """Credentials that ``own`` can make of what it has to name ``other``: by claim, by key id, by locator."""
        signer = (await self._program.rings.get(own.tenant.id)).ring.signer
        header, claims, signature = own.credentials["access_token"].split(".")
        their_header, their_claims, _ = other.credentials["access_token"].split(".")
        material = secrets.token_bytes(32)
        return {
            "token naming the other in a claim": signer.sign({**orjson.loads(decoded(claims)), "tenant_id": other.tenant.id}, ACCESS_TYPE),
            "token under the other's key id": f"{their_header}.{claims}.{signature}",
            "token of the other under one's own signature": f"{their_header}.{their_claims}.{signature}",
            "claims of the other under one's own signature": f"{header}.{their_claims}.{signature}",
            "publishable key with the other's locator": format_opaque(PUBLISHABLE, other.tenant.locator, material),
            "secret key with the other's locator": format_opaque(SECRET, other.tenant.locator, material),
        }

    async def remove(self) -> None:
        """Take everything away again, tenants that calls made included."""
        for place in self.places:
            await self._run(place.tenant, "remove")
        tenants = self._program.tenants
        for row in await tenants.list(with_deleted=True):
            if row.slug.startswith(self.scratch):
                await tenants.delete(row.id, is_hard=True, actor=ACTOR)
        await self._owner.close()

    async def _run(self, tenant: Any, name: str, *params: str) -> list[tuple[Any, ...]]:
        async with self._owner(tenant, reason="prove tenants") as tx:
            await tx.fetch(named_sql("proof", "settings"), self.schema_of(tenant), "")
            return await tx.fetch(named_sql("proof", name), *params)


def decoded(part: str) -> bytes:
    """One part of a token."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
