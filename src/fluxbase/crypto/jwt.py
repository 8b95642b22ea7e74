"""Compact JWS, read strictly and signed reproducibly. Knows nothing of claims' meaning: that is ``auth/verify.py``.

Reading refuses everything two parsers could understand differently before a signature is looked at: sizes, padding,
non-canonical base64url, duplicate JSON members, numbers that are not finite, header parameters that point to keys
(``jku``, ``x5u``, ``jwk``, ``x5c``) or change the rules (``crit``, ``b64``, ``zip``, ``enc``). The algorithm comes from our
key, never from the token (RFC 8725 3.1, 3.2, 3.9; threats.md B28). Signature arithmetic is joserfc's.

Errors are :class:`Unauthenticated` with PostgREST's codes and texts.
"""

from __future__ import annotations

import base64
import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, cast

import orjson
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey

from fluxbase.kernel.errors import Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_TOKEN_BYTES = 8192
MAX_KEY_ID_LENGTH = 64
ES256 = "ES256"
HS256 = "HS256"
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
_HEADER_NAMES = frozenset({"alg", "typ", "kid"})

NO_SUITABLE_KEY = "No suitable key or wrong key type"
WRONG_ALGORITHM = "Wrong or unsupported encoding algorithm"
BAD_CRYPTO = "JWT cryptographic operation failed"
BAD_CLAIMS = "Parsing claims failed"


def refuse(message: str, pgrst: str = "PGRST301", *, code: str = "invalid_token") -> NoReturn:
    """Raise the 401 of a bad token. ``pgrst``: 301 for an undecodable one, 303 for claims that do not hold."""
    raise Unauthenticated(message, pgrst=pgrst, code=code)


@dataclass(frozen=True, slots=True)
class RawToken:
    """A well-formed compact token whose signature has NOT been checked."""

    text: str
    algorithm: str
    type: str | None
    key_id: str | None
    raw_claims: bytes


@dataclass(frozen=True, slots=True)
class JwtKey:
    """One key with the one algorithm it is for."""

    key_id: str
    algorithm: str
    key: ECKey | OctKey

    def sign(self, claims: Mapping[str, object], type_: str) -> str:
        """A compact token. ES256 signatures are deterministic (RFC 6979), so the same claims give the same text."""
        header = {"alg": self.algorithm, "kid": self.key_id, "typ": type_}
        signing_input = _encode(orjson.dumps(header)) + b"." + _encode(orjson.dumps(claims))
        if isinstance(self.key, ECKey):
            private = self.key.get_op_key("sign")
            r, s = decode_dss_signature(private.sign(signing_input, ECDSA(SHA256(), deterministic_signing=True)))
            signature = _encode(r.to_bytes(32) + s.to_bytes(32))
            return (signing_input + b"." + signature).decode()
        return jws.serialize_compact(header, orjson.dumps(claims), self.key, algorithms=[self.algorithm])

    def verifies(self, token: RawToken) -> bool:
        """True when ``token`` was signed with this key by this key's algorithm."""
        if token.algorithm != self.algorithm:
            return False
        try:
            jws.deserialize_compact(token.text, self.key, algorithms=[self.algorithm])
        except (JoseError, ValueError):
            return False
        return True

    def public_jwk(self) -> dict[str, object] | None:
        """What JWKS shows; None for a shared secret."""
        if not isinstance(self.key, ECKey):
            return None
        jwk = self.key.as_dict(private=False)
        public: dict[str, object] = {name: jwk[name] for name in ("kty", "crv", "x", "y")}
        return public | {"kid": self.key_id, "alg": self.algorithm, "use": "sig", "key_ops": ["verify"]}

    def private_bytes(self) -> bytes:
        """The private JWK, for sealing only."""
        return orjson.dumps(self.key.as_dict(private=True))


def new_es256(key_id_prefix: str) -> JwtKey:
    """A new signing key; its id is the prefix and the RFC 7638 thumbprint."""
    key = ECKey.generate_key("P-256")
    return JwtKey(f"{key_id_prefix}-{key.thumbprint()[:22]}", ES256, key)


def es256_from_jwk(key_id: str, jwk: bytes) -> JwtKey:
    """A key from its stored JWK (private or public)."""
    return JwtKey(key_id, ES256, ECKey.import_key(orjson.loads(jwk)))


def hs256(key_id: str, secret: str) -> JwtKey:
    """The shared-secret key of ``auth.jwt_secret``."""
    return JwtKey(key_id, HS256, OctKey.import_key(secret.encode()))


def parse_compact(text: str) -> RawToken:
    """Split and check the outside of a token; see the module's docstring for what is refused."""
    if not text:
        refuse("Empty JWT is sent in Authorization header")
    if len(text) > MAX_TOKEN_BYTES:
        raise Unauthenticated(BAD_CRYPTO, pgrst="PGRST301", code="invalid_token", details=f"A token may have {MAX_TOKEN_BYTES} bytes")
    parts = text.split(".")
    if len(parts) != 3:
        refuse(f"Expected 3 parts in JWT; got {len(parts)}")
    header = _object(_decode(parts[0]), BAD_CRYPTO, "PGRST301")
    algorithm, type_, key_id = header.get("alg"), header.get("typ"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in (ES256, HS256):
        refuse(WRONG_ALGORITHM)
    if not _HEADER_NAMES.issuperset(header):
        refuse(NO_SUITABLE_KEY)
    if type_ is not None and not isinstance(type_, str):
        refuse(BAD_CRYPTO)
    if key_id is not None and (not isinstance(key_id, str) or not 0 < len(key_id) <= MAX_KEY_ID_LENGTH):
        refuse(NO_SUITABLE_KEY)
    claims = _decode(parts[1])
    if not _decode(parts[2]):
        refuse(BAD_CRYPTO)
    return RawToken(text, algorithm, type_, key_id, claims)


def parse_claims(token: RawToken) -> dict[str, Any]:
    """The claims of a token. Call it only after the signature holds."""
    return _object(token.raw_claims, BAD_CLAIMS, "PGRST303")


def claims_text(claims: Mapping[str, object]) -> str:
    """Claims as the compact JSON that PostgreSQL gets; refuses what ``jsonb`` cannot hold (NUL, lone surrogates, huge numbers)."""
    try:
        text = orjson.dumps(claims).decode()
    except (TypeError, ValueError, RecursionError):
        refuse(BAD_CLAIMS, "PGRST303")
    if "\\u0000" in text:
        refuse(BAD_CLAIMS, "PGRST303")
    return text


def _encode(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def _decode(part: str) -> bytes:
    """Base64url without padding, canonical: one text for each value, so a token has one spelling."""
    if _BASE64URL.fullmatch(part) is None or len(part) % 4 == 1:
        refuse(BAD_CRYPTO)
    value = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if _encode(value).decode() != part:
        refuse(BAD_CRYPTO)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("number out of range")
    return value


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _object(raw: bytes, message: str, pgrst: str) -> dict[str, Any]:
    """A JSON object, strictly: UTF-8, no duplicate members, no NaN. Nesting ends at json's 1,000 levels, claims at orjson's 254."""
    try:
        text = raw.decode("utf-8", "strict")
        value: object = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        refuse(message, pgrst)
    if not isinstance(value, dict):
        refuse(message, pgrst)
    return cast("dict[str, Any]", value)
