"""What an OpenID provider says of itself: its discovery document and its keys, each pinned to the issuer it was configured with.

The document must name exactly the configured issuer (OpenID Connect Discovery 4.3), so a provider cannot speak for another one.
Keys come from that document alone; a token's own ``jku``, ``x5u`` or ``jwk`` is never read. Both are kept for an hour; an unknown
key id asks for the keys again, once a minute at most, so that rotation is noticed and forged ids cost nothing.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from fluxbase.kernel.errors import PeerUnavailable

if TYPE_CHECKING:
    from fluxbase.auth.providers.registry import Provider
    from fluxbase.outbound.client import OutboundClient

KEPT_SECONDS = 3600
ASK_AGAIN_SECONDS = 60
_DIRECTORY = r"(?:\{tenantid\}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_PUBLIC_KINDS = frozenset({"RSA", "EC", "OKP"})


@dataclass(slots=True)
class Metadata:
    """One provider's document and keys."""

    issuer: str
    authorize_url: str
    token_url: str
    profile_url: str
    revoke_url: str
    logout_url: str
    jwks_url: str
    sends_issuer: bool
    """Its answers carry ``iss`` (RFC 9207)."""
    loaded_at: float
    keys: KeySet | None = None
    keys_at: float = field(default=0.0)


class Directory:
    """Documents and keys by provider."""

    def __init__(self, outbound: OutboundClient) -> None:
        self._outbound = outbound
        self._held: dict[str, Metadata] = {}

    async def metadata(self, provider: Provider) -> Metadata:
        """The provider's document. Raises PeerUnavailable when it cannot be read or speaks for another issuer."""
        held = self._held.get(provider.name)
        if held is None or time.monotonic() - held.loaded_at > KEPT_SECONDS:
            held = self._held[provider.name] = await self._load(provider)
        return held

    async def _load(self, provider: Provider) -> Metadata:
        spec = provider.spec
        base = (spec.discovery or spec.issuer).rstrip("/")
        answer = await self._outbound.get(f"{base}/.well-known/openid-configuration")
        document = answer.json() if answer.is_success else {}
        issuer = document.get("issuer")
        if not isinstance(issuer, str) or not is_issuer_of(spec.issuer, issuer):
            raise PeerUnavailable(spec.display_name)

        def address(name: str) -> str:
            value = document.get(name, "")
            return value if isinstance(value, str) and value.startswith(("https://", f"{spec.issuer.partition(':')[0]}://")) else ""

        found = Metadata(
            issuer, address("authorization_endpoint"), address("token_endpoint"), address("userinfo_endpoint"),
            address("revocation_endpoint"), address("end_session_endpoint"), address("jwks_uri"),
            document.get("authorization_response_iss_parameter_supported") is True, time.monotonic(),
        )  # fmt: skip
        if not (found.authorize_url and found.token_url and found.jwks_url):
            raise PeerUnavailable(spec.display_name)
        return found

    async def keys(self, provider: Provider, key_id: str | None) -> KeySet:
        """The provider's public keys, asked for again when none has this id."""
        held = await self.metadata(provider)
        now = time.monotonic()
        is_known = held.keys is not None and (key_id is None or any(key.kid == key_id for key in held.keys))
        age = now - held.keys_at
        if held.keys is None or age > KEPT_SECONDS or (not is_known and age > ASK_AGAIN_SECONDS):
            held.keys = _key_set((await self._outbound.get(held.jwks_url)).json(), provider.spec.display_name)
            held.keys_at = now
        return held.keys


def is_issuer_of(template: str, issuer: str) -> bool:
    """The issuer itself; ``{tenantid}`` in the template stands for one directory, or for itself in a document of several."""
    head, place, tail = template.partition("{tenantid}")
    if not place:
        return issuer == template
    return re.fullmatch(re.escape(head) + _DIRECTORY + re.escape(tail), issuer) is not None


def _key_set(document: dict[str, Any], name: str) -> KeySet:
    """Public signing keys only: a symmetric key in a public document would let everybody sign."""
    listed = document.get("keys")
    raw = cast("list[dict[str, Any]]", listed) if isinstance(listed, list) else []
    usable = [key for key in raw if isinstance(key, dict) and key.get("kty") in _PUBLIC_KINDS and key.get("use", "sig") == "sig"]  # pyright: ignore[reportUnnecessaryIsInstance]
    try:
        return KeySet.import_key_set({"keys": usable})  # pyright: ignore[reportArgumentType]
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise PeerUnavailable(name) from error
