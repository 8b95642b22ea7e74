"""Who is asking, by PostgREST's rules: for databases served as they are (``database.manage: false``).

A token that one of the configured keys signed names its role; no issuer is demanded, ``aud`` only when one is configured,
30 seconds of clock skew. No session exists that could be revoked: a token is good until it expires (docs/byo.md). What the login may
not assume, PostgreSQL itself refuses in the request's transaction.
"""

from __future__ import annotations

import hmac
import json
import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

import orjson

from fluxbase.crypto.jwt import BAD_CLAIMS, refuse
from fluxbase.kernel.errors import Internal
from fluxbase.kernel.ids import RoleName
from fluxbase.kernel.principal import CredentialKind, Principal

if TYPE_CHECKING:
    from fluxbase.auth.claim_path import ClaimPath
    from fluxbase.crypto.trusted_keys import TrustedKeys
    from fluxbase.kernel.ids import TenantId
    from fluxbase.kernel.secret import Secret

SKEW_SECONDS = 30
CACHE_ENTRIES = 1000
_MAX_TIME = 2**53


@dataclass(frozen=True, slots=True)
class ExternalRules:
    """What a token must say to be believed."""

    keys: TrustedKeys | None
    """None: the server has no secret, and a token is answered with PGRST300."""
    audience: str
    role_path: ClaimPath
    anon_role: str
    """Empty: requests without a token are refused where credentials are read."""
    api_keys: tuple[tuple[Secret, str], ...] = ()
    """Opaque keys of a gateway and the role each means."""


class ExternalVerifier:
    """Authenticates tokens of a foreign issuer. Implements the pipeline's ``Authenticator``."""

    def __init__(self, rules: ExternalRules, *, cache_entries: int = CACHE_ENTRIES) -> None:
        self._rules = rules
        self._cache: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()
        self._cache_entries = cache_entries

    def anonymous(self, tenant: TenantId) -> Principal:
        """The caller without a credential."""
        return _principal(tenant, self._rules.anon_role, {}, CredentialKind.NONE)

    def cached(self, tenant: TenantId, raw_credential: str, now: float | None = None) -> Principal | None:
        """The principal of a token verified before and not expired since."""
        digest = _digest(tenant, raw_credential)
        entry = self._cache.get(digest)
        if entry is None:
            return None
        if entry[0] < (time.time() if now is None else now):
            del self._cache[digest]
            return None
        self._cache.move_to_end(digest)
        return entry[1]

    async def authenticate(self, tenant: TenantId, raw_credential: str, *, now: float | None = None) -> Principal:
        """Verify a token or a gateway's opaque key. Raises Unauthenticated (PGRST301, 303) or Internal (PGRST300)."""
        for secret, role in self._rules.api_keys:
            if hmac.compare_digest(secret.reveal().encode(), raw_credential.encode("utf-8", "surrogatepass")):
                return _principal(tenant, role, {}, CredentialKind.KEY)
        if self._rules.keys is None:
            raise Internal("Server lacks JWT secret", pgrst="PGRST300", code="no_jwt_secret", status=500)
        claims = _claims(self._rules.keys.claims_of(raw_credential))
        expires_at = self._check(claims, int(time.time() if now is None else now))
        role = self._rules.role_path.find(claims)
        principal = _principal(tenant, self._rules.anon_role if role is None else role, claims, CredentialKind.EXTERNAL_TOKEN, expires_at)
        self._cache[_digest(tenant, raw_credential)] = (math.inf if expires_at is None else expires_at + SKEW_SECONDS, principal)
        while len(self._cache) > self._cache_entries:
            self._cache.popitem(last=False)
        return principal

    def _check(self, claims: dict[str, Any], now: int) -> float | None:
        """Times and audience, in this order; gives ``exp``."""
        expires_at = _number(claims, "exp")
        if expires_at is not None and now - SKEW_SECONDS > expires_at:
            refuse("JWT expired", "PGRST303", code="token_expired")
        starts_at, issued_at = _number(claims, "nbf"), _number(claims, "iat")
        if starts_at is not None and now + SKEW_SECONDS < starts_at:
            refuse("JWT not yet valid", "PGRST303")
        if issued_at is not None and now + SKEW_SECONDS < issued_at:
            refuse("JWT issued at future", "PGRST303")
        audience = claims.get("aud")
        wanted = self._rules.audience
        if isinstance(audience, list) and all(isinstance(each, str) for each in cast("list[object]", audience)):
            is_ours = not audience or not wanted or wanted in audience
        elif isinstance(audience, str):
            is_ours = not wanted or audience == wanted
        elif audience is None:
            is_ours = True
        else:
            refuse("The JWT 'aud' claim must be a string or an array of strings", "PGRST303")
        if not is_ours:
            refuse("JWT not in audience", "PGRST303")
        return expires_at


def _principal(
    tenant: TenantId, role: str, claims: dict[str, Any], kind: CredentialKind, expires_at: float | None = None
) -> Principal:  # fmt: skip
    """A caller; ``request.jwt.claims`` always carries the role the transaction takes."""
    text = orjson.dumps({**claims, "role": role}, option=orjson.OPT_SORT_KEYS).decode()
    return Principal(tenant, RoleName(role), kind, text, expires_at=expires_at)


def _claims(raw: bytes) -> dict[str, Any]:
    try:
        value: object = json.loads(raw.decode("utf-8", "strict"))
        text = orjson.dumps(value)
    except (ValueError, TypeError, RecursionError):
        refuse(BAD_CLAIMS, "PGRST303")
    if not isinstance(value, dict) or b"\\u0000" in text:  # jsonb cannot hold a NUL, and libpq would cut there
        refuse(BAD_CLAIMS, "PGRST303")
    return cast("dict[str, Any]", value)


def _number(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        refuse(f"The JWT '{name}' claim must be a number", "PGRST303")
    return float(max(-_MAX_TIME, min(_MAX_TIME, value)))


def _digest(tenant: TenantId, raw_credential: str) -> bytes:
    return sha256(f"{tenant}:{raw_credential}".encode("utf-8", "surrogatepass")).digest()
