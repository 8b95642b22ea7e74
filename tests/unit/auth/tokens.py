"""The corpus of bad tokens: each case is built from a good one and must be refused with 401.

The same corpus runs against the verifier (tests/unit/auth) and against a started server (tests/attack/test_tokens.py);
``Forge`` holds what an attacker may know: a valid token, its public key, and for the signed cases the real key, because a
signature that holds is exactly what kind, issuer, audience and times must be checked behind.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxbase.crypto.jwt import JwtKey

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Order of P-256."""


def b64(value: bytes | str) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(value.encode() if isinstance(value, str) else value).rstrip(b"=").decode()


def unb64(value: str) -> bytes:
    """The bytes of base64url text."""
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


@dataclass(frozen=True)
class Forge:
    """A good token taken apart, and a signer. ``sign(header, raw_claims)`` signs with the real key, whatever the header says."""

    good: str
    public_jwk: dict[str, Any]
    sign_raw: Callable[[bytes], bytes] | None = None
    """Raw ES256 signature by the real key; None when only the public side is known (black-box tests)."""

    @property
    def header(self) -> dict[str, Any]:
        """Header of the good token."""
        return json.loads(unb64(self.good.split(".")[0]))

    @property
    def claims(self) -> dict[str, Any]:
        """Claims of the good token."""
        return json.loads(unb64(self.good.split(".")[1]))

    def signed(self, header: object = None, claims: object = None) -> str:
        """Really signed; ``header`` and ``claims`` are objects or raw bytes."""
        assert self.sign_raw is not None
        first = header if isinstance(header, bytes) else json.dumps(self.header if header is None else header).encode()
        second = claims if isinstance(claims, bytes) else json.dumps(self.claims if claims is None else claims).encode()
        text = f"{b64(first)}.{b64(second)}"
        return f"{text}.{b64(self.sign_raw(text.encode()))}"

    def unsigned(self, header: object, signature: bytes = b"x" * 64, claims: object = None) -> str:
        """With a made-up signature."""
        return f"{b64(json.dumps(header))}.{b64(json.dumps(self.claims if claims is None else claims))}.{b64(signature)}"

    def hmac_with(self, secret: bytes, **header: object) -> str:
        """HS256-signed with bytes everybody knows."""
        text = f"{b64(json.dumps({'alg': 'HS256', 'typ': self.header['typ'], **header}))}.{self.good.split('.')[1]}"
        return f"{text}.{b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"

    def by_stranger(self, **header: object) -> str:
        """Signed by an attacker's own P-256 key."""
        key = ECKey.generate_key("P-256")
        return jws.serialize_compact({**self.header, **header}, json.dumps(self.claims).encode(), key, algorithms=["ES256"])


def raw_signer(key: JwtKey) -> Callable[[bytes], bytes]:
    """Signs bytes with a real key."""

    def sign(text: bytes) -> bytes:
        r, s = decode_dss_signature(key.key.get_op_key("sign").sign(text, ec.ECDSA(SHA256())))  # type: ignore[union-attr]
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return sign


def _public_key(forge: Forge) -> ec.EllipticCurvePublicKey:
    return ECKey.import_key({name: forge.public_jwk[name] for name in ("kty", "crv", "x", "y")}).public_key


def _pem(forge: Forge) -> bytes:
    return _public_key(forge).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _der(forge: Forge) -> bytes:
    return _public_key(forge).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _parts(forge: Forge) -> list[str]:
    return forge.good.split(".")


def _with_signature(forge: Forge, signature: bytes) -> str:
    return ".".join((*_parts(forge)[:2], b64(signature)))


def _rs256(forge: Forge) -> str:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    header = {**forge.header, "alg": "RS256"}
    return jws.serialize_compact(header, json.dumps(forge.claims).encode(), RSAKey.import_key(pem), algorithms=["RS256"])


def _swap_claims(forge: Forge, **claims: object) -> str:
    head, _, tail = _parts(forge)
    return f"{head}.{b64(json.dumps({**forge.claims, **claims}))}.{tail}"


def _flip(text: str, index: int) -> str:
    return text[:index] + ("A" if text[index] != "A" else "B") + text[index + 1 :]


def _non_canonical(forge: Forge) -> str:
    """The last letter of a 64-byte signature carries four unused bits: set one."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(forge.good[-1])
    return forge.good[:-1] + alphabet[last ^ 1]


OUTSIDE: dict[str, Callable[[Forge], str]] = {
    # form
    "one part": lambda f: _parts(f)[0],
    "two parts": lambda f: ".".join(_parts(f)[:2]),
    "four parts": lambda f: f.good + ".x",
    "five parts like JWE": lambda f: ".".join(["a"] * 5),
    "dots only": lambda f: "..",
    "words": lambda f: "not a token",
    "empty header": lambda f: "." + ".".join(_parts(f)[1:]),
    "empty claims": lambda f: f"{_parts(f)[0]}..{_parts(f)[2]}",
    "empty signature": lambda f: ".".join((*_parts(f)[:2], "")),
    "padding in the header": lambda f: _parts(f)[0] + "=." + ".".join(_parts(f)[1:]),
    "padding at the end": lambda f: f.good + "==",
    "inner blank": lambda f: f.good.replace(".", ". ", 1),
    "standard base64 letters": lambda f: _parts(f)[0] + "." + _parts(f)[1] + "." + "+/" + _parts(f)[2][2:],
    "non-canonical signature bits": _non_canonical,
    "letters outside ASCII": lambda f: f.good[:-1] + "é",
    "length of one more letter": lambda f: f.good + "AAA",
    "over the size limit": lambda f: f.good + "A" * 9000,
    "million dots": lambda f: "." * 20_000,
    "header not JSON": lambda f: b64("no json") + "." + ".".join(_parts(f)[1:]),
    "header an array": lambda f: b64('["ES256"]') + "." + ".".join(_parts(f)[1:]),
    "header not UTF-8": lambda f: b64(b'{"alg":"ES256\xff"}') + "." + ".".join(_parts(f)[1:]),
    "header nested deeply": lambda f: b64("[" * 3000) + "." + ".".join(_parts(f)[1:]),
    "header with two algs": lambda f: b64(json.dumps(f.header)[:-1] + ',"alg":"none"}') + "." + ".".join(_parts(f)[1:]),
    # none and friends
    "alg none": lambda f: f.unsigned({**f.header, "alg": "none"}),
    "alg none, empty signature": lambda f: f.unsigned({**f.header, "alg": "none"}, b""),
    "alg None": lambda f: f.unsigned({**f.header, "alg": "None"}),
    "alg nOnE": lambda f: f.unsigned({**f.header, "alg": "nOnE"}, b""),
    "alg empty": lambda f: f.unsigned({**f.header, "alg": ""}),
    "alg missing": lambda f: f.unsigned({k: v for k, v in f.header.items() if k != "alg"}),
    "alg null": lambda f: f.unsigned({**f.header, "alg": None}),
    "alg a number": lambda f: f.unsigned({**f.header, "alg": 256}),
    "alg a list": lambda f: f.unsigned({**f.header, "alg": ["ES256"]}),
    "alg lower case": lambda f: f.unsigned({**f.header, "alg": "es256"}),
    "alg ES384": lambda f: f.unsigned({**f.header, "alg": "ES384"}, b"x" * 96),
    "alg ES256K": lambda f: f.unsigned({**f.header, "alg": "ES256K"}),
    "alg EdDSA": lambda f: f.unsigned({**f.header, "alg": "EdDSA"}),
    "alg PS256": lambda f: f.unsigned({**f.header, "alg": "PS256"}, b"x" * 256),
    "alg RS256 by a stranger": _rs256,
    "alg with NUL": lambda f: f.unsigned({**f.header, "alg": "ES256\0"}),
    # algorithm confusion
    "HS256 with the public PEM": lambda f: f.hmac_with(_pem(f), kid=f.header["kid"]),
    "HS256 with the public PEM, stripped": lambda f: f.hmac_with(_pem(f).strip(), kid=f.header["kid"]),
    "HS256 with the public DER": lambda f: f.hmac_with(_der(f), kid=f.header["kid"]),
    "HS256 with the public JWK": lambda f: f.hmac_with(json.dumps(f.public_jwk).encode(), kid=f.header["kid"]),
    "HS256 with x": lambda f: f.hmac_with(unb64(f.public_jwk["x"]), kid=f.header["kid"]),
    "HS256 with an empty secret": lambda f: f.hmac_with(b"", kid=f.header["kid"]),
    "HS256 with the public PEM, no kid": lambda f: f.hmac_with(_pem(f)),
    "HS256 with an empty secret, no kid": lambda f: f.hmac_with(b""),
    "HS256 with the kid 'shared'": lambda f: f.hmac_with(b"shared", kid="shared"),
    # key selection
    "stranger's key under our kid": lambda f: f.by_stranger(),
    "stranger's key, unknown kid": lambda f: f.by_stranger(kid="unknown"),
    "kid missing": lambda f: f.unsigned({k: v for k, v in f.header.items() if k != "kid"}),
    "kid a path": lambda f: f.by_stranger(kid="../../../../dev/null"),
    "kid SQL": lambda f: f.by_stranger(kid="x' union select 'secret'--"),
    "kid empty": lambda f: f.unsigned({**f.header, "kid": ""}),
    "kid a number": lambda f: f.unsigned({**f.header, "kid": 1}),
    "kid a list": lambda f: f.unsigned({**f.header, "kid": [f.header["kid"]]}),
    "kid very long": lambda f: f.unsigned({**f.header, "kid": "k" * 2000}),
    "kid with NUL": lambda f: f.unsigned({**f.header, "kid": f.header["kid"] + "\0"}),
    "kid in upper case": lambda f: f.unsigned({**f.header, "kid": f.header["kid"].upper()}),
    "jku": lambda f: f.unsigned({**f.header, "jku": "http://127.0.0.1:1/keys"}),
    "x5u": lambda f: f.unsigned({**f.header, "x5u": "http://127.0.0.1:1/cert"}),
    "x5c": lambda f: f.unsigned({**f.header, "x5c": ["MIIB"]}),
    "jwk of the stranger": lambda f: f.unsigned({**f.header, "jwk": ECKey.generate_key("P-256").as_dict(private=False)}),
    "crit": lambda f: f.unsigned({**f.header, "crit": ["exp"], "exp": 1}),
    "crit b64 false": lambda f: f.unsigned({**f.header, "crit": ["b64"], "b64": False}),
    "zip": lambda f: f.unsigned({**f.header, "zip": "DEF"}),
    # signature
    "signature of zeroes": lambda f: _with_signature(f, bytes(64)),
    "signature r = 0": lambda f: _with_signature(f, bytes(32) + unb64(_parts(f)[2])[32:]),
    "signature s = 0": lambda f: _with_signature(f, unb64(_parts(f)[2])[:32] + bytes(32)),
    "signature r = order": lambda f: _with_signature(f, ORDER.to_bytes(32, "big") + unb64(_parts(f)[2])[32:]),
    "signature of ones": lambda f: _with_signature(f, b"\xff" * 64),
    "signature cut": lambda f: _with_signature(f, unb64(_parts(f)[2])[:-1]),
    "signature longer": lambda f: _with_signature(f, unb64(_parts(f)[2]) + b"\0"),
    "signature as DER": lambda f: _with_signature(f, b"0E\x02!\0" + unb64(_parts(f)[2])),
    "signature twice": lambda f: _with_signature(f, unb64(_parts(f)[2]) * 2),
    "signature swapped halves": lambda f: _with_signature(f, unb64(_parts(f)[2])[32:] + unb64(_parts(f)[2])[:32]),
    "signature with one letter changed": lambda f: _flip(f.good, f.good.rindex(".") + 5),
    # content under the old signature
    "role changed to service_role": lambda f: _swap_claims(f, role="service_role"),
    "subject changed": lambda f: _swap_claims(f, sub="00000000-0000-4000-8000-000000000000"),
    "expiry moved": lambda f: _swap_claims(f, exp=int(time.time()) + 10**8),
    "one letter of the claims changed": lambda f: _flip(f.good, f.good.index(".") + 5),
    "typ changed to a key": lambda f: ".".join((b64(json.dumps({**f.header, "typ": "key+jwt"})), *_parts(f)[1:])),
}
"""Needs no private key."""


def _claim(**claims: object) -> Callable[[Forge], str]:
    return lambda f: f.signed(claims={k: v for k, v in {**f.claims, **claims}.items() if v is not ...})


def _typ(typ: object) -> Callable[[Forge], str]:
    return lambda f: f.signed(header={k: v for k, v in {**f.header, "typ": typ}.items() if v is not ...})


def _raw(text: str) -> Callable[[Forge], str]:
    return lambda f: f.signed(claims=(json.dumps(f.claims)[:-1] + text + "}").encode("utf-8", "surrogatepass"))


def _exp_text(forge: Forge, text: str) -> bytes:
    """Claims whose ``exp`` is written in a way that no serialiser would."""
    return json.dumps({**forge.claims, "exp": 0}).replace('"exp": 0', f'"exp": {text}').encode()


NOW = time.time()
INSIDE: dict[str, Callable[[Forge], str]] = {
    # kinds
    "typ of a key": _typ("key+jwt"),
    "typ of a signed URL": _typ("url+jwt"),
    "typ of a ticket": _typ("ticket+jwt"),
    "typ of an invitation": _typ("invite+jwt"),
    "typ JWT": _typ("JWT"),
    "typ missing": _typ(...),
    "typ null": _typ(None),
    "typ a number": _typ(1),
    "typ in upper case": _typ("AT+JWT"),
    "typ with a prefix": _typ("application/at+jwt"),
    "typ of a refresh token": _typ("rt+jwt"),
    "signed jku": lambda f: f.signed(header={**f.header, "jku": "http://127.0.0.1:1/"}),
    "signed crit": lambda f: f.signed(header={**f.header, "crit": ["typ"]}),
    "signed jwk": lambda f: f.signed(header={**f.header, "jwk": f.public_jwk}),
    "signed unknown header": lambda f: f.signed(header={**f.header, "x-more": 1}),
    "signed alg HS256": lambda f: f.signed(header={**f.header, "alg": "HS256"}),
    "signed duplicate kid": lambda f: f.signed(header=(json.dumps(f.header)[:-1] + f',"kid":"{f.header["kid"]}"}}').encode()),
    # issuer and audience
    "iss of another server": _claim(iss="https://evil.example/auth/v1"),
    "iss with a slash more": lambda f: f.signed(claims={**f.claims, "iss": f.claims["iss"] + "/"}),
    "iss in upper case": lambda f: f.signed(claims={**f.claims, "iss": f.claims["iss"].upper()}),
    "iss missing": _claim(iss=...),
    "iss null": _claim(iss=None),
    "iss a list": lambda f: f.signed(claims={**f.claims, "iss": [f.claims["iss"]]}),
    "aud of another service": _claim(aud="storage"),
    "aud missing": _claim(aud=...),
    "aud null": _claim(aud=None),
    "aud empty": _claim(aud=""),
    "aud empty list": _claim(aud=[]),
    "aud a list of others": _claim(aud=["storage", "realtime"]),
    "aud a number": _claim(aud=1),
    "aud a list with a number": _claim(aud=["authenticated", 1]),
    "aud an object": _claim(aud={"authenticated": True}),
    "aud part of the name": _claim(aud="authenticate"),
    "tenant of another": _claim(tenant_id="99999999-9999-4999-8999-999999999999"),
    "tenant null": _claim(tenant_id=None),
    # times
    "expired": _claim(exp=int(NOW) - 31 - 60),
    "expired long ago": _claim(exp=1),
    "exp zero": _claim(exp=0),
    "exp negative": _claim(exp=-1),
    "exp missing": _claim(exp=...),
    "exp null": _claim(exp=None),
    "exp text": _claim(exp="9999999999"),
    "exp true": _claim(exp=True),
    "exp a list": _claim(exp=[9999999999]),
    "exp 1e400": lambda f: f.signed(claims=_exp_text(f, "1e400")),
    "exp NaN": lambda f: f.signed(claims=json.dumps({**f.claims, "exp": float("nan")}).encode()),
    "exp Infinity": lambda f: f.signed(claims=json.dumps({**f.claims, "exp": float("inf")}).encode()),
    "exp of 5,000 digits": lambda f: f.signed(claims=_exp_text(f, "9" * 5000)),
    "exp of 100 digits": lambda f: f.signed(claims=json.dumps({**f.claims, "exp": 10**100}).encode()),
    "nbf in the future": _claim(nbf=int(NOW) + 3600),
    "nbf text": _claim(nbf="0"),
    "nbf null": _claim(nbf=None),
    "iat in the future": _claim(iat=int(NOW) + 3600),
    "iat text": _claim(iat="0"),
    "iat true": _claim(iat=True),
    # claims
    "sub missing": _claim(sub=...),
    "sub empty": _claim(sub=""),
    "sub a number": _claim(sub=1),
    "sub null": _claim(sub=None),
    "sub very long": _claim(sub="s" * 300),
    "role a number": _claim(role=1),
    "role null": _claim(role=None),
    "role a list": _claim(role=["service_role"]),
    "role very long": _claim(role="r" * 300),
    "session a number": _claim(session_id=7),
    "session empty": _claim(session_id=""),
    "jti a list": _claim(jti=["x"]),
    "duplicate role": _raw(',"role":"service_role"'),
    "duplicate sub": _raw(',"sub":"00000000-0000-4000-8000-000000000000"'),
    "duplicate inside": _raw(',"app_metadata":{"a":1,"a":2}'),
    "NUL in a claim": _claim(email="a\0b"),
    "lone surrogate in a claim": lambda f: f.signed(claims=(json.dumps(f.claims)[:-1] + ',"x":"\\ud800"}').encode()),
    "claims not UTF-8": lambda f: f.signed(claims=b'{"sub":"\xff\xfe"}'),
    "claims an array": lambda f: f.signed(claims=b"[]"),
    "claims text": lambda f: f.signed(claims=b'"authenticated"'),
    "claims empty": lambda f: f.signed(claims=b"{}"),
    "claims with a byte order mark": lambda f: f.signed(claims=b"\xef\xbb\xbf" + json.dumps(f.claims).encode()),
    "claims nested 2,000 deep": _raw(',"x":' + "[" * 2000 + "]" * 2000),
    "claims nested 500 deep": _raw(',"x":' + "[" * 500 + "]" * 500),
    "claims twice": lambda f: f.signed(claims=json.dumps(f.claims).encode() * 2),
    "claims with a comment": lambda f: f.signed(claims=b"/**/" + json.dumps(f.claims).encode()),
}
"""Signed by the real key: a holding signature must not be enough."""
