"""Where a browser may be sent after a sign-in: exact strings of the tenant's settings, nothing derived (RFC 9700 2.1, threat B18).

No prefix, no host comparison, no normalisation: what is not character by character a configured URL is refused, so there is
nothing to trick (user info, dots, case, encodings, backslashes, open redirects behind a path).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from fluxbase.kernel.errors import AuthError

if TYPE_CHECKING:
    from fluxbase.tenancy.registry import Tenant


class RedirectRule:
    """A tenant's URLs; its site is where one goes who asks for nothing, ``fallback`` where a tenant has none."""

    def __init__(self, fallback: str = "") -> None:
        self._fallback = fallback

    def default(self, tenant: Tenant) -> str:
        """The tenant's site."""
        return tenant.settings.auth.site_url or self._fallback

    def allows(self, tenant: Tenant, url: str) -> bool:
        """Exactly one of the configured strings."""
        return url == self.default(tenant) or url in tenant.settings.auth.redirect_urls

    def checked(self, tenant: Tenant, url: str | None) -> str:
        """The URL, or the default for none. Raises AuthError ``bad_redirect``."""
        if not url:
            return self.default(tenant)
        if not self.allows(tenant, url):
            raise AuthError(
                "redirect_to is not in auth.redirect_urls, where each URL stands exactly as the app sends it.", code="bad_redirect"
            )
        return url


def with_parameters(url: str, parameters: dict[str, str]) -> str:
    """The URL with parameters added to its query, replacing those of the same name."""
    parts = urlsplit(url)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in parameters]
    return urlunsplit(parts._replace(query=urlencode([*kept, *parameters.items()])))
