# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# python3-saml has no types; what it gives is checked where it is read.
"""What a SAML answer proves, after every check of the toolkit and those it leaves open (threats B12, B18; SAML core 2.0, profiles 4.1.4).

The toolkit checks signature, that the signed element is the one read (wrapping), issuer, times and status. It takes a missing
InResponseTo, audience or recipient for granted and compares recipients by inclusion; here all three must be there and be equal.
Only the signed assertion is read.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fluxbase.auth.providers.profiles import ProvenIdentity
from fluxbase.kernel.deferred import Deferred
from fluxbase.kernel.errors import AuthError

if TYPE_CHECKING:
    from onelogin.saml2 import constants as saml2_constants
    from onelogin.saml2 import errors as saml2_errors
    from onelogin.saml2 import response as saml2_response
    from onelogin.saml2 import settings as saml2_settings
    from onelogin.saml2 import utils as saml2_utils

    from fluxbase.config.saml import SamlProvider
else:
    saml2_constants = Deferred("onelogin.saml2.constants")
    saml2_errors = Deferred("onelogin.saml2.errors")
    saml2_response = Deferred("onelogin.saml2.response")
    saml2_settings = Deferred("onelogin.saml2.settings")
    saml2_utils = Deferred("onelogin.saml2.utils")

LONGEST_LIFE_SECONDS = 3600
_EMAIL = (
    "email", "mail", "emailaddress", "urn:oid:0.9.2342.19200300.100.1.3",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
)  # fmt: skip
_NAME = ("name", "displayname", "urn:oid:2.16.840.1.113730.3.1.241", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name")


@dataclass(frozen=True, slots=True)
class Assertion:
    """A good one."""

    id: str
    expires_at: int
    name_id: str
    name_id_format: str
    session_index: str | None
    attributes: dict[str, list[str]]


def bearer_data(response: saml2_response.OneLogin_Saml2_Response) -> list[Any]:
    """SubjectConfirmationData of the bearer confirmations in the signed assertion: nothing else of the answer is read."""
    method = saml2_constants.OneLogin_Saml2_Constants.CM_BEARER
    path = f"/saml:Subject/saml:SubjectConfirmation[@Method='{method}']/saml:SubjectConfirmationData"
    return list(response._query_assertion(path))  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - only what was signed


def read(
    settings: saml2_settings.OneLogin_Saml2_Settings, encoded: str, request_data: dict[str, Any], *, request_id: str, acs_url: str
) -> Assertion:
    """Raises AuthError ``saml_assertion_invalid``; which check failed is not told: answers are made by who may be lying."""
    try:
        response = saml2_response.OneLogin_Saml2_Response(settings, encoded)
    except (saml2_errors.OneLogin_Saml2_Error, saml2_errors.OneLogin_Saml2_ValidationError, ValueError, SyntaxError, TypeError):
        raise invalid() from None
    if not response.is_valid(request_data, request_id):
        raise invalid()
    if not is_for_this_request(response, settings.get_sp_data()["entityId"], request_id, acs_url):
        raise invalid()
    name_id, ends = response.get_nameid(), response.get_assertion_not_on_or_after()
    if not isinstance(name_id, str) or not 0 < len(name_id) <= 255:
        raise invalid()
    latest = int(time.time()) + LONGEST_LIFE_SECONDS
    return Assertion(
        str(response.get_assertion_id()), max(int(ends or 0), latest), name_id, str(response.get_nameid_format() or ""),
        response.get_session_index(), {str(name): [str(each) for each in values] for name, values in response.get_attributes().items()},
    )  # fmt: skip


def is_for_this_request(response: saml2_response.OneLogin_Saml2_Response, entity_id: str, request_id: str, acs_url: str) -> bool:
    """Audience, recipient and InResponseTo are there and are ours, in what is signed."""
    if entity_id not in response.get_audiences():
        return False
    return any(
        data.get("InResponseTo") == request_id and data.get("Recipient") == acs_url and _is_alive(data.get("NotOnOrAfter"))
        for data in bearer_data(response)
    )


def _is_alive(text: str | None) -> bool:
    if text is None:
        return False
    try:
        return saml2_utils.OneLogin_Saml2_Utils.parse_SAML_to_time(text) > time.time()
    except ValueError:
        return False


def invalid() -> AuthError:
    """What a bad answer gets."""
    return AuthError("The identity provider's answer is not valid for this sign-in.", code="saml_assertion_invalid")


def identity_of(name: str, provider: SamlProvider, assertion: Assertion) -> ProvenIdentity:
    """(entity id, name id). A transient name id changes at each sign-in and names nobody. An address counts as verified only under
    the provider's own domains."""
    if assertion.name_id_format == saml2_constants.OneLogin_Saml2_Constants.NAMEID_TRANSIENT:
        raise AuthError("The identity provider must send a persistent name id.", code="saml_assertion_invalid")
    wanted = (provider.email_attribute,) if provider.email_attribute else _EMAIL
    email = _first(assertion.attributes, wanted)
    if email is None and assertion.name_id_format == saml2_constants.OneLogin_Saml2_Constants.NAMEID_EMAIL_ADDRESS:
        email = assertion.name_id
    if email is not None and ("@" not in email or len(email) > 255 or not email.isprintable()):
        email = None
    domain = (email or "").rpartition("@")[2].lower()
    is_verified = email is not None and domain in (each.lower() for each in provider.domains)
    data: dict[str, Any] = {"iss": provider.entity_id, "sub": assertion.name_id, "provider_id": assertion.name_id, "phone_verified": False}
    shown = _first(assertion.attributes, _NAME)
    if shown is not None:
        data |= {"name": shown, "full_name": shown}
    if email is not None:
        data |= {"email": email, "email_verified": is_verified}
    if assertion.session_index:
        data["session_index"] = assertion.session_index
    return ProvenIdentity(f"sso:{name}", provider.entity_id, assertion.name_id, email, is_verified, data)


def _first(attributes: dict[str, list[str]], names: tuple[str, ...]) -> str | None:
    lower = {name.lower(): values for name, values in attributes.items()}
    for name in names:
        values = lower.get(name.lower())
        if values and 0 < len(values[0]) <= 1000:
            return values[0].strip()
    return None
