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
from fluxbase.auth.providers.tokens import ProviderTokenService, TokenVault
from fluxbase.auth.redirects import RedirectRule
from fluxbase.auth.saml.flows import SamlFlows
from fluxbase.auth.saml.registry import SamlRegistry
from fluxbase.worker import public_url

if TYPE_CHECKING:
    from fluxbase.app import Program
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant
    from fluxbase.web.control import ControlPlane
    from fluxbase.web.supabase.auth.accounts import GoTrueAccounts


@dataclass(frozen=True, slots=True)
class ProviderParts:
    """The services of this area."""

    redirects: RedirectRule
    flows: OAuthFlows
    identities: Identities
    tokens: ProviderTokenService
    saml: SamlRegistry
    saml_flows: SamlFlows


def provider_parts(program: Program) -> ProviderParts:
    """Built once a worker."""
    config, auth, base = program.config, program.auth, public_url(program.config)
    outbound = program.outbound
    directory = Directory(outbound)
    id_tokens = IdTokens(directory)
    client = OAuthClient(outbound, directory, id_tokens, f"{base}/auth/v1/callback")
    redirects = RedirectRule(base)
    vault = TokenVault(program.master)
    flows = OAuthFlows(
        program.account_sessions, client, redirects, Linking(record, auth.new), auth.gate, vault,
        tenant_by_locator=lambda locator: program.registry.find("locator", locator),
    )  # fmt: skip
    identities = Identities(program.account_sessions, id_tokens, flows, auth.accounts, record)
    tokens = ProviderTokenService(program.account_sessions, client, vault, redirects, record)
    saml = SamlRegistry(config.saml, base, outbound)
    saml_flows = SamlFlows(
        program.account_sessions, saml, flows, auth.sessions, record,
        tenant_by_locator=lambda locator: program.registry.find("locator", locator),
    )  # fmt: skip
    return ProviderParts(redirects, flows, identities, tokens, saml, saml_flows)


def register_providers(program: Program, control: ControlPlane, gotrue: GoTrueAccounts) -> None:
    """Both dialects' routes."""
    from fluxbase.web.flow_cookie import FlowCookie
    from fluxbase.web.native.auth.config import AuthConfigRoute
    from fluxbase.web.native.auth.providers import NativeProviders
    from fluxbase.web.native.auth.saml import NativeSaml
    from fluxbase.web.provider_surface import ProviderSurface
    from fluxbase.web.saml_surface import SamlSurface
    from fluxbase.web.supabase.auth.providers import GoTrueProviders
    from fluxbase.web.supabase.auth.saml import GoTrueSaml

    async def bearer(tenant: Tenant, raw_token: str) -> Principal:
        return await program.verifier.authenticate(tenant.id, raw_token)

    parts, base = program.providers, public_url(program.config)
    cookie = FlowCookie(is_https=base.startswith("https://"), seconds=program.config.oauth.flow_seconds)
    surface = ProviderSurface(
        parts.flows, parts.identities, parts.tokens, program.auth.accounts, program.registry, cookie, bearer, base, parts.redirects
    )
    NativeProviders(surface).register(control)
    GoTrueProviders(surface).register(control, gotrue)
    sso = SamlSurface(parts.saml, parts.saml_flows, parts.flows, program.registry, cookie, base)
    NativeSaml(sso).register(control)
    GoTrueSaml(sso).register(control, gotrue)
    AuthConfigRoute(surface, sso, program.factors.captcha.public_settings).register(control)
