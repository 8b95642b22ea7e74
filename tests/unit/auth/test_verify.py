"""What the verifier accepts, as whom, for how long, and the exact words it refuses with."""

from __future__ import annotations

import json
import time

import orjson
import pytest

from fluxbase.auth.keyring import MAX_AGE_SECONDS
from fluxbase.crypto.jwt import hs256
from fluxbase.kernel.errors import Revoked, Unauthenticated
from fluxbase.kernel.principal import CredentialKind
from tests.unit.auth.conftest import ISSUER, JWT_SECRET, OTHER, SESSION, TENANT, USER, Bench

SUPABASE_ANON = {"iss": "supabase-demo", "role": "anon", "exp": 1983812996}
SUPABASE_SERVICE = {"iss": "supabase-demo", "role": "service_role", "exp": 1983812996}


def foreign(claims: dict[str, object], secret: str = JWT_SECRET, type_: str | None = "JWT") -> str:
    """A token as another program signs it: HS256, no key id."""
    from joserfc import jws

    header: dict[str, object] = {"alg": "HS256"} | ({"typ": type_} if type_ else {})
    return jws.serialize_compact(header, json.dumps(claims).encode(), hs256("x", secret).key, algorithms=["HS256"])


def refusal(bench: Bench, raw: str, **options: float) -> tuple[str | None, str]:
    """Code and message of a refusal."""
    with pytest.raises(Unauthenticated) as caught:
        bench.check(raw, **options)  # type: ignore[arg-type]
    return caught.value.pgrst, caught.value.message


def test_access_token_gives_its_user(bench: Bench) -> None:
    """A minted token comes back as its user, with claims for PostgreSQL and the deny keys of user, session and signing key."""
    raw = bench.mint(session_id=SESSION, email="ada@example.test", extra={"aal": "aal1"})
    who = bench.check(raw)
    assert (who.tenant, who.role, who.credential) == (TENANT, "authenticated", CredentialKind.ACCESS_TOKEN)
    assert (who.user_id, who.session_id) == (USER, SESSION)
    assert who.deny_keys == (f"kid:{bench.signing[TENANT].key_id}", f"user:{USER}", f"session:{SESSION}")
    claims = orjson.loads(who.claims_json)
    assert claims["sub"] == USER
    assert claims["email"] == "ada@example.test"
    assert claims["aal"] == "aal1"
    assert orjson.dumps(claims).decode() == who.claims_json
    assert who.expires_at == claims["exp"]


@pytest.mark.parametrize(
    ("app_role", "role"),
    [
        ("authenticated", "authenticated"),
        ("admin", "authenticated"),
        ("postgres", "authenticated"),
        ("fluxbase_owner", "authenticated"),
        ("fluxbase_system", "authenticated"),
        ("instance_admin", "authenticated"),
        ("Anon", "authenticated"),
        ("anon", "anon"),
        ("", "anon"),
        ("reporting", "reporting"),
        ("service_role", "service_role"),
    ],
)
def test_role_mapping(app_role: str, role: str) -> None:
    """An application role is a database role only when it is built in or configured; the claims keep the application's word."""
    bench = Bench(custom_roles=("reporting",))
    who = bench.check(bench.mint(role=app_role))
    assert who.role == role
    assert orjson.loads(who.claims_json)["role"] == app_role


def test_minter_keeps_its_claims(bench: Bench) -> None:
    """Extra claims cannot replace the ones that decide."""
    for name in ("sub", "role", "aud", "iss", "exp", "session_id", "tenant_id"):
        with pytest.raises(ValueError, match=name):
            bench.mint(extra={name: "x"})


def test_times_have_thirty_seconds_of_leeway(bench: Bench) -> None:
    """Thirty seconds past the end or before the start still pass, thirty-one do not; the cache changes nothing about it."""
    raw = bench.mint()
    claims = orjson.loads(bench.check(raw).claims_json)
    assert bench.check(raw, now=claims["exp"] + 30).user_id == USER
    assert refusal(bench, raw, now=claims["exp"] + 31) == ("PGRST303", "JWT expired")
    assert bench.check(raw, now=claims["exp"] + 29).user_id == USER
    early = Bench()
    early.signing = bench.signing
    assert early.check(raw, now=claims["nbf"] - 30).user_id == USER
    other = Bench()
    other.signing = bench.signing
    assert refusal(other, raw, now=claims["nbf"] - 31) == ("PGRST303", "JWT not yet valid")


def test_words_of_refusals(bench: Bench) -> None:
    """Each refusal has PostgREST's code and exact text."""
    forge = bench.forge()
    key = bench.signing[TENANT]

    def claims(**changed: object) -> str:
        return key.sign({**forge.claims, **changed}, "at+jwt")

    now = int(time.time())
    assert refusal(bench, "") == ("PGRST301", "Empty JWT is sent in Authorization header")
    assert refusal(bench, "a.b") == ("PGRST301", "Expected 3 parts in JWT; got 2")
    assert refusal(bench, "word") == ("PGRST301", "Expected 3 parts in JWT; got 1")
    assert refusal(bench, forge.by_stranger(kid="unknown")) == ("PGRST301", "No suitable key or wrong key type")
    assert refusal(bench, forge.unsigned({**forge.header, "alg": "none"})) == ("PGRST301", "Wrong or unsupported encoding algorithm")
    assert refusal(bench, forge.by_stranger()) == ("PGRST301", "JWT cryptographic operation failed")
    assert refusal(bench, claims(exp=now - 100)) == ("PGRST303", "JWT expired")
    assert refusal(bench, claims(nbf=now + 100)) == ("PGRST303", "JWT not yet valid")
    assert refusal(bench, claims(iat=now + 100, nbf=now)) == ("PGRST303", "JWT issued at future")
    assert refusal(bench, claims(aud="other")) == ("PGRST303", "JWT not in audience")
    assert refusal(bench, claims(aud=1)) == ("PGRST303", "The JWT 'aud' claim must be a string or an array of strings")
    assert refusal(bench, claims(exp="1")) == ("PGRST303", "The JWT 'exp' claim must be a number")
    assert refusal(bench, forge.signed(claims=b"[]")) == ("PGRST303", "Parsing claims failed")


@pytest.mark.parametrize(("kind", "role"), [("anon", "anon"), ("service", "service_role")])
def test_keys_in_both_forms(bench: Bench, kind: str, role: str) -> None:
    """JWT and opaque twin of a key give the same role, the same claims and the same deny key."""
    row, jwt, twin = bench.add_key(kind)
    as_jwt, as_twin = bench.check(jwt), bench.check(twin)
    assert as_jwt.role == as_twin.role == role
    assert as_jwt.credential is as_twin.credential is CredentialKind.KEY
    assert as_jwt.claims_json == as_twin.claims_json
    assert as_twin.deny_keys == (f"jti:{row.id}",)
    assert set(as_twin.deny_keys) < set(as_jwt.deny_keys)
    assert as_jwt.user_id is None


def test_key_is_no_access_token_and_the_other_way_round(bench: Bench) -> None:
    """The claims of one kind under the ``typ`` of the other are refused though we signed them."""
    row, jwt, _ = bench.add_key("service")
    key = bench.signing[TENANT]
    bench.check(jwt)
    assert refusal(bench, key.sign({"iss": ISSUER, "role": row.role, "exp": row.expires_at, "jti": row.id}, "at+jwt"))[0] == "PGRST303"
    access = bench.forge().claims
    assert refusal(bench, key.sign(access, "key+jwt")) == ("PGRST301", "Invalid API key")


def test_key_needs_its_row(bench: Bench) -> None:
    """A key whose row is gone, or that claims more than its row, is refused."""
    row, _, twin = bench.add_key("anon")
    key = bench.signing[TENANT]
    claims = {"iss": ISSUER, "role": "anon", "exp": row.expires_at, "jti": row.id}
    assert bench.check(key.sign(claims, "key+jwt")).role == "anon"
    assert refusal(bench, key.sign({**claims, "role": "service_role"}, "key+jwt")) == ("PGRST301", "Invalid API key")
    assert refusal(bench, key.sign({**claims, "exp": row.expires_at + 1}, "key+jwt")) == ("PGRST301", "Invalid API key")
    bench.rows.clear()
    bench.rings.forget(TENANT)
    assert refusal(bench, key.sign(claims, "key+jwt")) == ("PGRST301", "Invalid API key")
    assert refusal(bench, twin) == ("PGRST301", "Invalid API key")


def test_revoked_and_expired_keys(bench: Bench) -> None:
    """A revoked or ended key is refused in both forms, at once after the ring was loaded."""
    _, jwt, twin = bench.add_key("anon", revoked_at=1, number=1)
    for raw in (jwt, twin):
        with pytest.raises(Revoked):
            bench.check(raw)
    _, jwt, twin = bench.add_key("anon", expires_in=-100, number=2)
    assert refusal(bench, jwt) == refusal(bench, twin) == ("PGRST303", "JWT expired")


@pytest.mark.parametrize("change", ["cut", "prefix", "tenant", "checksum", "unknown", "like"])
def test_bad_opaque_keys(bench: Bench, change: str) -> None:
    """An opaque key with another prefix, tenant, checksum or secret is refused, and a malformed one without a look-up."""
    from fluxbase.crypto.opaque import PUBLISHABLE, SECRET, format_opaque, tenant_locator

    _, _, twin = bench.add_key("anon")
    bench.check(twin)
    loads = bench.loads
    raw = {
        "cut": twin[:-1],
        "prefix": format_opaque(SECRET, tenant_locator(TENANT), bytes(32)),
        "tenant": format_opaque(PUBLISHABLE, tenant_locator(OTHER), bytes(32)),
        "checksum": twin[:-1] + ("A" if twin[-1] != "A" else "B"),
        "unknown": format_opaque(PUBLISHABLE, tenant_locator(TENANT), b"u" * 32),
        "like": "fb_pk_",
    }[change]
    assert refusal(bench, raw) == ("PGRST301", "Invalid API key")
    assert bench.loads == loads


def test_credentials_of_another_tenant(bench: Bench) -> None:
    """Tokens and keys of one tenant open nothing in another."""
    token = bench.mint(tenant=OTHER)
    assert bench.check(token, tenant=OTHER).tenant == OTHER
    assert refusal(bench, token) == ("PGRST301", "No suitable key or wrong key type")
    _, _, twin = bench.add_key("service")
    assert bench.check(twin).tenant == TENANT
    with pytest.raises(Unauthenticated):
        bench.check(twin, tenant=OTHER)


def test_anonymous(bench: Bench) -> None:
    """No credential is the role anon and says so."""
    who = bench.verifier.anonymous(TENANT)
    assert (who.role, who.credential, who.claims_json, who.deny_keys) == ("anon", CredentialKind.NONE, '{"role":"anon"}', ())


@pytest.mark.parametrize("type_", ["JWT", None])
def test_supabase_keys_with_the_shared_secret(shared_bench: Bench, type_: str | None) -> None:
    """The Supabase CLI's well-known keys verify as keys when the secret is theirs."""
    assert shared_bench.check(foreign(SUPABASE_ANON, type_=type_)).role == "anon"
    service = shared_bench.check(foreign(SUPABASE_SERVICE, type_=type_))
    assert (service.role, service.credential) == ("service_role", CredentialKind.KEY)


def test_shared_secret_is_off_unless_set(bench: Bench) -> None:
    """Without ``auth.jwt_secret`` an HS256 token finds no key."""
    assert refusal(bench, foreign(SUPABASE_SERVICE)) == ("PGRST301", "No suitable key or wrong key type")


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"role": "service_role"}, "The JWT 'exp' claim must be a number"),
        ({"role": "service_role", "exp": 1}, "JWT expired"),
        ({"role": "service_role", "exp": 1983812996, "sub": USER}, "JWT not in audience"),
        ({"role": "service_role", "exp": 1983812996, "aud": "other"}, "JWT not in audience"),
        ({"role": "authenticated", "exp": 1983812996}, "JWT not in audience"),
        ({"role": ["anon"], "exp": 1983812996}, "JWT not in audience"),
        ({"role": "authenticated", "exp": 1983812996, "aud": "authenticated"}, "The JWT 'sub' claim must be a string"),
        (
            {"role": "authenticated", "exp": 1983812996, "aud": "authenticated", "sub": USER, "iss": "supabase-demo"},
            "JWT issuer not accepted",
        ),
        ({"role": "anon", "exp": 1983812996, "tenant_id": OTHER}, "JWT not in audience"),
    ],
)
def test_shared_secret_tokens_that_are_no_keys(shared_bench: Bench, claims: dict[str, object], message: str) -> None:
    """A foreign token is a key only in the exact shape of one; otherwise it must be a whole access token."""
    assert refusal(shared_bench, foreign(claims)) == ("PGRST303", message)


def test_shared_secret_access_token(shared_bench: Bench) -> None:
    """A user token signed by another program with the secret is the user's; ours are signed with it too."""
    who = shared_bench.check(foreign({"sub": USER, "role": "authenticated", "aud": ["authenticated"], "exp": 1983812996}))
    assert (who.user_id, who.role, who.deny_keys) == (USER, "authenticated", (f"user:{USER}",))
    ours = shared_bench.mint(session_id=SESSION)
    assert json.loads(_header(ours)) == {"alg": "HS256", "kid": "shared", "typ": "at+jwt"}
    assert shared_bench.check(ours).session_id == SESSION
    assert refusal(shared_bench, foreign(SUPABASE_ANON, secret="x" * 40)) == ("PGRST301", "JWT cryptographic operation failed")


def _header(token: str) -> bytes:
    from tests.unit.auth.tokens import unb64

    return unb64(token.split(".", maxsplit=1)[0])


def test_jwks_shows_public_parts_only(shared_bench: Bench) -> None:
    """JWKS lists the ES256 keys without private members, and never the shared secret."""
    keys = shared_bench.run(shared_bench.verifier.jwks(TENANT))["keys"]
    assert [set(key) for key in keys] == [{"kty", "crv", "x", "y", "kid", "alg", "use", "key_ops"}]
    assert (keys[0]["alg"], keys[0]["crv"]) == ("ES256", "P-256")
    assert JWT_SECRET not in json.dumps(keys)


def test_second_time_comes_from_the_cache(bench: Bench) -> None:
    """A verified credential is found by digest without waiting, until it ends; a refused one is never remembered."""
    raw = bench.mint()
    assert bench.verifier.cached(TENANT, raw) is None
    who = bench.check(raw)
    assert bench.verifier.cached(TENANT, raw) is who
    assert bench.verifier.cached(OTHER, raw) is None
    assert who.expires_at is not None
    assert bench.verifier.cached(TENANT, raw, who.expires_at + 31) is None
    bad = raw[:-2] + ("AA" if raw[-2:] != "AA" else "BB")
    for _ in range(2):
        refusal(bench, bad)
        assert bench.verifier.cached(TENANT, bad) is None


def test_cache_is_bounded_and_keeps_what_is_used() -> None:
    """The cache never holds more than its limit; the least recently used goes first."""
    bench = Bench(cache_entries=10)
    first = bench.mint()
    bench.check(first)
    others = [bench.mint() for _ in range(20)]
    for raw in others:
        bench.check(raw)
        assert bench.verifier.cached(TENANT, first) is not None
    assert sum(bench.verifier.cached(TENANT, raw) is not None for raw in others) == 9


def test_moved_key_epoch_empties_the_cache(bench: Bench) -> None:
    """When requests report another key epoch, ring and cache are outdated: a removed signing key opens nothing more (B29)."""
    raw = bench.mint()
    bench.rings.note_epoch(TENANT, 1)
    bench.check(raw)
    bench.rings.note_epoch(TENANT, 1)
    assert bench.verifier.cached(TENANT, raw) is not None
    bench.signing[TENANT] = bench.signing[OTHER]
    bench.rings.note_epoch(TENANT, 2)
    assert bench.verifier.cached(TENANT, raw) is None
    assert refusal(bench, raw) == ("PGRST301", "No suitable key or wrong key type")


def test_old_ring_is_loaded_again(bench: Bench) -> None:
    """Without any request reporting an epoch, a ring ages out; unchanged content keeps the cache."""
    raw = bench.mint()
    bench.check(raw)
    loads = bench.loads
    bench.time += MAX_AGE_SECONDS + 1
    bench.check(bench.mint())
    assert bench.loads == loads + 1
    assert bench.verifier.cached(TENANT, raw) is not None


def test_unknown_key_ids_do_not_make_us_query(bench: Bench) -> None:
    """A hundred tokens with random key ids cause one load of the ring in a second, none in the same one."""
    forge = bench.forge()
    bench.time += 10
    loads = bench.loads
    for number in range(100):
        refusal(bench, forge.by_stranger(kid=f"k{number}"))
    assert bench.loads == loads + 1


def test_new_key_is_found_without_an_epoch(bench: Bench) -> None:
    """A key made after the ring was loaded works a second later."""
    bench.check(bench.mint())
    row, jwt, twin = bench.add_key("anon")
    held = bench.rings._held[TENANT]  # as another process: nothing told this one
    held.is_stale = False
    assert refusal(bench, jwt) == ("PGRST301", "Invalid API key")
    bench.time += 1.1
    assert bench.check(twin).credential_id == row.id
    assert bench.check(jwt).credential_id == row.id


def test_same_claims_give_the_same_token(bench: Bench) -> None:
    """Signing is deterministic: a key shown twice is the same text."""
    key = bench.signing[TENANT]
    assert key.sign({"a": 1}, "key+jwt") == key.sign({"a": 1}, "key+jwt")
