# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# python3-saml has no types; what it gives is checked where it is read.
"""Our side and theirs in the toolkit's words: entity ids, addresses, certificates, and what must be signed.

Every address of ours comes from the configuration, never from a request (threat B16). SHA-1 is refused on both sides.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fluxbase.kernel.deferred import Deferred
from fluxbase.kernel.errors import AuthError, PeerUnavailable

if TYPE_CHECKING:
    from onelogin.saml2 import constants as saml2_constants
    from onelogin.saml2 import idp_metadata_parser as saml2_idp_metadata_parser
    from onelogin.saml2 import settings as saml2_settings

    from fluxbase.config.saml import Saml, SamlProvider
    from fluxbase.outbound.client import OutboundClient
else:
    saml2_constants = Deferred("onelogin.saml2.constants")
    saml2_idp_metadata_parser = Deferred("onelogin.saml2.idp_metadata_parser")
    saml2_settings = Deferred("onelogin.saml2.settings")

KEPT_SECONDS = 3600
ACS_PATH = "/auth/v1/saml/acs"
SLO_PATH = "/auth/v1/saml/slo"
METADATA_PATH = "/auth/v1/saml/metadata"


class SamlRegistry:
    """Identity providers by name or domain, and the toolkit's settings for each."""

    def __init__(self, settings: Saml, public_url: str, outbound: OutboundClient) -> None:
        self._settings = settings
        self._public_url = public_url
        self._outbound = outbound
        self._metadata: dict[str, tuple[float, dict[str, Any]]] = {}

    @property
    def providers(self) -> dict[str, SamlProvider]:
        """As configured."""
        return self._settings.idp

    def get(self, name: str) -> SamlProvider:
        """Raises AuthError ``sso_provider_not_found``."""
        provider = self._settings.idp.get(name)
        if provider is None:
            raise AuthError("No SSO provider assigned for this name or domain", code="sso_provider_not_found")
        return provider

    def name_of_domain(self, domain: str) -> str:
        """The provider of addresses under this domain. Raises AuthError ``sso_provider_not_found``."""
        wanted = domain.strip().lower()
        for name, provider in self._settings.idp.items():
            if wanted in (each.lower() for each in provider.domains):
                return name
        raise AuthError("No SSO provider assigned for this name or domain", code="sso_provider_not_found")

    @property
    def is_signing(self) -> bool:
        """Whether we have a key."""
        return self._settings.private_key is not None

    def request_data(self, path: str, *, get: dict[str, str] | None = None) -> dict[str, Any]:
        """The request as the toolkit wants it: our own configured address and this path."""
        parts = urlsplit(self._public_url)
        return {
            "https": "on" if parts.scheme == "https" else "off", "http_host": parts.netloc, "script_name": parts.path.rstrip("/") + path,
            "get_data": get or {}, "post_data": {},
        }  # fmt: skip

    @property
    def acs_url(self) -> str:
        """Where assertions are delivered."""
        return self._public_url + ACS_PATH

    async def toolkit(self, name: str, *, wants_signed_messages: bool = False) -> saml2_settings.OneLogin_Saml2_Settings:
        """The toolkit's settings for one provider. Raises PeerUnavailable when its metadata cannot be read."""
        provider = self.get(name)
        idp: dict[str, Any] = {"entityId": provider.entity_id}
        if provider.metadata_url:
            idp = await self._load(name, provider)
        else:
            idp["singleSignOnService"] = {
                "url": provider.sso_url,
                "binding": saml2_constants.OneLogin_Saml2_Constants.BINDING_HTTP_REDIRECT,
            }
            if provider.slo_url:
                idp["singleLogoutService"] = {
                    "url": provider.slo_url,
                    "binding": saml2_constants.OneLogin_Saml2_Constants.BINDING_HTTP_REDIRECT,
                }
            idp["x509certMulti"] = {"signing": provider.certificates, "encryption": provider.certificates[:1]}
        return saml2_settings.OneLogin_Saml2_Settings(self._toolkit(idp, wants_signed_messages=wants_signed_messages))

    async def _load(self, name: str, provider: SamlProvider) -> dict[str, Any]:
        held = self._metadata.get(name)
        if held is None or time.monotonic() - held[0] > KEPT_SECONDS:
            answer = await self._outbound.get(provider.metadata_url, headers={"accept": "application/samlmetadata+xml, application/xml"})
            try:
                parsed = saml2_idp_metadata_parser.OneLogin_Saml2_IdPMetadataParser.parse(answer.body, entity_id=provider.entity_id)
                idp = dict(parsed["idp"])
            except Exception as error:
                raise PeerUnavailable(name) from error
            if not answer.is_success or idp.get("entityId") != provider.entity_id or "singleSignOnService" not in idp:
                raise PeerUnavailable(name)
            held = self._metadata[name] = (time.monotonic(), idp)
        return held[1]

    def metadata(self) -> bytes:
        """Our metadata document."""
        settings = saml2_settings.OneLogin_Saml2_Settings(self._toolkit(None, wants_signed_messages=False), sp_validation_only=True)
        found = settings.get_sp_metadata()
        return found if isinstance(found, bytes) else found.encode()

    def _toolkit(self, idp: dict[str, Any] | None, *, wants_signed_messages: bool) -> dict[str, Any]:
        ours, names = self._settings, saml2_constants.OneLogin_Saml2_Constants
        service = {
            "entityId": ours.entity_id or self._public_url + METADATA_PATH,
            "assertionConsumerService": {"url": self.acs_url, "binding": names.BINDING_HTTP_POST},
            "singleLogoutService": {
                "url": self._public_url + SLO_PATH,
                "binding": names.BINDING_HTTP_REDIRECT,
            },
            "NameIDFormat": names.NAMEID_PERSISTENT,
            "x509cert": ours.certificate,
            "privateKey": "" if ours.private_key is None else ours.private_key.reveal(),
        }
        security = {
            "authnRequestsSigned": self.is_signing, "logoutRequestSigned": self.is_signing, "logoutResponseSigned": self.is_signing,
            "wantAssertionsSigned": True, "wantMessagesSigned": wants_signed_messages, "wantNameId": True, "wantAttributeStatement": False,
            "requestedAuthnContext": False, "rejectDeprecatedAlgorithm": True, "allowRepeatAttributeName": True,
            "signatureAlgorithm": names.RSA_SHA256, "digestAlgorithm": names.SHA256, "metadataValidUntil": None,
        }  # fmt: skip
        found: dict[str, Any] = {"strict": True, "debug": False, "sp": service, "security": security}
        return {**found, "idp": idp} if idp is not None else found
