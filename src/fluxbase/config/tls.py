"""TLS of our own listener (section ``server.tls``)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from fluxbase.config.section import Section


class Tls(Section):
    """TLS without a proxy; SIGHUP reads the files again."""

    cert: str = Field(default="", description="Certificate chain, PEM; set with key: the listener speaks TLS only.")
    key: str = Field(default="", description="Its private key, PEM.")
    min_version: Annotated[Literal["1.2", "1.3"], BeforeValidator(str)] = Field(default="1.2", description="Oldest TLS version accepted.")

    @model_validator(mode="after")
    def _both(self) -> Self:
        if bool(self.cert) != bool(self.key):
            raise ValueError("cert and key are set together or not at all")
        return self
