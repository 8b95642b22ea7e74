"""Settings of accounts, passwords, sessions and tokens."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from fluxbase.config.section import Section
from fluxbase.kernel.secret import Secret

_KNOWN_SECRETS = {"super-secret-jwt-token-with-at-least-32-characters-long"}
MIN_SECRET_BYTES = 32
MIN_DISTINCT = 8


def check_jwt_secret(secret: Secret, *, host: str) -> None:
    """Raises ValueError for one that can be guessed; the published default passes on loopback only."""
    if len(secret.reveal().encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"auth.jwt_secret is weak: at least {MIN_SECRET_BYTES} bytes, for example openssl rand -base64 48")
    if len(set(secret.reveal())) < MIN_DISTINCT:
        raise ValueError("auth.jwt_secret is weak: it repeats itself; make one with openssl rand -base64 48")
    if secret.reveal() in _KNOWN_SECRETS and host not in {"127.0.0.1", "::1", "localhost"}:
        raise ValueError("auth.jwt_secret is a published default; make your own: openssl rand -base64 48")


class Auth(Section):
    """Accounts, passwords, sessions and tokens."""

    jwt_secret: Secret | None = Field(default=None, description="HS256 secret; set: tokens are signed with it.")
    jwt_issuer: str = Field(default="", description="Issuer; empty: public URL + /auth/v1.")
    jwt_audience: str = Field(default="authenticated", description="Audience of access tokens.")
    leeway_seconds: int = Field(default=30, ge=0, le=300, description="Clock skew accepted.")
    access_token_seconds: int = Field(default=900, ge=30, description="Life of an access token.")
    refresh_token_seconds: int = Field(default=604_800, ge=60, description="Life of a refresh token and of an unused session.")
    refresh_grace_seconds: int = Field(
        default=10,
        ge=0,
        le=60,
        description="For so long a refresh token that was used gives the same new token again; later it ends the session.",
    )
    step_up_seconds: int = Field(default=300, ge=30, description="How fresh a sign-in must be for a sensitive change.")
    signup_enabled: bool = Field(default=True, description="Anybody may make an account.")
    anonymous_enabled: bool = Field(default=False, description="Sign-up without e-mail address makes an anonymous user.")
    require_email_verification: bool = Field(
        default=False,
        description="An account is usable only when its address is confirmed; sign-up then tells nobody who has an account. "
        "Unless it is set: true where mails are sent (mail.smtp_host), false where they are kept.",
    )
    password_enabled: bool = Field(default=True, description="Sign-in with a password.")
    password_min_length: int = Field(default=12, ge=8, le=128, description="Fewest characters of a password.")
    password_max_length: int = Field(default=128, ge=64, le=1024, description="Most characters of a password.")
    password_required: list[Literal["lower", "upper", "digit", "symbol"]] = Field(
        default=[], description="Kinds of characters a password must have; none by default, length protects better."
    )
    password_refuse_common: bool = Field(default=True, description="Refuse passwords that guessing programs try first.")
    password_range_url: str = Field(
        default="",
        description="Range server that is asked, with five digits of its hash, whether a new password is in a published leak, such as "
        "https://api.pwnedpasswords.com/range; empty: nobody is asked. While it is away passwords are taken.",
    )
    password_range_timeout_seconds: float = Field(default=2.0, gt=0, le=15, description="Longest wait for it.")
    hash_algorithm: Literal["argon2id", "bcrypt"] = Field(default="argon2id", description="How passwords are hashed from now on.")
    argon2_memory_kib: int = Field(default=19_456, ge=7168, description="Memory of one hash (OWASP: 19 MiB).")
    argon2_passes: int = Field(default=2, ge=1, description="Passes over that memory.")
    argon2_lanes: int = Field(default=1, ge=1, le=16, description="Lanes of one hash.")
    bcrypt_cost: int = Field(default=12, ge=10, le=16, description="Cost of bcrypt, when it is chosen.")
    hash_workers: int = Field(default=0, ge=0, le=64, description="Password hashes at a time and worker; 0: one for each processor.")
    hash_queue: int = Field(default=1000, ge=1, description="Sign-ins that may wait for them; further ones are told to come back.")
    lock_after_failures: int = Field(default=5, ge=1, description="Wrong passwords in a row that lock an account.")
    lock_seconds: int = Field(default=900, ge=1, description="How long it is locked.")
    site_url: str = Field(default="", description="Your application: where a sign-in ends that asked for nothing else.")
    redirect_urls: list[str] = Field(
        default=[],
        description="Where a sign-in may end, each URL exactly as sent; auth.site_url always may.",
    )
    magic_link_enabled: bool = Field(default=True, description="Sign-in with a mailed link or code.")
    magic_link_seconds: int = Field(default=900, ge=60, le=86_400, description="Life of a mailed sign-in.")
    recovery_seconds: int = Field(default=3600, ge=60, le=86_400, description="Life of a mailed password reset.")
    confirmation_seconds: int = Field(default=86_400, ge=60, le=604_800, description="Life of a mailed confirmation of an address.")
    invitation_seconds: int = Field(default=604_800, ge=60, le=2_592_000, description="Life of a mailed invitation.")
    reauthentication_seconds: int = Field(default=300, ge=30, le=3600, description="Life of the code before a sensitive change.")
    code_attempts: int = Field(default=3, ge=1, le=10, description="Wrong entries of a six-digit code; then it is dead.")
    mail_interval_seconds: int = Field(default=60, ge=0, le=3600, description="Pause between two mails of a kind to one address.")

    @field_validator("password_range_url")
    @classmethod
    def _encrypted(cls, value: str) -> str:
        if value and not value.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
            raise ValueError("must be an https:// address")
        return value

    @field_validator("site_url", "redirect_urls")
    @classmethod
    def _exact(cls, value: str | list[str]) -> str | list[str]:
        for item in [value] if isinstance(value, str) else value:
            is_url = re.fullmatch(r"[a-z][a-z0-9+.-]*:[^\s#*\\]+", item) and not re.match(
                r"(?:javascript|data|vbscript|file|blob|about):", item
            )
            if item and not is_url:
                raise ValueError("must be an absolute URL without fragment and wildcard, exactly as the app sends it")
        return value
