"""Settings of signing in with SAML 2.0."""

from __future__ import annotations

import re

from pydantic import Field, field_validator, model_validator

from fluxbase.config.section import Section
from fluxbase.kernel.secret import Secret

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


class SamlProvider(Section):
    """One identity provider: by its metadata, or by entity id, addresses and certificates."""

    metadata_url: str = Field(default="", pattern=r"^(https?://[^\s#]+)?$", description="Address of its metadata.")
    entity_id: str = Field(default="", description="Its entity id.")
    sso_url: str = Field(default="", pattern=r"^(https?://[^\s#]+)?$", description="Where sign-in begins (HTTP-Redirect).")
    slo_url: str = Field(default="", pattern=r"^(https?://[^\s#]+)?$", description="Where single logout goes; empty: none.")
    certificates: list[str] = Field(default=[], description="Its signing certificates, PEM or base64; two while it changes them.")
    display_name: str = Field(default="", description="Name on buttons.")
    domains: list[str] = Field(default=[], description="Domains of addresses it may vouch for; also finds it by domain.")
    email_attribute: str = Field(default="", description="Attribute with the address; empty: the usual names, else the name id.")

    @model_validator(mode="after")
    def _complete(self) -> SamlProvider:
        if not self.entity_id:
            raise ValueError("entity_id is needed: it is what answers must name")
        if not self.metadata_url and not (self.sso_url and self.certificates):
            raise ValueError("metadata_url, or sso_url and certificates, are needed")
        return self


class Saml(Section):
    """Signing in with SAML 2.0."""

    entity_id: str = Field(default="", description="Our entity id; empty: the address of our metadata.")
    private_key: Secret | None = Field(default=None, description="Our key, PEM; set: requests are signed, answers may be encrypted.")
    certificate: str = Field(default="", description="Its certificate, PEM.")
    idp: dict[str, SamlProvider] = Field(default={}, description="Identity providers: name → entity_id, metadata_url and more.")

    @field_validator("idp")
    @classmethod
    def _names(cls, value: dict[str, SamlProvider]) -> dict[str, SamlProvider]:
        for name in value:
            if not _NAME.fullmatch(name):
                raise ValueError("a provider's name is small letters, digits, - and _")
        return value

    @model_validator(mode="after")
    def _pair(self) -> Saml:
        if (self.private_key is None) != (not self.certificate):
            raise ValueError("private_key and certificate go together")
        return self
