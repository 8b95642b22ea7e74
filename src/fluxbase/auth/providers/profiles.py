# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# JSON from outside has no types; each member is checked where it is read.
"""Who it is, in a provider's words, read into one form. What the provider did not say is absent, never guessed.

An address counts as verified only when the provider says so with JSON ``true`` (threat B11: the text "true", 1 or silence do not) and
its word on addresses is believed (``ProviderSpec.trusts_email``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fluxbase.kernel.errors import PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fluxbase.auth.providers.catalog import ProviderSpec

    Fetch = Callable[[str], Awaitable[Any]]
    Reader = Callable[[ProviderSpec, dict[str, Any], Fetch], Awaitable[dict[str, Any]]]

_KEPT = (
    "name", "given_name", "family_name", "preferred_username", "nickname", "picture", "profile", "website", "locale", "zoneinfo",
)  # fmt: skip
LONGEST = 1000


@dataclass(frozen=True, slots=True)
class ProvenIdentity:
    """Somebody a provider has vouched for. The key is (issuer, subject); the address is only what it says besides."""

    provider: str
    issuer: str
    subject: str
    email: str | None
    is_email_verified: bool
    data: dict[str, Any]
    """``identity_data``: GoTrue's names."""

    def as_json(self) -> dict[str, Any]:
        """For a row."""
        return {
            "provider": self.provider, "issuer": self.issuer, "subject": self.subject, "email": self.email,
            "is_email_verified": self.is_email_verified, "data": self.data,
        }  # fmt: skip


def identity_of(provider: str, issuer: str, claims: dict[str, Any], *, trusts_email: bool) -> ProvenIdentity:
    """From standard claims."""
    raw = claims.get("email")
    email = raw.strip() if isinstance(raw, str) and "@" in raw and len(raw) <= 255 and raw.isprintable() else None
    is_verified = is_email_verified(claims) and trusts_email and email is not None
    said = {name: value for name in _KEPT if isinstance(value := claims.get(name), str) and 0 < len(value) <= LONGEST}
    subject = str(claims["sub"])
    data: dict[str, Any] = {"iss": issuer, "sub": subject, "provider_id": subject, **said, "phone_verified": False}
    if email is not None:
        data |= {"email": email, "email_verified": is_verified}
    if "name" in said:
        data["full_name"] = said["name"]
    if "picture" in said:
        data["avatar_url"] = said["picture"]
    if "preferred_username" in said:
        data["user_name"] = said["preferred_username"]
    return ProvenIdentity(provider, issuer, subject, email, is_verified, data)


def is_email_verified(claims: dict[str, Any]) -> bool:
    """JSON ``true`` and nothing that looks like it."""
    return claims.get("email_verified") is True


async def _github(spec: ProviderSpec, profile: dict[str, Any], fetch: Fetch) -> dict[str, Any]:
    listed = await fetch("https://api.github.com/user/emails")
    entries: list[Any] = listed if isinstance(listed, list) else []
    primary = next((each for each in entries if isinstance(each, dict) and each.get("primary") is True), {})
    return {
        "sub": _number(profile, spec), "name": profile.get("name"), "preferred_username": profile.get("login"),
        "picture": profile.get("avatar_url"), "profile": profile.get("html_url"), "email": primary.get("email"),
        "email_verified": primary.get("verified"),
    }  # fmt: skip


async def _facebook(spec: ProviderSpec, profile: dict[str, Any], _: Fetch) -> dict[str, Any]:
    """Facebook says nothing of verification, so its addresses are not verified."""
    picture = profile.get("picture")
    data: Any = picture.get("data", {}) if isinstance(picture, dict) else {}
    return {"sub": _number(profile, spec), "name": profile.get("name"), "email": profile.get("email"), "picture": data.get("url")}


async def _discord(spec: ProviderSpec, profile: dict[str, Any], _: Fetch) -> dict[str, Any]:
    subject, avatar = _number(profile, spec), profile.get("avatar")
    return {
        "sub": subject, "name": profile.get("global_name") or profile.get("username"), "preferred_username": profile.get("username"),
        "email": profile.get("email"), "email_verified": profile.get("verified"),
        "picture": f"https://cdn.discordapp.com/avatars/{subject}/{avatar}.png" if isinstance(avatar, str) else None,
    }  # fmt: skip


async def _x(spec: ProviderSpec, profile: dict[str, Any], _: Fetch) -> dict[str, Any]:
    """X tells no address."""
    data: Any = profile.get("data")
    found: dict[str, Any] = data if isinstance(data, dict) else {}
    return {
        "sub": _number(found, spec), "name": found.get("name"), "preferred_username": found.get("username"),
        "picture": found.get("profile_image_url"),
    }  # fmt: skip


def _number(profile: dict[str, Any], spec: ProviderSpec) -> str:
    found = profile.get("id")
    if isinstance(found, bool) or not isinstance(found, str | int) or not 0 < len(str(found)) <= 255:
        raise PeerUnavailable(spec.display_name)
    return str(found)


READERS: dict[str, Reader] = {"github": _github, "facebook": _facebook, "discord": _discord, "x": _x}
