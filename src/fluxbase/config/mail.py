"""Settings of the mails to users."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from fluxbase.config.section import Section
from fluxbase.kernel.secret import Secret

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Mail(Section):
    """Mails to users: how they leave and how they look."""

    mode: Literal["auto", "keep", "smtp"] = Field(
        default="auto", description="smtp sends; keep stores them for `fluxbase mail show`; auto keeps until mail.smtp_host is set."
    )
    smtp_host: str = Field(default="", description="Mail server.")
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Its port: 587 for starttls, 465 for tls.")
    smtp_tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="TLS after STARTTLS (refused by the server: not sent), from the first byte, or none."
    )
    smtp_ca_file: str = Field(default="", description="CA certificate of the mail server; empty: the system's.")
    smtp_username: str = Field(default="", description="Login at the mail server; empty: none.")
    smtp_password: Secret | None = Field(default=None, description="Its password.")
    smtp_timeout_seconds: float = Field(default=20.0, gt=0, le=120, description="Time for each step of a delivery.")
    from_address: str = Field(default="noreply@localhost", description="Sender.")
    from_name: str = Field(default="", description="The sender's name; empty: mail.app_name.")
    reply_to: str = Field(default="", description="Where answers go; empty: to the sender.")
    app_name: str = Field(default="Fluxbase", min_length=1, max_length=80, description="What mails call your application.")
    templates_path: str = Field(default="", description="Folder with templates of your own; what is missing there is built in.")
    max_attempts: int = Field(default=12, ge=1, le=100, description="Deliveries tried before a mail is given up.")
    retry_seconds: float = Field(default=5.0, gt=0, le=3600, description="Pause after the first failure; it doubles, up to an hour.")
    keep_days: int = Field(default=7, ge=1, le=365, description="How long mails are listed.")

    @field_validator("from_address", "reply_to")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and (value.count("@") != 1 or not value.isprintable() or any(sign in value for sign in " ,;<>")):
            raise ValueError("must be one bare address such as noreply@example.com; the name has a setting of its own")
        return value

    @model_validator(mode="after")
    def _server(self) -> Self:
        if self.mode == "smtp" and not self.smtp_host:
            raise ValueError("mode smtp needs smtp_host")
        if self.smtp_tls == "none" and self.smtp_username and self.smtp_host not in _LOOPBACK:
            raise ValueError("smtp_tls none would send the login in clear text: use starttls or tls")
        if not self.is_kept and not self.from_address:
            raise ValueError("from_address is needed to send mails")
        return self

    @property
    def is_kept(self) -> bool:
        """Mails are stored for the developer to read and never leave."""
        return self.mode == "keep" or (self.mode == "auto" and not self.smtp_host)
