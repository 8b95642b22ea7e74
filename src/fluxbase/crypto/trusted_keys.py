"""Keys of a foreign token issuer: a shared secret, a JWK or a JWKS, and whether one of them signed a compact JWS.

For databases served as they are (bring your own), where PostgREST's rules hold: keys are tried in their order, a key whose
``kid`` differs from the token's is no candidate. The algorithm always comes from the key: its ``alg`` when it has one, else those
of its type, so a public key can never be used as an HMAC secret (RFC 8725 3.1; threats.md B28).
Texts and details of the refusals are the ones PostgREST's users know.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, cast

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey, import_key
from joserfc.jws import JWSRegistry

from fluxbase.crypto.jwt import BAD_CRYPTO, NO_SUITABLE_KEY, WRONG_ALGORITHM
from fluxbase.kernel.errors import Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Mapping

    Key = ECKey | OctKey | OKPKey | RSAKey

FEWEST_SECRET_BYTES = 32
MOST_TOKEN_BYTES = 65_536
_HMAC = frozenset({"HS256", "HS384", "HS512"})
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_OF_CURVE = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA", "Ed448": "EdDSA"}
_KNOWN = _HMAC | _RSA | frozenset(_OF_CURVE.values())


class TrustedKeyError(Exception):
    """The configured secret cannot be used; one line without the secret."""


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """One key and the algorithms it is for."""

    key_id: str | None
    algorithms: frozenset[str]
    key: Key


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """All keys that may have signed a token."""

    keys: tuple[TrustedKey, ...]

    def claims_of(self, token: str) -> bytes:
        """The payload of a token that one of the keys signed. Raises Unauthenticated (PGRST301)."""
        if not token:
            _refuse("Empty JWT is sent in Authorization header")
        parts = token.split(".")
        if len(parts) != 3:
            _refuse(f"Expected 3 parts in JWT; got {len(parts)}")
        if len(token) > MOST_TOKEN_BYTES:
            _refuse(BAD_CRYPTO)
        header = _header(parts[0])
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm == "none":
            _refuse(WRONG_ALGORITHM, "JWT is unsecured but expected 'alg' was not 'none'")
        if not isinstance(algorithm, str) or algorithm not in _KNOWN or "crit" in header:
            _refuse(WRONG_ALGORITHM)
        candidates = [
            key for key in self.keys if algorithm in key.algorithms and (key_id is None or key.key_id is None or key.key_id == key_id)
        ]
        if not candidates:
            _refuse(NO_SUITABLE_KEY, "No suitable key was found to decode the JWT")
        payloads = (_verified(token, candidate.key, algorithm) for candidate in candidates)
        payload = next((each for each in payloads if each is not None), None)
        if payload is None:
            _refuse(NO_SUITABLE_KEY, "None of the keys was able to decode the JWT")
        return payload


def parse_trusted_keys(text: str, *, is_base64: bool) -> TrustedKeys:
    """Keys of a configured secret: JSON is a JWK or a JWKS, anything else an HS256 secret. Raises TrustedKeyError."""
    raw = text.strip() if text.lstrip().startswith("{") else text
    if raw.startswith("{"):
        try:
            value: object = json.loads(raw)
        except ValueError:
            raise TrustedKeyError("external.jwt_secret is neither JSON nor a secret") from None
        return TrustedKeys(tuple(_keys(cast("dict[str, Any]", value))))
    secret = raw.encode()
    if is_base64:
        try:
            secret = base64.b64decode(raw.strip().translate(str.maketrans("-_.", "+/=")), validate=True)
        except (binascii.Error, ValueError):
            raise TrustedKeyError("external.jwt_secret is not base64") from None
        if secret.lstrip().startswith(b"{"):
            return parse_trusted_keys(secret.decode("utf-8", "replace"), is_base64=False)
    if len(secret) < FEWEST_SECRET_BYTES:
        raise TrustedKeyError(f"external.jwt_secret must be at least {FEWEST_SECRET_BYTES} characters long")
    return TrustedKeys((TrustedKey(None, frozenset({"HS256"}), OctKey.import_key(secret)),))


def _keys(value: dict[str, Any]) -> list[TrustedKey]:
    items = value.get("keys", [value])
    found = [key for item in items if isinstance(item, dict) and (key := _key(cast("dict[str, Any]", item))) is not None]
    if not found:
        raise TrustedKeyError("external.jwt_secret has no key that can verify signatures")
    return found


def _key(jwk: dict[str, Any]) -> TrustedKey | None:
    """One JWK; None for what is not for signatures or of a type nobody signs with."""
    if jwk.get("use") == "enc":
        return None
    plain = {name: value for name, value in jwk.items() if name not in ("use", "key_ops", "ext")}
    try:
        key = import_key(plain)
    except (JoseError, ValueError, KeyError, TypeError):
        raise TrustedKeyError("external.jwt_secret has a JWK that cannot be read") from None
    if isinstance(key, OctKey):
        of_type = _HMAC
    elif isinstance(key, RSAKey):
        of_type = _RSA
    else:
        curve = _OF_CURVE.get(str(jwk.get("crv")))
        of_type = frozenset({curve} if curve else ())
    algorithms = frozenset({jwk["alg"]}) & of_type if isinstance(jwk.get("alg"), str) else of_type
    key_id = jwk.get("kid")
    return TrustedKey(key_id if isinstance(key_id, str) else None, algorithms, key) if algorithms else None


def _header(part: str) -> Mapping[str, Any]:
    try:
        value: object = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        _refuse(BAD_CRYPTO)
    if not isinstance(value, dict):
        _refuse(BAD_CRYPTO)
    return cast("dict[str, Any]", value)


def _verified(token: str, key: Key, algorithm: str) -> bytes | None:
    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    try:
        return jws.deserialize_compact(token, key, registry=registry).payload
    except (JoseError, ValueError, TypeError):
        return None


def _refuse(message: str, details: str | None = None) -> NoReturn:
    raise Unauthenticated(message, pgrst="PGRST301", code="invalid_token", details=details)
