"""Who is asking: the verified result of authentication, the same for every dialect."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
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

    __hash__ = str.__hash__  # enum's own is written in Python, and every request asks sets of kinds


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
    is_pending: bool = False
    """A session that still owes a second factor: good for the routes that take one (``Access.PENDING``), and nothing else."""


def factor_keys(factor_ids: Iterable[str]) -> tuple[str, ...]:
    """The deny keys of a token of level aal2: what it rests on, gone without and with another factor left."""
    return tuple(f"{kind}:{each}" for each in factor_ids for kind in ("factor", "factor-pending"))


def standing_keys(principal: Principal) -> tuple[str, ...]:
    """The deny keys that end a credential, without those that only outdate a user's claims or lower the level of his token: for
    routes that read nothing of either (``Access.PENDING`` and ways in)."""
    passing = (f"claims:{principal.tenant}/", "factor:", "factor-pending:")
    return tuple([key for key in principal.deny_keys if not key.startswith(passing)])


def lowered(principal: Principal) -> Principal:
    """The same caller of level aal1: a factor behind his token is gone (``fluxbase.admit`` said so)."""
    claims = {**json.loads(principal.claims_json), "aal": "aal1"}
    claims.pop("factor_ids", None)
    kept = tuple(key for key in principal.deny_keys if not key.startswith(("factor:", "factor-pending:")))
    return replace(principal, claims_json=json.dumps(claims, ensure_ascii=False, separators=(",", ":")), deny_keys=kept)
