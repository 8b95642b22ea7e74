"""The providers' own tokens: sealed with the master key for their row, given to their user, refreshed, revoked.

Sealed values carry the key's id and are bound to tenant, user and identity (associated data), so that a row copied to another
user does not open (contract-native 4.7).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from fluxbase.auth.providers import store
from fluxbase.auth.providers.exchange import ProviderTokens
from fluxbase.auth.providers.registry import providers_of
from fluxbase.kernel.errors import AuthError

if TYPE_CHECKING:
    from fluxbase.auth.ports import AuditRecorder, SystemSessions, SystemTx
    from fluxbase.auth.providers.exchange import OAuthClient
    from fluxbase.auth.redirects import RedirectRule
    from fluxbase.crypto.master import MasterKey
    from fluxbase.kernel.ids import UserId
    from fluxbase.tenancy.registry import Tenant

REFRESH_BEFORE_SECONDS = 60


class TokenVault:
    """Seals and opens."""

    def __init__(self, master: MasterKey) -> None:
        self._master = master

    def seal(self, text: str, place: str) -> bytes:
        """For one place."""
        return self._master.seal(text.encode(), place)

    def open(self, sealed: bytes, place: str) -> str:
        """From that place only."""
        return self._master.open(bytes(sealed), place).decode()

    def seal_tokens(self, tokens: ProviderTokens | None, place: str) -> bytes | None:
        """None stays None."""
        return None if tokens is None else self._master.seal(orjson.dumps(tokens.as_json()), place)

    def open_tokens(self, sealed: bytes | None, place: str) -> ProviderTokens | None:
        """None stays None."""
        return None if sealed is None else ProviderTokens(**orjson.loads(self._master.open(bytes(sealed), place)))

    async def keep(self, tx: SystemTx, tenant: Tenant, user: UserId, identity: str, provider: str, tokens: ProviderTokens) -> None:
        """As the newest of an identity."""
        sealed = self._master.seal(orjson.dumps(tokens.as_json()), place_of(tenant, user, identity))
        await store.put_tokens(tx, tenant.id, user, identity, provider, sealed, tokens.expires_at)


def place_of(tenant: Tenant, user: UserId, identity: str) -> str:
    """What a row of ``auth.provider_tokens`` is bound to."""
    return f"provider_tokens:{tenant.id}:{user}:{identity}"


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """What ending a provider's session did."""

    is_revoked_here: bool
    is_revoked_there: bool
    url: str | None


class ProviderTokenService:
    """What a user does with his provider's tokens."""

    def __init__(
        self, transactions: SystemSessions, client: OAuthClient, vault: TokenVault, redirects: RedirectRule, record: AuditRecorder
    ) -> None:  # fmt: skip
        self._transactions = transactions
        self._client = client
        self._vault = vault
        self._redirects = redirects
        self._record = record

    async def current(self, tenant: Tenant, user: UserId, name: str) -> ProviderTokens:
        """The user's tokens, refreshed when they end within a minute. Raises AuthError ``oauth_token_not_found``."""
        provider = providers_of(tenant).get(name)
        async with self._transactions(tenant, reason="read a provider's tokens") as tx:
            found = await store.select_tokens(tx, tenant.id, user, provider.name)
        tokens = None if found is None else self._vault.open_tokens(found[1], place_of(tenant, user, found[0]))
        if found is None or tokens is None:
            raise AuthError("There is no token of this provider: sign in with it first.", code="oauth_token_not_found")
        if tokens.expires_at is None or tokens.expires_at - REFRESH_BEFORE_SECONDS > time.time() or not tokens.refresh_token:
            return tokens
        fresh = await self._client.refresh(provider, tokens)
        async with self._transactions(tenant, reason="keep a provider's refreshed tokens") as tx:
            await self._vault.keep(tx, tenant, user, found[0], provider.name, fresh)
        return fresh

    async def log_out(self, tenant: Tenant, user: UserId, name: str, redirect_to: str | None) -> LoggedOut:
        """Forget the tokens, tell the provider, and say where a browser ends its session there."""
        provider = providers_of(tenant).get(name)
        target = self._redirects.checked(tenant, redirect_to)
        async with self._transactions(tenant, reason="log out at a provider") as tx:
            found = await store.select_tokens(tx, tenant.id, user, provider.name)
            removed = await store.delete_tokens(tx, tenant.id, user, provider.name)
            await self._record(
                tx, action="auth.provider.logged_out", actor=f"user:{user}", resource=f"user:{user}", details={"provider": provider.name}
            )
        tokens = None if found is None else self._vault.open_tokens(found[1], place_of(tenant, user, found[0]))
        is_revoked = tokens is not None and await self._client.revoke(provider, tokens)
        return LoggedOut(removed > 0, is_revoked, await self._client.logout_url(provider, tokens, target))
