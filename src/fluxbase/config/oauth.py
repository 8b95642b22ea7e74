"""Settings of signing in with identity providers."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator, model_validator

from fluxbase.config.section import Section
from fluxbase.kernel.secret import Secret

SecretText = Annotated[Secret, BeforeValidator(lambda value: value if isinstance(value, Secret) else Secret(str(value)))]
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_LOOPBACK = re.compile(r"http://(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?(?:/|$)")


class ProviderClient(Section):
    """Our registration at one provider. It is offered when ``client_id`` is set."""

    client_id: str = Field(default="", description="Client id; set: the provider is offered.")
    client_secret: Secret | None = Field(default=None, description="Client secret.")
    scopes: list[str] = Field(default=[], description="Scopes asked for; empty: those needed to know who it is.")
    audiences: list[str] = Field(default=[], description="Further client ids (mobile apps) whose ID tokens are accepted.")


class MicrosoftClient(ProviderClient):
    """Microsoft Entra."""

    directory: str = Field(
        default="common", pattern=r"^[A-Za-z0-9.-]{1,100}$", description="Directory: common, organizations, consumers or an id."
    )


class AppleClient(ProviderClient):
    """Apple, whose client secret is a signed token."""

    team_id: str = Field(default="", description="Team id.")
    key_id: str = Field(default="", description="Id of the key.")
    private_key: Secret | None = Field(default=None, description="The key, PEM.")


class GitLabClient(ProviderClient):
    """GitLab, or an instance of your own."""

    url: str = Field(default="https://gitlab.com", pattern=r"^https://[^\s?#]+$", description="The instance.")


class OidcClient(Section):
    """Any OpenID provider, by its issuer."""

    issuer: str = Field(description="Issuer, exactly as its discovery document writes it.")
    client_id: str = Field(min_length=1, description="Client id.")
    client_secret: SecretText | None = Field(default=None, description="Client secret; none: a public client.")
    display_name: str = Field(default="", description="Name on buttons.")
    scopes: list[str] = Field(default=["openid", "email", "profile"], description="Scopes asked for.")
    audiences: list[str] = Field(default=[], description="Further client ids whose ID tokens are accepted.")
    trusts_email: bool = Field(default=True, description="Believe its email_verified: true.")

    @field_validator("issuer")
    @classmethod
    def _https(cls, value: str) -> str:
        if not re.fullmatch(r"https://[^\s?#]+", value) and not _LOOPBACK.match(value):
            raise ValueError("must be https:// without query or fragment (http only on loopback)")
        return value


class OAuth(Section):
    """Signing in with identity providers."""

    flow_seconds: int = Field(default=600, ge=60, le=3600, description="Time to come back from the provider.")
    code_seconds: int = Field(default=60, ge=10, le=600, description="Time for the app to turn ?code= into a session.")
    auto_link: bool = Field(
        default=True, description="A verified address of a provider signs in to the account that has confirmed the same address."
    )
    google: ProviderClient = ProviderClient()
    github: ProviderClient = ProviderClient()
    microsoft: MicrosoftClient = MicrosoftClient()
    apple: AppleClient = AppleClient()
    facebook: ProviderClient = ProviderClient()
    gitlab: GitLabClient = GitLabClient()
    discord: ProviderClient = ProviderClient()
    linkedin: ProviderClient = ProviderClient()
    slack: ProviderClient = ProviderClient()
    x: ProviderClient = ProviderClient()
    oidc: dict[str, OidcClient] = Field(default={}, description="Any OpenID provider: name → issuer, client_id, client_secret and more.")

    @model_validator(mode="after")
    def _names(self) -> OAuth:
        taken = set(type(self).model_fields) | {"azure", "twitter", "linkedin_oidc", "slack_oidc", "email", "phone", "saml"}
        for name in self.oidc:
            if not _NAME.fullmatch(name) or name in taken:
                raise ValueError(f"oidc: {name[:40]!r} cannot be a provider's name")
        return self
