"""What a token must say to be believed, and which database role it gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxbase.kernel.ids import ANON, AUTHENTICATED, CLIENT_ROLES, RoleName

if TYPE_CHECKING:
    from fluxbase.config import Config

ACCESS_TYPE = "at+jwt"
KEY_TYPE = "key+jwt"
FOREIGN_TYPES = (None, "JWT", "jwt")
"""``typ`` of tokens that other programs sign with the shared secret."""
ISSUER_PATH = "/auth/v1"
KEY_LIFETIME_SECONDS = 10 * 365 * 86_400


@dataclass(frozen=True, slots=True)
class TokenRules:
    """The verifier's and the minter's view of the configuration."""

    issuer: str
    audience: str = "authenticated"
    leeway_seconds: int = 30
    access_token_seconds: int = 900
    custom_roles: frozenset[str] = frozenset()

    @classmethod
    def from_config(cls, config: Config, public_url: str) -> TokenRules:
        """Rules of a configuration; ``public_url`` is the effective one (the listener's address when none is set)."""
        return cls(
            issuer=config.auth.jwt_issuer or public_url.rstrip("/") + ISSUER_PATH,
            audience=config.auth.jwt_audience,
            leeway_seconds=config.auth.leeway_seconds,
            access_token_seconds=config.auth.access_token_seconds,
            custom_roles=frozenset(config.data.custom_roles),
        )

    def database_role(self, app_role: str) -> RoleName:
        """The PostgreSQL role of an application role: the three built-in and the configured ones are themselves, empty
        is ``anon``, anything else (admin, moderator …) is ``authenticated``. A claim can never name another role."""
        if not app_role:
            return ANON
        if app_role in CLIENT_ROLES or app_role in self.custom_roles:
            return RoleName(app_role)
        return AUTHENTICATED
