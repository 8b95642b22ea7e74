"""Signing in with identity providers, put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxbase.audit.store import record
from fluxbase.auth.providers.discovery import Directory
from fluxbase.auth.providers.exchange import OAuthClient
from fluxbase.auth.providers.flows import OAuthFlows
from fluxbase.auth.providers.id_token import IdTokens
from fluxbase.auth.providers.identities import Identities
from fluxbase.auth.providers.linking import Linking
from fluxbase.auth.providers.registry import ProviderRegistry
from fluxbase.auth.providers.tokens import ProviderTokenService, TokenVault
from fluxbase.auth.redirects import RedirectRule
from fluxbase.outbound.client import OutboundClient
from fluxbase.worker import public_url

if TYPE_CHECKING:
    from fluxbase.app import Program
    from fluxbase.auth.accounts import Accounts
    from fluxbase.web.control import ControlPlane
    from fluxbase.web.flow_cookie import FlowCookie
    from fluxbase.web.supabase.auth.accounts import GoTrueAccounts


@dataclass(frozen=True, slots=True)
class ProviderParts:
    """The services of this area, and what its routes need besides."""

    outbound: OutboundClient
    providers: ProviderRegistry
    flows: OAuthFlows
    identities: Identities
    tokens: ProviderTokenService
    accounts: Accounts
    redirects: RedirectRule
    cookie: FlowCookie
    public_url: str

    def start_url(self, token: str) -> str:
        """The link that a browser follows to begin."""
        return f"{self.public_url}/auth/v1/authorize?flow={token}"


def provider_parts(program: Program) -> ProviderParts:
    """Built once a worker."""
    from fluxbase.web.flow_cookie import FlowCookie

    config, auth, base = program.config, program.auth, public_url(program.config)
    outbound = OutboundClient(config)
    providers = ProviderRegistry(config.oauth)
    directory = Directory(outbound)
    id_tokens = IdTokens(directory)
    client = OAuthClient(outbound, directory, id_tokens, f"{base}/auth/v1/callback")
    redirects = RedirectRule(base, config.oauth.redirect_urls)
    vault = TokenVault(program.master)
    linking = Linking(config.oauth, config.auth, record)
    flows = OAuthFlows(
        program.account_sessions, providers, client, redirects, linking, auth.gate, vault, config.oauth,
        tenant_by_locator=lambda locator: program.registry.find("locator", locator),
    )  # fmt: skip
    identities = Identities(program.account_sessions, providers, id_tokens, flows, auth.accounts, record)
    tokens = ProviderTokenService(program.account_sessions, providers, client, vault, redirects, record)
    cookie = FlowCookie(is_https=base.startswith("https://"), seconds=config.oauth.flow_seconds)
    return ProviderParts(outbound, providers, flows, identities, tokens, auth.accounts, redirects, cookie, base)


def register_providers(program: Program, control: ControlPlane, gotrue: GoTrueAccounts) -> None:
    """Both dialects' routes."""
    from fluxbase.web.native.auth.providers import NativeProviders
    from fluxbase.web.supabase.auth.providers import GoTrueProviders

    NativeProviders(program.providers, program.registry).register(control)
    GoTrueProviders(program.providers, program.registry).register(control, gotrue)
