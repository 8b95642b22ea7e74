"""Where a browser may be sent after a sign-in: exact strings of the configuration, nothing derived (RFC 9700 2.1, threat B18).

No prefix, no host comparison, no normalisation: what is not character by character a configured URL is refused, so there is
nothing to trick (user info, dots, case, encodings, backslashes, open redirects behind a path).
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from fluxbase.kernel.errors import AuthError


class RedirectRule:
    """The configured URLs; the site is where one goes who asks for nothing."""

    def __init__(self, site_url: str, allowed: list[str]) -> None:
        self.default = site_url
        self._allowed = frozenset({site_url, *allowed})

    def allows(self, url: str) -> bool:
        """Exactly one of the configured strings."""
        return url in self._allowed

    def checked(self, url: str | None) -> str:
        """The URL, or the default for none. Raises AuthError ``bad_redirect``."""
        if not url:
            return self.default
        if not self.allows(url):
            raise AuthError(
                "redirect_to is not in auth.redirect_urls, where each URL stands exactly as the app sends it.", code="bad_redirect"
            )
        return url


def with_parameters(url: str, parameters: dict[str, str]) -> str:
    """The URL with parameters added to its query, replacing those of the same name."""
    parts = urlsplit(url)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in parameters]
    return urlunsplit(parts._replace(query=urlencode([*kept, *parameters.items()])))
