"""Who is asking: the verified result of authentication, the same for every dialect."""

from dataclasses import dataclass
from enum import StrEnum

from fluxbase.kernel.ids import RoleName, SessionId, TenantId, UserId


class CredentialKind(StrEnum):
    """What the caller proved itself with."""

    NONE = "none"
    ACCESS_TOKEN = "access_token"  # noqa: S105 - a kind, not a token
    KEY = "key"
    """anon or service key, as JWT or as its opaque twin."""
    CLIENT_KEY = "client_key"
    """``fb_live_…`` or ``fb_test_…``, with scopes."""
    SERVICE_KEY = "service_key"
    """A named key made by an administrator; with or without scopes."""
    PLATFORM_TOKEN = "platform_token"  # noqa: S105
    """A platform administrator's access token."""
    EXTERNAL_TOKEN = "external_token"  # noqa: S105
    """A JWT of a foreign issuer, in bring-your-own-database mode."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller of one tenant.

    ``claims_json`` is the exact text handed to PostgreSQL as ``request.jwt.claims`` and signed.
    ``deny_keys`` are looked up in the tenant's denylist inside the request's transaction
    (``jti:<id>``, ``session:<id>``, ``user:<id>``).
    """

    tenant: TenantId
    role: RoleName
    credential: CredentialKind
    claims_json: str
    deny_keys: tuple[str, ...] = ()
    user_id: UserId | None = None
    session_id: SessionId | None = None
    credential_id: str | None = None
    expires_at: float | None = None
    """Unix seconds; None when the credential does not end by itself."""
    scopes: frozenset[str] | None = None
    """What a key may be used for; None: not limited by scopes."""
    tables: frozenset[tuple[str, str]] | None = None
    """``schema.table`` and verb: what a key may do to which table; None: not limited by tables."""
    networks: tuple[str, ...] = ()
    """From where a key may be used; empty: from anywhere."""
    rate_per_minute: int | None = None
    """A key's own limit."""
    permissions: frozenset[str] = frozenset()
    """What the user's roles in the tenant give, tenant-wide."""
    platform_role: str | None = None
    """``instance_admin`` or ``tenant_admin`` of the tenant, or ``outside`` of any; of a platform administrator only."""
    impersonated_by: str | None = None
    """Who is behind a token that acts as somebody else."""
    platform_session: SessionId | None = None
    """The session of a platform administrator at home; his tenants know him by a row of their own."""
