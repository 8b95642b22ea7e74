"""Whether an ID token is good: signature, issuer, audience, times, nonce, access token (OpenID Connect Core 3.1.3.7, threat B12).

Each check is a function of its own: an attack test takes one away and must see the attack succeed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from joserfc import jws, jwt
from joserfc.errors import JoseError

from fluxbase.auth.providers.discovery import is_issuer_of
from fluxbase.kernel.errors import AuthError

if TYPE_CHECKING:
    from collections.abc import Collection

    from joserfc.jwk import KeySet

    from fluxbase.auth.providers.discovery import Directory, Metadata
    from fluxbase.auth.providers.registry import Provider

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
LEEWAY_SECONDS = 60
LONGEST_TOKEN = 16_384


@dataclass(frozen=True, slots=True)
class Expected:
    """What the flow knows."""

    nonces: tuple[str, ...]
    """What the claim may be; none: the token must have no nonce."""
    audiences: Collection[str]
    access_token: str | None = None


class IdTokens:
    """Verifies them."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def verify(self, provider: Provider, raw: str, expected: Expected) -> dict[str, Any]:
        """Its claims. Raises AuthError ``bad_id_token``, whose message says which check failed and no value."""
        header = _header_of(raw)
        key_id = header.get("kid")
        keys = await self._directory.keys(provider, key_id if isinstance(key_id, str) else None)
        metadata = await self._directory.metadata(provider)
        claims = check_signature(raw, header, keys)
        check_issuer(claims, metadata)
        check_audience(claims, expected.audiences)
        check_times(claims, time.time())
        check_nonce(claims, expected.nonces)
        check_access_token(claims, str(header.get("alg")), expected.access_token)
        if not isinstance(claims.get("sub"), str) or not 0 < len(claims["sub"]) <= 255:
            raise refused("it names no subject")
        return claims


def refused(why: str) -> AuthError:
    """What a bad token is answered."""
    return AuthError(f"Bad ID token: {why}.", code="bad_id_token")


def _header_of(raw: str) -> dict[str, Any]:
    if len(raw) > LONGEST_TOKEN:
        raise refused("it is too long")
    try:
        return dict(jws.extract_compact(raw.encode("ascii")).headers())
    except (JoseError, ValueError, UnicodeEncodeError):
        raise refused("it is not a signed token") from None


def check_signature(raw: str, header: dict[str, Any], keys: KeySet) -> dict[str, Any]:
    """By the key of the header's id among the issuer's keys, with an asymmetric algorithm that fits the key."""
    key_id = header.get("kid")
    fitting = [key for key in keys if key_id is None or key.kid == key_id]
    if len(fitting) != 1 or header.get("alg") not in ALGORITHMS:
        raise refused("no key of the issuer fits it")
    try:
        return dict(jwt.decode(raw, fitting[0], algorithms=list(ALGORITHMS)).claims)
    except (JoseError, ValueError):
        raise refused("its signature does not verify") from None


def check_issuer(claims: dict[str, Any], metadata: Metadata) -> None:
    """Exactly the provider's; where the provider serves several directories, that of the token's own directory."""
    issuer, directory = claims.get("iss"), claims.get("tid")
    wanted = metadata.issuer.replace("{tenantid}", str(directory))
    if not isinstance(issuer, str) or issuer != wanted or "{" in issuer or not is_issuer_of(metadata.issuer, issuer):
        raise refused("another issuer made it")


def check_audience(claims: dict[str, Any], audiences: Collection[str]) -> None:
    """It is for us; with several audiences the authorised party is us."""
    raw = claims.get("aud")
    named: list[Any] = raw if isinstance(raw, list) else [raw]  # pyright: ignore[reportUnknownVariableType]
    if not any(isinstance(each, str) and each in audiences for each in named):
        raise refused("it is for another client")
    if len(named) > 1 and claims.get("azp") not in audiences:
        raise refused("it is for another client")


def check_times(claims: dict[str, Any], now: float) -> None:
    """Not expired, not from the future."""
    expires, issued, begins = claims.get("exp"), claims.get("iat"), claims.get("nbf", 0)
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in (expires, issued, begins)):
        raise refused("it says not from when to when it is good")
    if expires <= now - LEEWAY_SECONDS or issued > now + LEEWAY_SECONDS or begins > now + LEEWAY_SECONDS:  # pyright: ignore[reportOptionalOperand]
        raise refused("it has expired or is not good yet")


def check_nonce(claims: dict[str, Any], expected: tuple[str, ...]) -> None:
    """The nonce of this flow, so that a token from another flow is worth nothing. Both have one, or neither."""
    nonce = claims.get("nonce")
    if nonce is None and not expected:
        return
    if not isinstance(nonce, str) or not any(hmac.compare_digest(nonce.encode(), each.encode()) for each in expected):
        raise refused("its nonce is not this sign-in's")


def check_access_token(claims: dict[str, Any], algorithm: str, access_token: str | None) -> None:
    """The access token that came with it is the one it was made for, where it says so (``at_hash``)."""
    at_hash = claims.get("at_hash")
    if access_token is None or at_hash is None:
        return
    digest = {"256": hashlib.sha256, "384": hashlib.sha384}.get(algorithm[-3:], hashlib.sha512)
    half = digest(access_token.encode()).digest()
    wanted = base64.urlsafe_b64encode(half[: len(half) // 2]).rstrip(b"=").decode()
    if not isinstance(at_hash, str) or not hmac.compare_digest(at_hash.encode(), wanted.encode()):
        raise refused("it belongs to another access token")
