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

from fluxbase.auth.rules import ACCESS_TYPE
from fluxbase.crypto.opaque import PUBLISHABLE, SECRET, format_opaque
from fluxbase.db.named_sql import named_sql
from fluxbase.db.provision import OWNER_LOGIN
from fluxbase.db.session import SystemSessions
from fluxbase.kernel.errors import Internal
from fluxbase.proof.request import AGENT, ask

if TYPE_CHECKING:
    from fluxbase.app import Program
    from fluxbase.tenancy.registry import Tenant
    from fluxbase.web.context import App

ACTOR = "cli:prove"
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
            async with self._owner(tenant, reason="plant a canary in a comment") as tx:
                await tx.fetch(named_sql("proof", "settings"), self.schema_of(tenant), place.canary)
                await tx.fetch(named_sql("proof", "comment"))
        await program.tenants.update(tenant.id, metadata={"proof": place.canary}, actor=ACTOR)

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
        async with self._program.sessions(place.tenant, reason="prove tenants") as tx:
            users = await tx.fetch(named_sql("proof", "users"), place.tenant.id)
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

    async def remove(self) -> None:
        """Take everything away again, tenants that calls made included."""
        for place in self.places:
            await self._run(place.tenant, "remove")
            async with self._program.sessions(place.tenant, reason="take the proof's users away") as tx:
                await tx.fetch(named_sql("proof", "remove_mails"), place.tenant.id)
                await tx.fetch(named_sql("proof", "remove_users"), place.tenant.id, AGENT)
                await tx.fetch(named_sql("proof", "remove_named"), place.tenant.id, place.canary)
        async with self._program.sessions(self._program.registry.default, reason="take the proof's invitations away") as tx:
            await tx.fetch(named_sql("proof", "remove_invitations"))
        tenants = self._program.tenants
        for row in await tenants.list(with_deleted=True):
            if row.slug.startswith(self.scratch):
                await tenants.delete(row.id, is_hard=True, actor=ACTOR)
        await self._owner.close()

    async def _run(self, tenant: Any, name: str, *params: str) -> list[tuple[Any, ...]]:
        async with self._owner(tenant, reason="prove tenants") as tx:
            await tx.fetch(named_sql("proof", "settings"), self.schema_of(tenant), "")
            *before, last = named_sql("proof", name).split("-- then\n")
            for statement in before:
                await tx.fetch(statement)
            return await tx.fetch(last, *params)


def decoded(part: str) -> bytes:
    """One part of a token."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
