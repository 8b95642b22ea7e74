"""The providers that this installation offers: the catalogue, and our registration at each."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from joserfc import jwt
from joserfc.jwk import ECKey

from fluxbase.auth.providers.catalog import ALIASES, CATALOG, ProviderSpec
from fluxbase.config.oauth import AppleClient, GitLabClient, MicrosoftClient
from fluxbase.kernel.errors import AuthError

if TYPE_CHECKING:
    from fluxbase.config.oauth import OAuth, ProviderClient
    from fluxbase.kernel.secret import Secret
    from fluxbase.tenancy.registry import Tenant

APPLE_SECRET_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider and who we are there."""

    spec: ProviderSpec
    client_id: str
    client_secret: Secret | None
    scopes: tuple[str, ...]
    audiences: tuple[str, ...]
    apple: AppleClient | None = None

    @property
    def name(self) -> str:
        """As routes and identities call it."""
        return self.spec.name

    def secret(self) -> str | None:
        """The client secret; Apple's is a token signed now."""
        if self.apple is None or self.apple.private_key is None:
            return None if self.client_secret is None else self.client_secret.reveal()
        now = int(time.time())
        claims = {
            "iss": self.apple.team_id, "sub": self.client_id, "aud": self.spec.issuer, "iat": now, "exp": now + APPLE_SECRET_SECONDS,
        }  # fmt: skip
        key = ECKey.import_key(self.apple.private_key.reveal())
        return jwt.encode({"alg": "ES256", "kid": self.apple.key_id}, claims, key, algorithms=["ES256"])


class ProviderRegistry:
    """Providers of one tenant's settings, by name."""

    def __init__(self, settings: OAuth) -> None:
        found = [_known(spec, getattr(settings, spec.name)) for spec in CATALOG if getattr(settings, spec.name).client_id]
        for name, client in settings.oidc.items():
            spec = ProviderSpec(
                name, client.display_name or name, client.issuer, tuple(client.scopes), trusts_email=client.trusts_email,
                secret_in="client_secret_basic" if client.client_secret else "none",
            )  # fmt: skip
            found.append(Provider(spec, client.client_id, client.client_secret, spec.scopes, tuple(client.audiences)))
        self._providers = {provider.name: provider for provider in found}

    def all(self) -> list[Provider]:
        """In the order of the configuration."""
        return list(self._providers.values())

    def get(self, name: str) -> Provider:
        """By name or alias. Raises AuthError ``provider_disabled``."""
        provider = self._providers.get(ALIASES.get(name, name))
        if provider is None:
            raise AuthError("Unsupported provider: provider is not enabled", code="provider_disabled")
        return provider

    def by_issuer(self, issuer: str) -> Provider:
        """Of an ID token that names no provider. Raises AuthError ``provider_disabled``."""
        for provider in self._providers.values():
            if provider.spec.is_oidc and provider.spec.issuer == issuer:
                return provider
        raise AuthError("Unsupported provider: no provider has this issuer", code="provider_disabled")


def providers_of(tenant: Tenant) -> ProviderRegistry:
    """Those that a tenant offers now."""
    return ProviderRegistry(tenant.settings.oauth)


def _known(spec: ProviderSpec, client: ProviderClient) -> Provider:
    if isinstance(client, GitLabClient):
        spec = replace(spec, issuer=client.url.rstrip("/"))
    if isinstance(client, MicrosoftClient):
        spec = replace(spec, discovery=spec.discovery.replace("{directory}", client.directory))
    if isinstance(client, AppleClient) and client.private_key is not None:
        return Provider(spec, client.client_id, None, tuple(client.scopes) or spec.scopes, tuple(client.audiences), client)
    if client.client_secret is None:
        spec = replace(spec, secret_in="none")  # noqa: S106 - the name of a method
    return Provider(spec, client.client_id, client.client_secret, tuple(client.scopes) or spec.scopes, tuple(client.audiences))
