# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# Authlib has no types, and JSON from outside has none; each member is checked where it is read.
"""The OAuth 2 client: the address a browser is sent to, and what the provider's code is exchanged for (RFC 6749, 7636, 9700).

No redirect is followed with the code or our secret. The answer is read for what it proves and nothing else is believed of it.
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from fluxbase.auth.providers.id_token import Expected, IdTokens
from fluxbase.auth.providers.profiles import READERS, ProvenIdentity, identity_of
from fluxbase.kernel.errors import AuthError, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxbase.auth.providers.discovery import Directory
    from fluxbase.auth.providers.registry import Provider
    from fluxbase.outbound.client import Answer, OutboundClient

LONGEST_TOKEN = 16_384


@dataclass(frozen=True, slots=True)
class ProviderTokens:
    """The provider's own tokens of one user."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    id_token: str | None = field(default=None, repr=False)
    scopes: str = ""
    expires_at: int | None = None

    def as_json(self) -> dict[str, Any]:
        """For sealing."""
        return {
            "access_token": self.access_token, "refresh_token": self.refresh_token, "id_token": self.id_token, "scopes": self.scopes,
            "expires_at": self.expires_at,
        }  # fmt: skip


class OAuthClient:
    """Our side of the conversation with a provider."""

    def __init__(self, outbound: OutboundClient, directory: Directory, id_tokens: IdTokens, redirect_uri: str) -> None:
        self._outbound = outbound
        self._directory = directory
        self._id_tokens = id_tokens
        self._redirect_uri = redirect_uri

    async def authorize_url(self, provider: Provider, *, state: str, nonce: str, verifier: str, scopes: tuple[str, ...]) -> str:
        """Where the browser goes, with PKCE S256, state and nonce of this flow."""
        spec = provider.spec
        url = (await self._directory.metadata(provider)).authorize_url if spec.is_oidc else spec.authorize_url
        more = {"nonce": nonce} if spec.is_oidc else {}
        return str(
            prepare_grant_uri(
                url, provider.client_id, "code", redirect_uri=self._redirect_uri, scope=" ".join(scopes or provider.scopes), state=state,
                code_challenge=create_s256_code_challenge(verifier), code_challenge_method="S256", **more, **spec.authorize_parameters,
            )
        )  # fmt: skip

    async def check_answer_issuer(self, provider: Provider, issuer: str | None) -> None:
        """The answer's ``iss`` is the provider's (RFC 9207: mix-up). Raises AuthError ``bad_oauth_callback``."""
        if not provider.spec.is_oidc:
            return
        metadata = await self._directory.metadata(provider)
        if (issuer is None and metadata.sends_issuer) or (issuer is not None and issuer != metadata.issuer):
            raise AuthError("The answer came from another provider.", code="bad_oauth_callback")

    async def exchange(self, provider: Provider, *, code: str, verifier: str, nonce: str) -> tuple[ProvenIdentity, ProviderTokens]:
        """Who it is, and the provider's tokens. Raises AuthError or PeerUnavailable."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._redirect_uri, "code_verifier": verifier}
        document = await self._token_request(provider, form)
        tokens = _tokens(document, provider)
        if provider.spec.is_oidc:
            if tokens.id_token is None:
                raise PeerUnavailable(provider.spec.display_name)
            expected = Expected((nonce,), (provider.client_id,), tokens.access_token)
            claims = await self._id_tokens.verify(provider, tokens.id_token, expected)
            claims = await self._with_profile(provider, claims, tokens.access_token)
            return identity_of(provider.name, str(claims["iss"]), claims, trusts_email=provider.spec.trusts_email), tokens
        return await self._read_profile(provider, tokens.access_token), tokens

    async def refresh(self, provider: Provider, tokens: ProviderTokens) -> ProviderTokens:
        """New tokens for an expired one. Raises AuthError ``oauth_token_not_found`` when the provider gives none."""
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token or ""}
        fresh = _tokens(await self._token_request(provider, form), provider)
        return ProviderTokens(
            fresh.access_token, fresh.refresh_token or tokens.refresh_token, fresh.id_token or tokens.id_token,
            fresh.scopes or tokens.scopes, fresh.expires_at,
        )  # fmt: skip

    async def revoke(self, provider: Provider, tokens: ProviderTokens) -> bool:
        """Tell the provider that we need them no more (RFC 7009); False where it cannot be told."""
        spec = provider.spec
        url = (await self._directory.metadata(provider)).revoke_url if spec.is_oidc else spec.revoke_url
        if not url:
            return False
        form, headers = _authenticated(provider, {"token": tokens.refresh_token or tokens.access_token})
        return (await self._outbound.post_form(url, form, headers=headers)).is_success

    async def logout_url(self, provider: Provider, tokens: ProviderTokens | None, redirect_to: str) -> str | None:
        """Where a browser ends its session at the provider (OpenID Connect RP-Initiated Logout); None where there is no such place."""
        url = (await self._directory.metadata(provider)).logout_url if provider.spec.is_oidc else ""
        if not url:
            return None
        parameters = {"client_id": provider.client_id, "post_logout_redirect_uri": redirect_to}
        if tokens is not None and tokens.id_token is not None:
            parameters["id_token_hint"] = tokens.id_token
        separator = "&" if "?" in url else "?"
        return url + separator + "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())

    async def _token_request(self, provider: Provider, form: dict[str, str]) -> dict[str, Any]:
        spec = provider.spec
        url = (await self._directory.metadata(provider)).token_url if spec.is_oidc else spec.token_url
        form, headers = _authenticated(provider, form)
        answer = await self._outbound.post_form(url, form, headers={**headers, "accept": "application/json"})
        return _refused_or(answer, provider)

    async def _with_profile(self, provider: Provider, claims: dict[str, Any], access_token: str) -> dict[str, Any]:
        """What the userinfo endpoint adds, when the token has no address. Its subject must be the token's (threat B14)."""
        if "email" in claims:
            return claims
        url = (await self._directory.metadata(provider)).profile_url
        if not url:
            return claims
        answer = await self._outbound.get(url, headers={"authorization": f"Bearer {access_token}"})
        profile = answer.json() if answer.is_success and "json" in answer.headers.get("content-type", "") else {}
        return {**profile, **claims} if is_same_subject(profile, claims) else claims

    async def _read_profile(self, provider: Provider, access_token: str) -> ProvenIdentity:
        spec = provider.spec

        async def fetch(url: str) -> Any:
            answer = await self._outbound.get(url, headers={"authorization": f"Bearer {access_token}"})
            if not answer.is_success:
                raise PeerUnavailable(spec.display_name)
            return answer.parsed()

        profile = await fetch(spec.profile_url)
        if not isinstance(profile, dict):
            raise PeerUnavailable(spec.display_name)
        claims = await READERS[spec.profile](spec, profile, fetch)  # pyright: ignore[reportUnknownArgumentType]
        return identity_of(provider.name, spec.issuer, claims, trusts_email=spec.trusts_email)


def is_same_subject(profile: Mapping[str, Any], claims: Mapping[str, Any]) -> bool:
    """The userinfo answer is about the user of the ID token."""
    return profile.get("sub") == claims["sub"]


def _authenticated(provider: Provider, form: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Form and headers that say who we are (RFC 6749 2.3.1)."""
    secret = provider.secret()
    match provider.spec.secret_in:
        case "client_secret_basic" if secret is not None:
            pair = f"{quote(provider.client_id, safe='')}:{quote(secret, safe='')}"
            return form, {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        case "client_secret_post" if secret is not None:
            return {**form, "client_id": provider.client_id, "client_secret": secret}, {}
        case _:
            return {**form, "client_id": provider.client_id}, {}


def _refused_or(answer: Answer, provider: Provider) -> dict[str, Any]:
    document = answer.json()
    if not answer.is_success or "error" in document or "access_token" not in document:
        if answer.status >= 500:
            raise PeerUnavailable(provider.spec.display_name)
        raise AuthError(f"{provider.spec.display_name} did not accept the code.", code="bad_oauth_callback")
    return document


def _tokens(document: dict[str, Any], provider: Provider) -> ProviderTokens:
    def text(name: str) -> str | None:
        value = document.get(name)
        return value if isinstance(value, str) and 0 < len(value) <= LONGEST_TOKEN else None

    access, lasts = text("access_token"), document.get("expires_in")
    if access is None:
        raise PeerUnavailable(provider.spec.display_name)
    is_number = isinstance(lasts, int) and not isinstance(lasts, bool)
    expires_at = int(time.time()) + min(max(lasts, 0), 10**9) if is_number else None  # type: ignore[operator, type-var]
    return ProviderTokens(access, text("refresh_token"), text("id_token"), text("scope") or "", expires_at)
