"""A SAML identity provider for the tests: builds and signs answers with xmlsec, right ones and every wrong one a test asks for."""

from __future__ import annotations

import base64
import datetime as dt
import uuid
import zlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from lxml import etree
from onelogin.saml2.utils import OneLogin_Saml2_Utils

PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
SHA1 = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"


def key_pair() -> tuple[Any, str, str]:
    """Private key, its PEM, and a certificate for it."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp.test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=30)).sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    return key, pem, certificate.public_bytes(serialization.Encoding.PEM).decode()


@dataclass
class IdentityProvider:
    """One of them."""

    entity_id: str = "https://idp.test/metadata"
    pair: tuple[Any, str, str] = field(default_factory=key_pair)

    @property
    def certificate(self) -> str:
        """PEM."""
        return self.pair[2]

    def settings(self, **more: Any) -> dict[str, Any]:
        """For ``saml.idp``."""
        return {
            "entity_id": self.entity_id, "sso_url": "https://idp.test/sso", "slo_url": "https://idp.test/slo",
            "certificates": [self.certificate], "domains": ["corp.test"], **more,
        }  # fmt: skip

    def assertion(self, request: Request, **told: Any) -> str:
        """The XML of an assertion, unsigned. ``told`` changes one thing."""
        values = {
            "id": f"_{uuid.uuid4().hex}", "issuer": self.entity_id, "subject": "u-1", "format": PERSISTENT, "audience": request.entity_id,
            "recipient": request.acs_url, "in_response_to": request.id, "begins": -60, "ends": 300, **told,
        }  # fmt: skip
        values.setdefault("email", f"{values['subject']}@corp.test")
        audience = f"<saml:AudienceRestriction><saml:Audience>{values['audience']}</saml:Audience></saml:AudienceRestriction>"
        in_response_to = f' InResponseTo="{values["in_response_to"]}"' if values["in_response_to"] else ""
        recipient = f' Recipient="{values["recipient"]}"' if values["recipient"] else ""
        return (
            f'<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="{values["id"]}" Version="2.0" IssueInstant="{at(0)}">'
            f"<saml:Issuer>{values['issuer']}</saml:Issuer>"
            f'<saml:Subject><saml:NameID Format="{values["format"]}">{values["subject"]}</saml:NameID>'
            f'<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData{in_response_to}'
            f'{recipient} NotOnOrAfter="{at(values["ends"])}"/></saml:SubjectConfirmation></saml:Subject>'
            f'<saml:Conditions NotBefore="{at(values["begins"])}" NotOnOrAfter="{at(values["ends"])}">'
            f"{audience if values['audience'] else ''}</saml:Conditions>"
            f'<saml:AuthnStatement AuthnInstant="{at(0)}" SessionIndex="s-1"><saml:AuthnContext><saml:AuthnContextClassRef>'
            "urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>"
            f'<saml:AttributeStatement><saml:Attribute Name="email"><saml:AttributeValue>{values["email"]}</saml:AttributeValue>'
            "</saml:Attribute></saml:AttributeStatement></saml:Assertion>"
        )

    def sign(self, xml: str, *, key: tuple[Any, str, str] | None = None, algorithm: str = SHA256) -> str:
        """With an enveloped signature."""
        _, pem, certificate = key or self.pair
        signed = OneLogin_Saml2_Utils.add_sign(xml, pem, certificate, sign_algorithm=algorithm)
        return etree.tostring(etree.fromstring(signed)).decode()

    def response(self, request: Request, assertion: str, **told: str) -> str:
        """Base64 of an answer around assertions that are signed already."""
        values = {"destination": request.acs_url, "in_response_to": request.id, "status": "Success", "issuer": self.entity_id, **told}
        xml = (
            '<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" '
            f'ID="_{uuid.uuid4().hex}" Version="2.0" IssueInstant="{at(0)}" Destination="{values["destination"]}" '
            f'InResponseTo="{values["in_response_to"]}"><saml:Issuer>{values["issuer"]}</saml:Issuer><samlp:Status><samlp:StatusCode '
            f'Value="urn:oasis:names:tc:SAML:2.0:status:{values["status"]}"/></samlp:Status>{assertion}</samlp:Response>'
        )
        return base64.b64encode(xml.encode()).decode()

    def logout_request(self, destination: str, subject: str, *, is_signed: bool = True, key: tuple[Any, str, str] | None = None) -> str:
        """The query of a logout request by HTTP-Redirect."""
        xml = (
            '<samlp:LogoutRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" '
            f'ID="_{uuid.uuid4().hex}" Version="2.0" IssueInstant="{at(0)}" NotOnOrAfter="{at(300)}" Destination="{destination}">'
            f"<saml:Issuer>{self.entity_id}</saml:Issuer><saml:NameID>{subject}</saml:NameID></samlp:LogoutRequest>"
        )
        deflated = zlib.compress(xml.encode())[2:-4]
        query = urlencode({"SAMLRequest": base64.b64encode(deflated).decode(), "RelayState": "https://evil.test/", "SigAlg": SHA256})
        if not is_signed:
            return query
        signature = (key or self.pair)[0].sign(query.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{query}&{urlencode({'Signature': base64.b64encode(signature).decode()})}"


@dataclass(frozen=True)
class Request:
    """What our request to the identity provider says."""

    id: str
    entity_id: str
    acs_url: str
    relay_state: str
    """In the redirect to the identity provider."""


def request_of(url: str) -> Request:
    """From the address the browser was sent to."""
    query = parse_qs(urlsplit(url).query)
    xml = etree.fromstring(zlib.decompress(base64.b64decode(query["SAMLRequest"][0]), -15))
    issuer = xml.findtext("{urn:oasis:names:tc:SAML:2.0:assertion}Issuer")
    return Request(xml.get("ID") or "", issuer or "", xml.get("AssertionConsumerServiceURL") or "", query["RelayState"][0])


def at(seconds: int) -> str:
    """A time from now."""
    return (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
