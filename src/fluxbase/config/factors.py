"""Settings of second factors, passkeys, captcha and hooks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from fluxbase.config.section import Section
from fluxbase.kernel.secret import Secret

Enforcement = Literal["policies", "enrolled", "required"]


class Mfa(Section):
    """The second factor. Where more than one of instance, tenant and role speaks, the strictest counts."""

    totp_enabled: bool = Field(default=True, description="Authenticator apps may be enrolled.")
    webauthn_enabled: bool = Field(default=True, description="Security keys may be enrolled as a second factor.")
    totp_issuer: str = Field(default="Fluxbase", min_length=1, max_length=64, description="Name that authenticator apps show.")
    max_factors: int = Field(default=10, ge=1, le=50, description="Factors of one user.")
    setup_seconds: int = Field(default=600, ge=60, description="Time to confirm a new factor with its first code.")
    ticket_seconds: int = Field(default=300, ge=30, le=3600, description="Time between first and second step of a sign-in.")
    ticket_tries: int = Field(default=5, ge=1, le=20, description="Wrong codes of one ticket or challenge.")
    account_tries: int = Field(
        default=5, ge=1, le=100, description="Codes of one account that are looked at in a window; a right one starts anew."
    )
    account_window_seconds: int = Field(default=300, ge=1, description="That window.")
    lock_seconds: int = Field(default=900, ge=1, description="How long the second step of an account is locked after that.")
    enforcement: Enforcement = Field(
        default="enrolled",
        description="policies: only your policies ask for aal2; enrolled: who has a factor must use it; required: everybody must have one.",
    )
    tenant_enforcement: dict[str, Enforcement] = Field(default={}, description="The same by tenant (slug).")
    required_roles: list[str] = Field(default=[], description="Roles whose users must have a second factor.")
    platform_enforcement: Literal["enrolled", "required"] = Field(
        default="enrolled", description="The same for platform administrators; required: one who has none can only set one up."
    )


class Passkeys(Section):
    """Passkeys (WebAuthn)."""

    enabled: bool = Field(default=True, description="Sign-in with passkeys.")
    rp_id: str = Field(default="", description="Domain that passkeys belong to; empty: the public URL's host.")
    rp_name: str = Field(default="Fluxbase", min_length=1, max_length=64, description="Name that authenticators show.")
    origins: list[str] = Field(default=[], description="Origins of pages that may use them, exactly; empty: the public URL's origin.")
    user_verification: Literal["required", "preferred"] = Field(
        default="required", description="preferred: a passkey used without PIN or finger counts as one factor only."
    )
    challenge_seconds: int = Field(default=300, ge=30, le=900, description="Time to answer a challenge.")
    max_passkeys: int = Field(default=10, ge=1, le=50, description="Passkeys of one user.")

    @field_validator("origins")
    @classmethod
    def _exact(cls, value: list[str]) -> list[str]:
        if any(
            "*" in origin or not origin.startswith(("https://", "http://", "android:", "ios:")) or origin.endswith("/") for origin in value
        ):
            raise ValueError("each entry must be an origin such as https://app.example.com, without wildcard and trailing slash")
        return value


CaptchaFlow = Literal["signup", "login", "password_reset", "magic_link"]


class Captcha(Section):
    """Proof that a person, or at least an expensive program, is asking."""

    enabled: bool = Field(default=False, description="Ask for it on the flows named.")
    provider: Literal["proof_of_work", "hcaptcha", "recaptcha_v3", "turnstile"] = Field(
        default="proof_of_work", description="Who checks; proof_of_work is built in and asks nobody."
    )
    site_key: str = Field(default="", description="Public key at the provider.")
    secret_key: Secret | None = Field(default=None, description="Secret key at the provider.")
    score_threshold: float = Field(default=0.5, ge=0, le=1, description="Least score of reCAPTCHA v3.")
    endpoints: list[CaptchaFlow] = Field(default=["signup", "login", "password_reset", "magic_link"], description="Flows that ask for it.")
    hostnames: list[str] = Field(default=[], description="Pages whose solutions are accepted; empty: any the provider accepts.")
    verify_url: str = Field(default="", description="Where the provider checks solutions; empty: its own address.")
    timeout_seconds: float = Field(default=5.0, gt=0, le=30, description="Longest wait for the provider; then sign-in is refused.")
    difficulty_bits: int = Field(default=18, ge=8, le=28, description="Work asked: 2 to this power hashes on average.")
    challenge_seconds: int = Field(default=300, ge=30, le=3600, description="Life of a proof-of-work challenge.")

    @model_validator(mode="after")
    def _complete(self) -> Captcha:
        if self.enabled and self.provider != "proof_of_work" and (not self.site_key or self.secret_key is None):
            raise ValueError(f"captcha.provider {self.provider} needs captcha.site_key and captcha.secret_key")
        return self


_HOOK = "Empty, sql:schema.function, or an https:// address."


class Hooks(Section):
    """Your own code in sign-up and sign-in: a function in the tenant's database, or an HTTPS call."""

    before_sign_up: str = Field(default="", description=f"Asked before an account is made; may refuse it. {_HOOK}")
    after_sign_up: str = Field(default="", description=f"Told when an account was made. {_HOOK}")
    before_sign_in: str = Field(default="", description=f"Asked before a session begins; may refuse it. {_HOOK}")
    after_sign_in: str = Field(default="", description=f"Told when a session began. {_HOOK}")
    token_issue: str = Field(default="", description=f"Asked for further claims of each access token. {_HOOK}")
    secret: Secret | None = Field(default=None, description="Signs HTTPS calls (X-Fluxbase-Signature).")
    timeout_seconds: float = Field(default=2.0, gt=0, le=15, description="Longest wait for a hook.")

    @model_validator(mode="after")
    def _form(self) -> Hooks:
        names = ("before_sign_up", "after_sign_up", "before_sign_in", "after_sign_in", "token_issue")
        for name in names:
            uri: str = getattr(self, name)
            if not uri:
                continue
            if uri.startswith("sql:"):
                parts = uri.removeprefix("sql:").split(".")
                if len(parts) != 2 or not all(part.replace("_", "a").isalnum() for part in parts):
                    raise ValueError(f"hooks.{name} must be sql:schema.function")
            elif not uri.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
                raise ValueError(f"hooks.{name} must be sql:schema.function or an https:// address")
            elif self.secret is None:
                raise ValueError(f"hooks.{name} is an address, so hooks.secret is needed to sign the calls")
        return self
