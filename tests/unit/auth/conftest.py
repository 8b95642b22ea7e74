"""A verifier with real keys and no database: its ring is made here."""

from __future__ import annotations

import asyncio
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from fluxbase.auth.keyring import KeyRing, KeyRings
from fluxbase.auth.minter import TokenMinter
from fluxbase.auth.rules import KEY_TYPE, TokenRules
from fluxbase.auth.store import KeyRow
from fluxbase.auth.verify import Verifier, key_claims
from fluxbase.crypto.jwt import JwtKey, hs256, new_es256
from fluxbase.crypto.opaque import PUBLISHABLE, SECRET, format_opaque, tenant_locator
from fluxbase.kernel.ids import TenantId
from tests.unit.auth.tokens import Forge, raw_signer

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from fluxbase.kernel.principal import Principal

TENANT = TenantId("11111111-1111-4111-8111-111111111111")
OTHER = TenantId("22222222-2222-4222-8222-222222222222")
ISSUER = "https://api.example/auth/v1"
USER = "33333333-3333-4333-8333-333333333333"
SESSION = "44444444-4444-4444-8444-444444444444"
JWT_SECRET = "super-secret-jwt-token-with-at-least-32-characters-long"


class Bench:
    """Everything a token test needs, around one verifier."""

    def __init__(self, *, shared: str | None = None, custom_roles: tuple[str, ...] = (), cache_entries: int = 100) -> None:
        self.rules = TokenRules(issuer=ISSUER, custom_roles=frozenset(custom_roles))
        self.signing: dict[TenantId, JwtKey] = {each: new_es256(tenant_locator(each)) for each in (TENANT, OTHER)}
        self.shared = hs256("shared", shared) if shared is not None else None
        self.rows: list[KeyRow] = []
        self.loads = 0
        self.time = 0.0
        self.rings = KeyRings(self._load, clock=lambda: self.time)
        self.verifier = Verifier(self.rings, self.rules, cache_entries=cache_entries)
        self.minter = TokenMinter(self.rings, self.rules)

    async def _load(self, tenant: TenantId) -> KeyRing:
        self.loads += 1
        verifying = {self.signing[tenant].key_id: self.signing[tenant]}
        shared = self.shared if tenant == TENANT else None
        if shared is not None:
            verifying["shared"] = shared
        return KeyRing(
            locator=tenant_locator(tenant),
            signer=shared or self.signing[tenant],
            verifying=verifying,
            shared=shared,
            keys={row.id: row for row in self.rows},
            by_hash={row.opaque_hash: row for row in self.rows},
        )

    def add_key(self, kind: str, *, revoked_at: int | None = None, expires_in: int = 10**8, number: int = 0) -> tuple[KeyRow, str, str]:
        """A key row with its two forms."""
        prefix, role = (PUBLISHABLE, "anon") if kind == "anon" else (SECRET, "service_role")
        twin = format_opaque(prefix, tenant_locator(TENANT), bytes([number] * 32))
        now = int(time.time())
        row = KeyRow(f"key-{kind}-{number}", kind, role, now - 10, now + expires_in, revoked_at, sha256(twin.encode()).digest())
        self.rows.append(row)
        self.rings.forget(TENANT)
        return row, self.signing[TENANT].sign(key_claims(row, ISSUER), KEY_TYPE), twin

    def check(self, raw: str, *, tenant: TenantId = TENANT, now: float | None = None) -> Principal:
        """Authenticate, from synchronous tests."""
        return self.run(self.verifier.authenticate(tenant, raw, now=now))

    def mint(self, **options: Any) -> str:
        """A good access token."""
        return self.run(self.minter.access_token(options.pop("tenant", TENANT), options.pop("user_id", USER), **options))

    def forge(self) -> Forge:
        """The corpus' starting point."""
        good = self.mint(session_id=SESSION, email="ada@example.test")
        key = self.signing[TENANT]
        public = key.public_jwk()
        assert public is not None
        return Forge(good, public, raw_signer(key))

    @staticmethod
    def run(awaitable: Awaitable[Any]) -> Any:
        """Run to the end."""

        async def wait() -> Any:
            return await awaitable

        return asyncio.run(wait())


@pytest.fixture
def bench() -> Bench:
    """ES256 only, as shipped."""
    return Bench()


@pytest.fixture
def shared_bench() -> Bench:
    """With ``auth.jwt_secret`` set."""
    return Bench(shared=JWT_SECRET)
