"""What providers say, read into one form; whose word on addresses counts; who we are at each of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import ECKey

from fluxbase.auth.providers.catalog import ALIASES, CATALOG
from fluxbase.auth.providers.discovery import is_issuer_of
from fluxbase.auth.providers.profiles import READERS, identity_of
from fluxbase.auth.providers.registry import ProviderRegistry
from fluxbase.config.oauth import AppleClient, GitLabClient, MicrosoftClient, OAuth, OidcClient, ProviderClient
from fluxbase.kernel.errors import AuthError, PeerUnavailable
from fluxbase.kernel.secret import Secret

SPECS = {spec.name: spec for spec in CATALOG}
ANSWERS: dict[str, dict[str, Any]] = {
    "github": {"id": 583231, "login": "octocat", "name": "Octo", "avatar_url": "https://a.test/o.png", "email": "public@a.test"},
    "facebook": {"id": "77", "name": "Fay", "email": "fay@a.test", "picture": {"data": {"url": "https://a.test/f.png"}}},
    "discord": {
        "id": "80351110224678912",
        "username": "nelly",
        "global_name": "Nelly",
        "avatar": "abc",
        "email": "n@a.test",
        "verified": True,
    },
    "x": {"data": {"id": "2244994945", "name": "Devs", "username": "devs"}},
}
EMAILS = [{"email": "old@a.test", "primary": False, "verified": True}, {"email": "octo@a.test", "primary": True, "verified": True}]


def read(name: str, profile: dict[str, Any], emails: Any = EMAILS) -> Any:
    """The identity of a provider's profile."""

    async def fetch(_: str) -> Any:
        return emails

    claims = asyncio.run(READERS[name](SPECS[name], profile, fetch))
    return identity_of(name, SPECS[name].issuer, claims, trusts_email=SPECS[name].trusts_email)


@pytest.mark.parametrize(
    ("name", "subject", "email", "is_verified"),
    [
        ("github", "583231", "octo@a.test", True), ("facebook", "77", "fay@a.test", False),
        ("discord", "80351110224678912", "n@a.test", True), ("x", "2244994945", None, False),
    ],
)  # fmt: skip
def test_profiles_are_read(name: str, subject: str, email: str | None, is_verified: bool) -> None:
    """Subject, address and whether it is verified, as each provider means it."""
    found = read(name, ANSWERS[name])
    assert (found.subject, found.email, found.is_email_verified) == (subject, email, is_verified)
    assert found.data["provider_id"] == subject


@pytest.mark.parametrize(
    "emails", [[], {}, None, "x", [1], [{"email": "a@a.test", "primary": "true", "verified": True}], [{"primary": True}]]
)
def test_github_without_a_primary_address_has_none(emails: Any) -> None:
    """Whatever the list looks like, no address is guessed from the profile."""
    assert read("github", ANSWERS["github"], emails).email is None


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("profile", [{}, {"id": None}, {"id": True}, {"id": ""}, {"id": ["1"]}, {"data": []}, {"id": "x" * 300}])
def test_a_profile_without_an_id_names_nobody(name: str, profile: dict[str, Any]) -> None:
    """PeerUnavailable, never an account for everybody without an id."""
    with pytest.raises(PeerUnavailable):
        read(name, profile)


@pytest.mark.parametrize("word", ["true", "True", 1, 1.0, [True], {"a": 1}, None, False])
def test_only_true_is_verified(word: Any) -> None:
    """JSON true and nothing that looks like it (threat B11)."""
    claims = {"sub": "1", "email": "a@a.test", "email_verified": word}
    assert not identity_of("p", "https://p.test", claims, trusts_email=True).is_email_verified
    assert identity_of("p", "https://p.test", {**claims, "email_verified": True}, trusts_email=True).is_email_verified
    assert not identity_of("p", "https://p.test", {**claims, "email_verified": True}, trusts_email=False).is_email_verified


@pytest.mark.parametrize("email", ["no-at", "", 7, None, "a@b\n.test", "a@" + "b" * 300])
def test_what_is_no_address_is_none(email: Any) -> None:
    """And so never verified."""
    found = identity_of("p", "https://p.test", {"sub": "1", "email": email, "email_verified": True}, trusts_email=True)
    assert (found.email, found.is_email_verified) == (None, False)


def test_microsoft_and_facebook_addresses_are_not_believed() -> None:
    """nOAuth (threat B13): a directory's administrator writes any address."""
    assert [name for name, spec in SPECS.items() if not spec.trusts_email] == ["microsoft"]
    assert not read("facebook", {**ANSWERS["facebook"], "verified": True, "email_verified": True}).is_email_verified


DIRECTORY = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


@pytest.mark.parametrize(
    ("issuer", "is_ours"),
    [
        (f"https://login.microsoftonline.com/{DIRECTORY}/v2.0", True), ("https://login.microsoftonline.com/{tenantid}/v2.0", True),
        ("https://login.microsoftonline.com/evil/v2.0", False), (f"https://login.microsoftonline.com/{DIRECTORY}/v2.0/", False),
        (f"https://login.microsoftonline.com.evil.test/{DIRECTORY}/v2.0", False), (f"https://login.microsoftonline.com/{DIRECTORY}x/v2.0", False),
    ],
)  # fmt: skip
def test_a_directory_of_microsoft_is_an_issuer(issuer: str, is_ours: bool) -> None:
    """Its place takes a directory's id alone."""
    assert is_issuer_of(SPECS["microsoft"].issuer, issuer) is is_ours


def test_every_provider_of_the_catalogue_can_be_switched_on() -> None:
    """By its name and its aliases; without a client id it is not there."""
    client = {"client_id": "id", "client_secret": Secret("s")}
    settings = OAuth(
        **{name: ProviderClient(**client) for name in SPECS if name not in {"microsoft", "apple", "gitlab"}},
        microsoft=MicrosoftClient(**client, directory="organizations"), apple=AppleClient(**client), gitlab=GitLabClient(**client, url="https://git.a.test/"),
        oidc={"company": OidcClient(issuer="https://id.a.test", client_id="c")},
    )  # fmt: skip
    registry = ProviderRegistry(settings)
    assert [each.name for each in registry.all()] == [*SPECS, "company"]
    assert registry.get("gitlab").spec.issuer == "https://git.a.test"
    assert registry.get("azure").spec.discovery == "https://login.microsoftonline.com/organizations/v2.0"
    assert registry.get("company").spec.secret_in == "none"
    assert {registry.get(alias).name for alias in ALIASES} == set(ALIASES.values())
    for name in ("google", "company", "", "x" * 100):
        with pytest.raises(AuthError):
            ProviderRegistry(OAuth()).get(name)


def test_apples_secret_is_a_token_signed_now() -> None:
    """ES256 by the team's key, for five minutes, for Apple."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    registry = ProviderRegistry(OAuth(apple=AppleClient(client_id="web", team_id="TEAM", key_id="KEY", private_key=Secret(pem))))
    secret = registry.get("apple").secret() or ""
    token = jwt.decode(secret, ECKey.import_key(pem), algorithms=["ES256"])
    assert (token.header["kid"], token.claims["iss"], token.claims["sub"], token.claims["aud"]) == (
        "KEY",
        "TEAM",
        "web",
        "https://appleid.apple.com",
    )
    assert token.claims["exp"] - token.claims["iat"] == 300


@pytest.mark.parametrize(
    "settings",
    [
        {"oidc": {"google": {"issuer": "https://a.test", "client_id": "c"}}}, {"oidc": {"azure": {"issuer": "https://a.test", "client_id": "c"}}},
        {"oidc": {"a": {"issuer": "http://a.test", "client_id": "c"}}}, {"oidc": {"a": {"issuer": "https://a.test?x", "client_id": "c"}}},
        {"oidc": {"../a": {"issuer": "https://a.test", "client_id": "c"}}}, {"oidc": {"a": {"issuer": "http://127.0.0.1.evil.test", "client_id": "c"}}},
    ],
)  # fmt: skip
def test_dangerous_settings_are_refused(settings: dict[str, Any]) -> None:
    """Plain http issuers, issuers with a query, names that are taken."""
    with pytest.raises(ValueError, match=r"."):
        OAuth(**settings)
