"""Who is asking: a raw credential becomes a :class:`Principal`, or a 401 with PostgREST's code and text.

Order of checks: form (``crypto/jwt.py``), key id → key → its one algorithm, signature, kind of token by ``typ``, then issuer,
audience and times of that kind. No kind is accepted for another (RFC 8725 3.11; threats.md B28). A verified credential
is cached by digest until it expires; the digest covers tenant, key epoch and ring, so new keys make old verdicts
unreachable (threats.md B29). Revocation is not decided here but in the request's transaction, by ``deny_keys``.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NoReturn, cast

from fluxbase.auth.rules import ACCESS_TYPE, FOREIGN_TYPES, KEY_TYPE, TokenRules
from fluxbase.crypto.jwt import (
    BAD_CLAIMS,
    BAD_CRYPTO,
    HS256,
    NO_SUITABLE_KEY,
    WRONG_ALGORITHM,
    RawToken,
    claims_text,
    parse_claims,
    parse_compact,
    refuse,
)
from fluxbase.crypto.opaque import PREFIXES, PUBLISHABLE, parse_opaque
from fluxbase.kernel.errors import Revoked, Unauthenticated
from fluxbase.kernel.ids import ANON, SERVICE_ROLE, RoleName, SessionId, UserId
from fluxbase.kernel.principal import CredentialKind, Principal, factor_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxbase.auth.keyring import HeldRing, KeyRing, KeyRings
    from fluxbase.auth.ports import IssuedKeys
    from fluxbase.auth.store import KeyRow
    from fluxbase.crypto.jwt import JwtKey
    from fluxbase.kernel.ids import TenantId

CACHE_ENTRIES = 10_000
ISSUED_KINDS = frozenset({CredentialKind.CLIENT_KEY, CredentialKind.SERVICE_KEY})
ISSUED_HELD_SECONDS = 60.0
"""How long what is known of an issued key is used without looking again; the denylist ends it sooner."""
ANON_CLAIMS = '{"role":"anon"}'
_MAX_NAME_LENGTH = 255
_MAX_TIME = 2**53
_ROLES_OF_KEYS = {"anon": ANON, "service": SERVICE_ROLE}


class Verifier:
    """Authenticates credentials of every kind that Fluxbase issues or was told to trust."""

    def __init__(self, rings: KeyRings, rules: TokenRules, issued: IssuedKeys | None = None, *, cache_entries: int = CACHE_ENTRIES) -> None:
        self.rings = rings
        self.rules = rules
        self._issued = issued
        self._cache: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()
        self._cache_entries = cache_entries

    @staticmethod
    def anonymous(tenant: TenantId) -> Principal:
        """The caller without a credential."""
        return Principal(tenant, ANON, CredentialKind.NONE, ANON_CLAIMS)

    def cached(self, tenant: TenantId, raw_credential: str, now: float | None = None) -> Principal | None:
        """The principal of a credential verified before, without waiting; None: call :meth:`authenticate`."""
        held = self.rings.held(tenant)
        if held is None:
            return None
        digest = sha256(held.mark + raw_credential.encode("utf-8", "surrogatepass")).digest()
        entry = self._cache.get(digest)
        if entry is None:
            return None
        if entry[0] < (time.time() if now is None else now):
            del self._cache[digest]
            return None
        self._cache.move_to_end(digest)
        return entry[1]

    async def authenticate(self, tenant: TenantId, raw_credential: str, *, now: float | None = None) -> Principal:
        """Verify a JWT or an opaque key for ``tenant``. Raises :class:`Unauthenticated`; never falls back to anon."""
        principal = self.cached(tenant, raw_credential, now)
        if principal is not None:
            return principal
        moment = time.time() if now is None else now
        held = await self.rings.get(tenant)
        if raw_credential.startswith("fb_"):
            held, principal = await self._opaque(tenant, held, raw_credential, moment)
        else:
            held, principal = await self._token(tenant, held, raw_credential, moment)
        until = math.inf if principal.expires_at is None else principal.expires_at + self.rules.leeway_seconds
        if principal.credential in ISSUED_KINDS:
            until = min(moment + ISSUED_HELD_SECONDS, principal.expires_at or math.inf)
        self._cache[sha256(held.mark + raw_credential.encode("utf-8", "surrogatepass")).digest()] = (until, principal)
        while len(self._cache) > self._cache_entries:
            self._cache.popitem(last=False)
        return principal

    async def jwks(self, tenant: TenantId) -> dict[str, object]:
        """The public signing keys (RFC 7517). A shared secret is never part of it."""
        ring = (await self.rings.get(tenant)).ring
        return {"keys": [jwk for key in ring.verifying.values() if (jwk := key.public_jwk()) is not None]}

    async def _opaque(self, tenant: TenantId, held: HeldRing, raw: str, now: float) -> tuple[HeldRing, Principal]:
        key = parse_opaque(raw) if raw.startswith(PREFIXES) else None
        if key is None or key.locator != held.ring.locator:
            _refuse_key()
        row = held.ring.by_hash.get(key.digest)
        if row is None and self._issued is not None:
            return held, await self._issued.principal(tenant, key, now)
        if row is None:
            held = await self.rings.look_again(tenant, held)
            row = held.ring.by_hash.get(key.digest)
        if row is None or (key.prefix == PUBLISHABLE) != (row.kind == "anon"):
            _refuse_key()
        return held, self._key_principal(tenant, row, key_claims(row, self.rules.issuer), (), now)

    async def _token(self, tenant: TenantId, held: HeldRing, raw: str, now: float) -> tuple[HeldRing, Principal]:
        token = parse_compact(raw)
        key = _key_of(held.ring, token)
        if key is None:
            held = await self.rings.look_again(tenant, held)
            key = _key_of(held.ring, token)
        if key is None:
            refuse(NO_SUITABLE_KEY)
        if key.algorithm != token.algorithm:
            refuse(WRONG_ALGORITHM)
        if not key.verifies(token):
            refuse(BAD_CRYPTO)
        claims = parse_claims(token)
        if "tenant_id" in claims and claims["tenant_id"] != tenant:
            refuse("JWT not in audience", "PGRST303")
        deny = (f"kid:{key.key_id}",)
        if key is held.ring.shared:
            deny = (held.ring.shared_mark,) if held.ring.shared_mark else ()
        if token.type == ACCESS_TYPE:
            return held, self._access(tenant, claims, deny, now)
        if token.type == KEY_TYPE:
            row = held.ring.keys.get(_text_claim(claims, "jti"))
            if row is None:
                held = await self.rings.look_again(tenant, held)
                row = held.ring.keys.get(_text_claim(claims, "jti"))
            if row is None or claims.get("role") != row.role or claims.get("exp") != row.expires_at:
                _refuse_key()
            return held, self._key_principal(tenant, row, claims, deny, now)
        if token.type not in FOREIGN_TYPES or key is not held.ring.shared:
            refuse("Unsupported token type")
        return held, self._foreign(tenant, claims, deny, now)

    def _access(
        self, tenant: TenantId, claims: dict[str, Any], deny: tuple[str, ...], now: float, *, needs_issuer: bool = True
    ) -> Principal:
        """A user's access token: ours, or one signed with the shared secret (then without an issuer, if it likes)."""
        expires_at = self._times(claims, now)
        self._audience(claims)
        if claims.get("iss") != self.rules.issuer and (needs_issuer or "iss" in claims):
            refuse("JWT issuer not accepted", "PGRST303")
        subject = _text_claim(claims, "sub")
        app_role = claims.setdefault("role", "authenticated")
        if not isinstance(app_role, str) or len(app_role) > _MAX_NAME_LENGTH:
            refuse(BAD_CLAIMS, "PGRST303")
        session = _text_claim(claims, "session_id") if "session_id" in claims else None
        token_id = _text_claim(claims, "jti") if "jti" in claims else None
        revocable = f"session:{session}" if session else f"jti:{token_id}" if token_id else None
        return Principal(
            tenant=tenant,
            role=self.rules.database_role(app_role),
            credential=CredentialKind.ACCESS_TOKEN,
            claims_json=claims_text(claims),
            deny_keys=(*deny, f"user:{subject}", *((revocable,) if revocable else ()), *factor_keys(_factors_claim(claims))),
            user_id=UserId(subject),
            session_id=SessionId(session) if session else None,
            impersonated_by=_text_claim(claims, "impersonated_by") if "impersonated_by" in claims else None,
            credential_id=token_id,
            expires_at=expires_at,
            is_pending=bool(claims.get("factor_required")),
        )

    def _foreign(self, tenant: TenantId, claims: dict[str, Any], deny: tuple[str, ...], now: float) -> Principal:
        """A token that another program signed with ``auth.jwt_secret``: a key (no subject, no audience), else an access token."""
        role = claims.get("role")
        if "sub" in claims or "aud" in claims or not isinstance(role, str) or role not in (ANON, SERVICE_ROLE):
            return self._access(tenant, claims, deny, now, needs_issuer=False)
        expires_at = self._times(claims, now)
        token_id = _text_claim(claims, "jti") if "jti" in claims else None
        return Principal(
            tenant=tenant,
            role=RoleName(role),
            credential=CredentialKind.KEY,
            claims_json=claims_text(claims),
            deny_keys=(*deny, *((f"jti:{token_id}",) if token_id else ())),
            credential_id=token_id,
            expires_at=expires_at,
        )

    def _key_principal(self, tenant: TenantId, row: KeyRow, claims: Mapping[str, object], deny: tuple[str, ...], now: float) -> Principal:
        if row.revoked_at is not None:
            raise Revoked("This key has been revoked", pgrst="PGRST303")
        self._times(claims, now)
        return Principal(
            tenant=tenant,
            role=_ROLES_OF_KEYS[row.kind],
            credential=CredentialKind.KEY,
            claims_json=claims_text(claims),
            deny_keys=(f"jti:{row.id}", *deny),
            credential_id=row.id,
            expires_at=float(row.expires_at),
        )

    def _times(self, claims: Mapping[str, object], now: float) -> float:
        """Check ``exp`` (required), ``nbf`` and ``iat`` with the leeway; gives ``exp``."""
        leeway = self.rules.leeway_seconds
        expires_at = _number_claim(claims, "exp")
        if now - leeway > expires_at:
            refuse("JWT expired", "PGRST303", code="token_expired")
        if "nbf" in claims and _number_claim(claims, "nbf") > now + leeway:
            refuse("JWT not yet valid", "PGRST303")
        if "iat" in claims and _number_claim(claims, "iat") > now + leeway:
            refuse("JWT issued at future", "PGRST303")
        return expires_at

    def _audience(self, claims: Mapping[str, object]) -> None:
        audience = claims.get("aud")
        if isinstance(audience, str):
            audience = [audience]
        elif audience is not None and not _is_text_list(audience):
            refuse("The JWT 'aud' claim must be a string or an array of strings", "PGRST303")
        if self.rules.audience not in cast("list[str]", audience or []):
            refuse("JWT not in audience", "PGRST303")


def key_claims(row: KeyRow, issuer: str) -> dict[str, object]:
    """The claims of an anon or service key: made from its row alone, so showing it again gives the same key."""
    return {"iss": issuer, "role": row.role, "iat": row.created_at, "exp": row.expires_at, "jti": row.id}


def _key_of(ring: KeyRing, token: RawToken) -> JwtKey | None:
    """The key a token names. Only the shared secret may go unnamed, and only for its own algorithm."""
    if token.key_id is not None:
        return ring.verifying.get(token.key_id)
    return ring.shared if token.algorithm == HS256 else None


def _is_text_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in cast("list[object]", value))


def _number_claim(claims: Mapping[str, object], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        refuse(f"The JWT '{name}' claim must be a number", "PGRST303")
    return float(max(-_MAX_TIME, min(_MAX_TIME, value)))


def _text_claim(claims: Mapping[str, object], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_NAME_LENGTH:
        refuse(f"The JWT '{name}' claim must be a string", "PGRST303")
    return value


def _factors_claim(claims: Mapping[str, object]) -> list[str]:
    """What a session of level aal2 rests on."""
    value = claims.get("factor_ids", [])
    if not _is_text_list(value):
        refuse("The JWT 'factor_ids' claim must be an array of strings", "PGRST303")
    return cast("list[str]", value)


def _refuse_key() -> NoReturn:
    raise Unauthenticated("Invalid API key", pgrst="PGRST301", code="invalid_key")
