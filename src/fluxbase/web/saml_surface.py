"""What the routes of SAML share, in both dialects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fluxbase.auth.providers.flows import OAuthFlows
    from fluxbase.auth.saml.flows import SamlFlows
    from fluxbase.auth.saml.registry import SamlRegistry
    from fluxbase.tenancy.registry import TenantRegistry
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

    def start_url(self, token: str) -> str:
        """The link that a browser follows to begin."""
        return f"{self.public_url}/auth/v1/sso?flow={token}"
