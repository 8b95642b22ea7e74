"""The two ceremonies of WebAuthn, over the library ``webauthn``: which domain, which origins, which proof is enough.

What is checked here is pure: challenge, origin, relying party, signature, user presence and verification (WebAuthn level 3, 7.1 and
7.2). That a challenge is used once and that a counter only grows is the store's.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import orjson

from fluxbase.kernel.deferred import Deferred
from fluxbase.kernel.errors import AuthError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import webauthn
    import webauthn.helpers.exceptions
    import webauthn.helpers.structs

    from fluxbase.config.factors import Passkeys
else:
    webauthn = Deferred("webauthn")

ORIGIN_OF_DEVELOPMENT = "localhost"
"""Browsers refuse an address as the domain of a passkey, so an instance at 127.0.0.1 is known by this name."""
MAX_CREDENTIAL_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Registered:
    """A credential that was made and proved itself."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: tuple[str, ...]
    is_backed_up: bool


@dataclass(frozen=True, slots=True)
class Asserted:
    """A credential that signed our challenge."""

    sign_count: int
    is_user_verified: bool


class RelyingParty:
    """The domain and the pages that passkeys of this instance belong to."""

    def __init__(self, settings: Passkeys, public_url: str) -> None:
        url = urlsplit(public_url)
        host = ORIGIN_OF_DEVELOPMENT if _is_address(url.hostname or "") else url.hostname or ""
        port = "" if url.port is None else f":{url.port}"
        self.id = settings.rp_id or host
        self.name = settings.rp_name
        self.origins = settings.origins or [f"{url.scheme}://{host}{port}"]
        self._settings = settings
        self._timeout_ms = settings.challenge_seconds * 1000

    @property
    def _verification(self) -> webauthn.helpers.structs.UserVerificationRequirement:
        return webauthn.helpers.structs.UserVerificationRequirement(self._settings.user_verification)

    def creation_options(
        self, user_id: str, name: str, challenge: bytes, exclude: Sequence[bytes], *, is_discoverable: bool
    ) -> dict[str, Any]:
        """For ``navigator.credentials.create``. A second factor need not be discoverable."""
        resident = (
            webauthn.helpers.structs.ResidentKeyRequirement.REQUIRED
            if is_discoverable
            else webauthn.helpers.structs.ResidentKeyRequirement.DISCOURAGED
        )
        verification = self._verification if is_discoverable else webauthn.helpers.structs.UserVerificationRequirement.PREFERRED
        excluded = [webauthn.helpers.structs.PublicKeyCredentialDescriptor(id=each) for each in exclude]
        options = webauthn.generate_registration_options(
            rp_id=self.id, rp_name=self.name, user_name=name, user_display_name=name, user_id=user_id.encode(), challenge=challenge,
            timeout=self._timeout_ms, exclude_credentials=excluded,
            authenticator_selection=webauthn.helpers.structs.AuthenticatorSelectionCriteria(
                resident_key=resident, require_resident_key=is_discoverable, user_verification=verification
            ),
        )  # fmt: skip
        return orjson.loads(webauthn.options_to_json(options))

    def request_options(self, challenge: bytes, allow: Sequence[tuple[bytes, Sequence[str]]] = ()) -> dict[str, Any]:
        """For ``navigator.credentials.get``; without ``allow`` the browser offers every passkey of the domain."""
        credentials = [
            webauthn.helpers.structs.PublicKeyCredentialDescriptor(
                id=each, transports=[webauthn.helpers.structs.AuthenticatorTransport(name) for name in transports]
            )
            for each, transports in allow
        ]
        verification = webauthn.helpers.structs.UserVerificationRequirement.PREFERRED if credentials else self._verification
        options = webauthn.generate_authentication_options(
            rp_id=self.id, challenge=challenge, timeout=self._timeout_ms, allow_credentials=credentials, user_verification=verification
        )
        return orjson.loads(webauthn.options_to_json(options))

    def verify_creation(self, credential: dict[str, Any], challenge: bytes, *, is_discoverable: bool) -> Registered:
        """Raises AuthError ``webauthn_verification_failed``."""
        must_verify = is_discoverable and self._verification is webauthn.helpers.structs.UserVerificationRequirement.REQUIRED
        try:
            made = webauthn.verify_registration_response(
                credential=credential, expected_challenge=challenge, expected_rp_id=self.id, expected_origin=self.origins,
                require_user_verification=must_verify,
            )  # fmt: skip
        except (webauthn.helpers.exceptions.WebAuthnException, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _refused() from error
        return Registered(
            made.credential_id, made.credential_public_key, made.sign_count, _transports(credential), made.credential_backed_up
        )

    def verify_assertion(
        self, credential: dict[str, Any], challenge: bytes, *, public_key: bytes, sign_count: int, is_factor: bool = False
    ) -> Asserted:
        """Raises AuthError ``webauthn_verification_failed``; also for a counter that did not grow, the sign of a copied key."""
        must_verify = not is_factor and self._verification is webauthn.helpers.structs.UserVerificationRequirement.REQUIRED
        try:
            shown = webauthn.verify_authentication_response(
                credential=credential, expected_challenge=challenge, expected_rp_id=self.id, expected_origin=self.origins,
                credential_public_key=public_key, credential_current_sign_count=sign_count, require_user_verification=must_verify,
            )  # fmt: skip
        except (webauthn.helpers.exceptions.WebAuthnException, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _refused() from error
        return Asserted(shown.new_sign_count, shown.user_verified)


def credential_id_of(credential: dict[str, Any]) -> bytes:
    """Which credential an answer is of. Raises AuthError ``webauthn_verification_failed`` for something else."""
    raw = credential.get("rawId") or credential.get("id")
    if not isinstance(raw, str) or len(orjson.dumps(credential)) > MAX_CREDENTIAL_BYTES:
        raise _refused()
    try:
        return webauthn.base64url_to_bytes(raw)
    except ValueError as error:
        raise _refused() from error


def user_handle_of(credential: dict[str, Any]) -> str | None:
    """The user whom a discoverable credential names."""
    raw = _response(credential).get("userHandle")
    if not isinstance(raw, str) or not raw:
        return None
    try:
        return webauthn.base64url_to_bytes(raw).decode("ascii")
    except ValueError:
        return ""


def _transports(credential: dict[str, Any]) -> tuple[str, ...]:
    raw = _response(credential).get("transports")
    known = {each.value for each in webauthn.helpers.structs.AuthenticatorTransport}
    return tuple(each for each in cast("list[str]", raw) if each in known) if isinstance(raw, list) else ()


def _response(credential: dict[str, Any]) -> dict[str, Any]:
    found = credential.get("response")
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _refused() -> AuthError:
    return AuthError("The passkey could not be verified.", code="webauthn_verification_failed")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
