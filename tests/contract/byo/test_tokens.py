"""PostgREST's token rules, texts and challenges; a gateway's keys; where the role stands."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from tests.contract.byo.conftest import SECRET, Library, sign
from tests.support.server import Server

NOW = int(time.time())
PUBLISHABLE, OPAQUE_SECRET = "sb_publishable_of_the_tests", "sb_secret_of_the_tests"


def whoami(server: Server, token: str | None, **headers: str) -> tuple[int, object]:
    """Status, and the role the transaction had or the error's code and text."""
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    answer = httpx.get(f"{server.url}/rest/v1/rpc/whoami", headers=headers, trust_env=False, timeout=20)
    body = answer.json()
    return (answer.status_code, body["role"]) if answer.status_code == 200 else (answer.status_code, f"{body['code']} {body['message']}")


REFUSED: dict[str, tuple[str, str]] = {
    "not a token": ("abc", "PGRST301 Expected 3 parts in JWT; got 1"),
    "two parts": ("a.b", "PGRST301 Expected 3 parts in JWT; got 2"),
    "no header": ("!!.e30.xx", "PGRST301 JWT cryptographic operation failed"),
    "another secret": (sign({"role": "web_user"}, secret="x" * 40), "PGRST301 No suitable key or wrong key type"),
    "no signature": (
        sign({"role": "web_user"}, header={"alg": "none"}).rpartition(".")[0] + ".",
        "PGRST301 Wrong or unsupported encoding algorithm",
    ),
    "another algorithm": (sign({"role": "web_user"}, header={"alg": "HS512"}), "PGRST301 No suitable key or wrong key type"),
    "expired": (sign({"role": "web_user", "exp": NOW - 40}), "PGRST303 JWT expired"),
    "not yet": (sign({"role": "web_user", "nbf": NOW + 86_400}), "PGRST303 JWT not yet valid"),
    "from the future": (sign({"role": "web_user", "iat": NOW + 86_400}), "PGRST303 JWT issued at future"),
    "exp is text": (sign({"exp": "soon"}), "PGRST303 The JWT 'exp' claim must be a number"),
    "nbf is text": (sign({"nbf": "soon"}), "PGRST303 The JWT 'nbf' claim must be a number"),
    "iat is text": (sign({"iat": "soon"}), "PGRST303 The JWT 'iat' claim must be a number"),
    "aud is an object": (sign({"aud": {"a": 1}}), "PGRST303 The JWT 'aud' claim must be a string or an array of strings"),
    "aud has a number": (sign({"aud": ["a", 1]}), "PGRST303 The JWT 'aud' claim must be a string or an array of strings"),
    "claims are a list": (
        sign([1]),  # type: ignore[arg-type]
        "PGRST303 Parsing claims failed",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(byo: Server, name: str) -> None:
    """401 with PostgREST's code, text and challenge."""
    token, expected = REFUSED[name]
    answer = httpx.get(f"{byo.url}/rest/v1/books", headers={"authorization": f"Bearer {token}"}, trust_env=False)
    body = answer.json()
    assert (answer.status_code, f"{body['code']} {body['message']}") == (401, expected)
    assert answer.headers["www-authenticate"] == f'Bearer error="invalid_token", error_description="{body["message"]}"'


def test_details_of_a_wrong_key(byo: Server) -> None:
    """The whole body of the refusal that people meet most."""
    answer = byo.request("GET", "/rest/v1/books", key=REFUSED["another secret"][0])
    assert answer.text == (
        '{"code":"PGRST301","details":"None of the keys was able to decode the JWT","hint":null,'
        '"message":"No suitable key or wrong key type"}'
    )


def test_accepted(byo: Server) -> None:
    """30 seconds of skew, no issuer, no audience unless configured, either spelling of the scheme; other schemes are no token."""
    assert whoami(byo, sign({"role": "web_user", "exp": int(time.time()) - 10})) == (200, "web_user")
    assert whoami(byo, sign({"role": "web_user", "iss": "anybody", "aud": "anything"})) == (200, "web_user")
    assert whoami(byo, sign({"sub": "no role"})) == (200, "web_anon")
    assert whoami(byo, None, authorization=f"bearer {sign({'role': 'web_user'})}") == (200, "web_user")
    assert whoami(byo, None, authorization="Basic dXNlcjpwYXNz") == (200, "web_anon")
    assert whoami(byo, None, authorization="Bearer") == (401, "PGRST301 Empty JWT is sent in Authorization header")


def test_apikey_alone_selects_the_role_and_bearer_wins(byo: Server) -> None:
    """As behind a Supabase gateway; a key that does not verify is refused."""
    assert whoami(byo, None, apikey=sign({"role": "web_slow"})) == (200, "web_slow")
    assert whoami(byo, sign({"role": "web_user"}), apikey=sign({"role": "web_slow"})) == (200, "web_user")
    assert whoami(byo, None, apikey="a.b.c")[0] == 401


@pytest.fixture(scope="module")
def strict(library: Library) -> Iterator[Server]:
    """No anonymous role, an audience, a role deep in the claims, keys of three types, a gateway's opaque keys."""
    keys = [EC.as_dict(private=False), RSA.as_dict(private=False), {"kty": "oct", "alg": "HS256", "kid": "shared", "k": B64}]
    with library.serve(
        FLUXBASE_EXTERNAL_ANON_ROLE="",
        FLUXBASE_EXTERNAL_JWT_SECRET=json.dumps({"keys": keys}),
        FLUXBASE_EXTERNAL_JWT_AUDIENCE="library",
        FLUXBASE_EXTERNAL_JWT_ROLE_CLAIM_KEY='."https://library.example/app".roles[?(@ ^== "web_")]',
        FLUXBASE_EXTERNAL_SECRET_KEY=OPAQUE_SECRET,
        FLUXBASE_EXTERNAL_SERVICE_ROLE="web_user",
        FLUXBASE_EXTERNAL_SERVER_TIMING="true",
        FLUXBASE_SERVER_CORS_ORIGINS='["https://library.example"]',
    ) as server:
        yield server


EC = ECKey.generate_key("P-256", parameters={"kid": "ec"})
RSA = RSAKey.generate_key(2048, parameters={"kid": "rsa"})
B64 = base64.urlsafe_b64encode(SECRET.encode()).rstrip(b"=").decode()
CLAIMS = {"https://library.example/app": {"roles": ["reader", "web_user"]}, "aud": "library"}


def test_role_path_and_keys_of_a_jwks(strict: Server) -> None:
    """ES256, RS256 and HS256 keys of one set verify; the role is found by a path with a test."""
    for algorithm, key in (("ES256", EC), ("RS256", RSA), ("HS256", OctKey.import_key(SECRET, {"kid": "shared"}))):
        assert whoami(strict, jwt.encode({"alg": algorithm, "kid": key.kid}, CLAIMS, key)) == (200, "web_user")
    assert whoami(strict, None, apikey=OPAQUE_SECRET) == (200, "web_user")


def test_anonymous_is_off(strict: Server) -> None:
    """No token: 401 PGRST302 with a bare challenge; a probe needs none."""
    answer = strict.request("GET", "/rest/v1/books", key=None)
    assert (answer.status_code, answer.text) == (
        401, '{"code":"PGRST302","details":null,"hint":null,"message":"Anonymous access is disabled"}',
    )  # fmt: skip
    assert answer.headers["www-authenticate"] == "Bearer"
    assert strict.request("GET", "/health", key=None).status_code == 200
    assert whoami(strict, sign({"aud": "library"})) == (401, '22023 role "" does not exist')


@pytest.mark.parametrize(
    ("audience", "status"),
    [("library", 200), (["other", "library"], 200), ([], 200), (None, 200), ("other", 401), ("", 401), (["other"], 401)],
)
def test_audience(strict: Server, audience: object, status: int) -> None:
    """A token that names audiences must name ours; one that names none is accepted."""
    claims = {**CLAIMS, "aud": audience}
    got, text = whoami(strict, jwt.encode({"alg": "ES256", "kid": "ec"}, claims, EC))
    assert got == status
    if status == 401:
        assert text == "PGRST303 JWT not in audience"


def test_server_timing(strict: Server) -> None:
    """Five stages in order, on answers and on errors."""
    token = jwt.encode({"alg": "ES256", "kid": "ec"}, CLAIMS, EC)
    for path in ("books", "nowhere"):
        header = strict.request("GET", f"/rest/v1/{path}", key=token).headers["server-timing"]
        assert [part.split(";")[0] for part in header.split(", ")] == ["jwt", "parse", "plan", "transaction", "response"]
    assert float(strict.request("GET", "/rest/v1/books", key=token).headers["server-timing"].split("transaction;dur=")[1].split(",")[0]) > 0


def test_public_key_as_hmac_secret_is_refused(strict: Server) -> None:
    """Algorithm confusion: a token signed with the text of a public key as HMAC secret fits no key (threat B28)."""
    for public in (EC.as_pem(private=False), json.dumps(EC.as_dict(private=False)).encode(), RSA.as_pem(private=False)):
        for kid in ("ec", "rsa", None):
            header = {"alg": "HS256", "typ": "JWT"} | ({"kid": kid} if kid else {})
            token = sign(CLAIMS, secret=public.decode(), header=header)
            assert whoami(strict, token)[0] == 401


def test_without_a_secret_a_token_is_a_mistake_of_the_server(library: Library) -> None:
    """1.10: a token that nothing could verify is 500 PGRST300; anonymous reading goes on."""
    with library.serve(FLUXBASE_EXTERNAL_JWT_SECRET="") as server:
        answer = server.request("GET", "/rest/v1/books", key=sign({"role": "web_user"}))
        assert (answer.status_code, answer.text) == (
            500, '{"code":"PGRST300","details":null,"hint":null,"message":"Server lacks JWT secret"}',
        )  # fmt: skip
        assert answer.headers["proxy-status"] == "PostgREST; error=PGRST300"
        assert server.request("GET", "/rest/v1/books", key=None).status_code == 200


def test_cors_of_listed_origins(strict: Server) -> None:
    """1.11: an origin of the list is echoed with credentials, preflight included; another one gets no header."""
    listed = {"origin": "https://library.example"}
    answer = strict.request("GET", "/health", key=None, headers=listed)
    assert answer.headers["access-control-allow-origin"] == "https://library.example"
    assert answer.headers["access-control-allow-credentials"] == "true"
    asked = {"access-control-request-method": "PATCH", "access-control-request-headers": "authorization"}
    preflight = strict.request("OPTIONS", "/rest/v1/books", key=None, headers=listed | asked)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, "https://library.example")
    assert preflight.headers["access-control-max-age"] == "86400"
    for origin in ("https://evil.example", "https://library.example.evil.example", "http://library.example", "null"):
        other = strict.request("OPTIONS", "/rest/v1/books", key=None, headers={"origin": origin} | asked)
        assert "access-control-allow-origin" not in other.headers
        assert "access-control-allow-credentials" not in other.headers
