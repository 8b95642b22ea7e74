"""What the routes of identity providers share, in both dialects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fluxbase.auth.accounts import Accounts
    from fluxbase.auth.providers.flows import OAuthFlows
    from fluxbase.auth.providers.identities import Identities
    from fluxbase.auth.providers.tokens import ProviderTokenService
    from fluxbase.auth.redirects import RedirectRule
    from fluxbase.tenancy.registry import TenantRegistry
    from fluxbase.web.flow_cookie import FlowCookie
    from fluxbase.web.ports import BearerCheck


@dataclass(frozen=True, slots=True)
class ProviderSurface:
    """The services, the cookie, and our own address."""

    flows: OAuthFlows
    identities: Identities
    tokens: ProviderTokenService
    accounts: Accounts
    registry: TenantRegistry
    cookie: FlowCookie
    bearer: BearerCheck
    public_url: str
    redirects: RedirectRule

    def start_url(self, token: str) -> str:
        """The link that a browser follows to begin."""
        return f"{self.public_url}/auth/v1/authorize?flow={token}"
