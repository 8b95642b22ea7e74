"""Settings of the HTTP requests we make."""

from __future__ import annotations

import ipaddress

from pydantic import Field, field_validator

from fluxbase.config.section import Section


class Outbound(Section):
    """HTTP requests we make: identity providers, captcha, hooks, webhooks."""

    allowed_networks: list[str] = Field(
        default=[], description="Networks reached although they are not public, as 10.20.0.0/16 or 127.0.0.1/32; by default none is."
    )
    timeout_seconds: float = Field(default=10.0, gt=0, le=120, description="Time for a whole answer, name resolution included.")
    max_answer_bytes: int = Field(default=1_048_576, ge=1024, description="Largest answer read.")

    @field_validator("allowed_networks")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for item in value:
            try:
                ipaddress.ip_network(item)
            except ValueError:
                raise ValueError("each entry must be a network such as 10.20.0.0/16, without host bits") from None
        return value
