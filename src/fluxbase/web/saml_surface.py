"""What the routes of SAML share, in both dialects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import Request

    from fluxbase.auth.providers.flows import OAuthFlows
    from fluxbase.auth.saml.flows import SamlFlows
    from fluxbase.auth.saml.registry import SamlRegistry
    from fluxbase.tenancy.registry import Tenant, TenantRegistry
    from fluxbase.web.flow_cookie import FlowCookie


@dataclass(frozen=True, slots=True)
class SamlSurface:
    """The services, the cookie, and our own address."""

    providers: SamlRegistry
    flows: SamlFlows
    oauth: OAuthFlows
    registry: TenantRegistry
    cookie: FlowCookie
    public_url: str

    async def logged_out(self, tenant: Tenant, request: Request) -> str:
        """Where single logout goes on that the identity provider began, or whose answer to ours this is (HTTP-Redirect)."""
        query = dict(request.query_params)
        if "SAMLRequest" not in query:
            return self.public_url
        return await self.flows.logged_out(tenant, self.flows.name_of_issuer(query), query, request.url.query) or self.public_url

    def start_url(self, token: str) -> str:
        """The link that a browser follows to begin."""
        return f"{self.public_url}/auth/v1/sso?flow={token}"
