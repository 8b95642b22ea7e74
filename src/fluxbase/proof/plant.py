"""Plants canaries in a tenant; ``removal.py`` takes them away again.

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

from fluxbase.auth.rules import ACCESS_TYPE
from fluxbase.crypto.opaque import PUBLISHABLE, SECRET, format_opaque
from fluxbase.db.named_sql import named_sql
from fluxbase.db.sql import quote_ident
from fluxbase.kernel.errors import Internal
from fluxbase.proof.journal import Before, Planted
from fluxbase.proof.removal import ACTOR, own_settings, owner_sessions
from fluxbase.proof.request import AGENT, ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxbase.app import Program
    from fluxbase.tenancy.registry import Tenant
    from fluxbase.web.context import App

ADDRESS = "@proof.invalid"
"""No mail can be delivered there (RFC 2606)."""


@dataclass(slots=True)
class Place:
    """One of the two tenants: its credentials, its canary, and the values that fill templates."""

    tenant: Tenant
    canary: str
    credentials: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    values: dict[str, str] = field(default_factory=dict[str, str], repr=False)

    def headers(self, kind: str, *, is_entry: bool = False) -> dict[str, str]:
        """The request headers of one kind of credential."""
        if kind == "nobody":
            return {"x-fb-tenant": self.tenant.slug}
        if is_entry:
            return {"apikey": self.credentials[kind]}
        return {"authorization": f"Bearer {self.credentials[kind]}"}

    def secrets(self) -> dict[str, str]:
        """What must stay with the tenant, by name."""
        return {"canary": self.canary, "secret key": self.credentials["secret_key"], "service key": self.credentials["service_key"]}


class Plants:
    """Canaries, credentials and state of the tenants under proof."""

    def __init__(self, program: Program, app: App) -> None:
        self._program = program
        self._app = app
        self._owner = owner_sessions(program)
        self.places: list[Place] = []
        self.schema = program.config.data.schemas[0]
        self.scratch = f"proof-{secrets.token_hex(6)}"
        """A tenant that destructive verbs may work on; further ones made by calls begin with its name."""

    async def planned(self, tenants: Sequence[Tenant]) -> Planted:
        """What will be planted, and what is there before."""
        rows = [await self._program.tenants.get(tenant.id) for tenant in tenants]
        before = [
            Before(tenant.id, f"canary-{secrets.token_hex(12)}", row.name, row.metadata, await own_settings(self._program, tenant))
            for tenant, row in zip(tenants, rows, strict=True)
        ]
        return Planted(AGENT, self.scratch, before)

    async def plant(self, tenants: Sequence[Tenant], planned: Planted, *, with_scratch: bool) -> list[Place]:
        """Schema, rows, comments, metadata, keys and tokens of each tenant."""
        from fluxbase.tenancy.lifecycle import NewTenant

        if with_scratch:
            await self._program.tenants.create(NewTenant(self.scratch, isolation="row"), actor=ACTOR)
        planted: set[str] = set()
        for tenant, before in zip(tenants, planned.tenants, strict=True):
            where = f"{tenant.database}.{tenant.schema}"
            if where not in planted:
                await self._as_owner(tenant, "plant")
                planted.add(where)
            place = Place(tenant, before.canary)
            await self._fill(place, before)
            self.places.append(place)
        self._program.registry.forget()
        return self.places

    async def _fill(self, place: Place, before: Before) -> None:
        program, tenant = self._program, place.tenant
        place.credentials = {
            **(await program.keys.show(tenant)).revealed(),
            "instance": (await program.keys.show(program.registry.default)).service_key.reveal(),
        }
        signer = (await program.rings.get(tenant.id)).ring.signer
        place.values = {
            "tenant": tenant.id, "slug": tenant.slug, "host": f"{tenant.slug}.{program.config.tenants.base_host}", "canary": place.canary,
            "schema": self.schema, "own_schema": self.schema_of(tenant),
            "kid": signer.key_id, "scratch": self.scratch, "row": str(uuid.uuid4()), "public_row": str(uuid.uuid4()),
            "spare": str(uuid.uuid4()),
        }  # fmt: skip
        await self._make_user(place)
        await self.refresh(place)
        if tenant.isolation != "row":
            await self._as_owner(tenant, "comment", place.canary)
        await program.tenants.update(tenant.id, metadata={**before.metadata, "proof": place.canary}, actor=ACTOR)

    async def _make_user(self, place: Place) -> None:
        """A user of the tenant, by its own service key, with the canary in what the user says of himself."""
        place.values |= {"email": f"{place.canary}{ADDRESS}", "password": secrets.token_urlsafe(18)}
        body = {
            "email": place.values["email"], "password": place.values["password"], "email_verified": True,
            "user_metadata": {"proof": place.canary},
        }  # fmt: skip
        made = await ask(self._app, "POST", "/api/v1/admin/users", place.headers("service_key"), body)
        if made.status != 201:
            raise Internal(f"The proof could not make a user: {made.status}.", code="proof_user")
        place.values["user"] = made.json()["id"]
        await self.sign_in(place)

    async def sign_in(self, place: Place) -> None:
        """A new session of the planted user."""
        body = {"email": place.values["email"], "password": place.values["password"]}
        answer = await ask(self._app, "POST", "/api/v1/auth/signin", place.headers("anon_key", is_entry=True), body)
        if answer.status != 200:
            raise Internal(f"The proof's user could not sign in: {answer.status}.", code="proof_user")
        token = str(answer.json()["access_token"])
        place.credentials["access_token"] = token
        place.values["session"] = str(orjson.loads(decoded(token.split(".")[1]))["session_id"])

    async def refresh(self, place: Place) -> None:
        """Put back the rows that calls use up, and give what must be new each time a new name."""
        rows = [place.values[name] for name in ("row", "spare", "public_row")]
        await self._on_table(place.tenant, "rows", *rows, place.canary)
        place.values |= {"new": str(uuid.uuid4()), "fresh": f"{self.scratch}-{secrets.token_hex(4)}"}

    def schema_of(self, tenant: Tenant) -> str:
        """The schema that holds a tenant's tables."""
        return tenant.schema or self.schema

    async def state(self, place: Place) -> str:
        """Changes when anything that was planted in the tenant does."""
        main, tenant = self._program.registry.default, place.tenant
        rows = await self._on_table(tenant, "state")
        async with self._program.sessions(main, reason="prove tenants", is_single=True) as tx:
            line = await tx.fetch(named_sql("proof", "register"), tenant.id)
        async with self._program.sessions(tenant, reason="prove tenants", is_single=True) as tx:
            users = await tx.fetch(named_sql("proof", "users"), tenant.id)
        return f"{rows[0][0]}:{line[0][0]}:{users[0][0]}"

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

    async def close(self) -> None:
        """End the connections."""
        await self._owner.close()

    async def _as_owner(self, tenant: Tenant, name: str, canary: str = "") -> None:
        """Statements on the schema of a tenant."""
        async with self._owner(tenant, reason="prove tenants") as tx:
            await tx.fetch(named_sql("proof", "settings"), self.schema_of(tenant), canary)
            for statement in named_sql("proof", name).split("-- then\n"):
                await tx.fetch(statement)

    async def _on_table(self, tenant: Tenant, name: str, *params: str) -> list[tuple[Any, ...]]:
        """One statement on the planted table; where tenants share it, the one that names the tenant."""
        table = f"{quote_ident(self.schema_of(tenant))}.fluxbase_proof"
        is_shared = tenant.isolation == "row"
        statement = named_sql("proof", f"shared_{name}" if is_shared else name).format(table=table)
        async with self._owner(tenant, reason="prove tenants", is_single=True) as tx:
            return await tx.fetch(statement, *params, *([tenant.id] if is_shared else []))


def decoded(part: str) -> bytes:
    """One part of a token."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
