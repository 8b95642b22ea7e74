"""Rate limits, blocks and repeated requests."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from fluxbase.config.section import Section
from fluxbase.kernel.access import declared_limits
from fluxbase.kernel.secret import Secret

_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_DURATION = r"\s*(\d*)\s*(s|m|min|h|d)"
_RULE = re.compile(rf"\s*(\d+)\s*/{_DURATION}\s*(?:\+\s*(\d+)\s*)?(?:lock{_DURATION}\s*)?")


class RateText(NamedTuple):
    """A limit as it is written in the configuration."""

    rate: int
    per_seconds: int
    burst: int
    lock_seconds: int


def parse_rate(text: str) -> RateText:
    """``10/15m``, ``100/1s+20`` (burst), ``5/5m lock 15m``. Raises ValueError."""
    found = _RULE.fullmatch(text)
    if found is None:
        raise ValueError("a limit is written as 10/15m, 100/1s+20 (20 more at once) or 5/5m lock 15m")
    rate, number, unit, burst, lock, lock_unit = found.groups()
    per_seconds = int(number or 1) * _SECONDS[unit]
    if not (1 <= int(rate) <= 1_000_000_000 and 1 <= per_seconds <= 30 * 86_400):
        raise ValueError("a limit admits at least 1 request, in 1 second to 30 days")
    return RateText(int(rate), per_seconds, int(burst or 0), int(lock or 1) * _SECONDS[lock_unit] if lock_unit else 0)


def _networks(value: list[str]) -> list[str]:
    for item in value:
        try:
            ipaddress.ip_network(item, strict=False)
        except ValueError:  # its own text shows the value
            raise ValueError("each entry must be an address or a network such as 10.0.0.0/8") from None
    return value


Networks = Annotated[list[str], AfterValidator(_networks)]


class Limits(Section):
    """Rate limits and abuse."""

    enabled: bool = Field(default=True, description="Rate limits; false: nothing is counted.")
    data_per_second: int = Field(default=1000, ge=1, description="Data plane requests a second and address.")
    data_burst: int = Field(default=100, ge=0, description="On top of it.")
    control_per_minute: int = Field(default=100, ge=1, description="Control plane requests a minute and address.")
    has_global: bool = Field(default=True, description="Count the control plane as a whole too: by address, user and key.")
    rules: dict[str, str] = Field(
        default={}, description="Limit or route name → rule: auth.sign_in: 10/15m, 100/1s+20 (burst), 5/5m lock 15m (docs/limits.md)."
    )
    store: Literal["postgres", "redis"] = Field(default="postgres", description="Where workers and nodes count together.")
    redis_url: Secret | None = Field(default=None, description="redis:// or rediss:// URL of Redis or Valkey; needed for store redis.")
    store_timeout_seconds: float = Field(default=1.0, gt=0, le=30, description="Longest wait for the store; then it counts as away.")
    exempt_networks: Networks = Field(default=[], description="CIDRs whose addresses are not counted, never blocked by themselves.")
    x_fields: bool = Field(default=False, description="Send X-RateLimit-Limit, -Remaining and -Reset too.")

    @field_validator("rules")
    @classmethod
    def _rules(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            try:
                parse_rate(str(text))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return value

    @model_validator(mode="after")
    def _redis(self) -> Self:
        if self.store == "redis" and (
            self.redis_url is None or not self.redis_url.reveal().startswith(("redis://", "rediss://", "unix://"))
        ):
            raise ValueError("store: redis needs redis_url, a URL of the form redis://:password@host:6379/0, rediss://… or unix://…")
        return self

    def rate_of(self, name: str) -> RateText | None:
        """What the configuration says of a limit or route; None: nothing."""
        if name in self.rules:
            return parse_rate(self.rules[name])
        if name == "data":
            return RateText(self.data_per_second, 1, self.data_burst, 0)
        if name == "control":
            return RateText(self.control_per_minute, 60, 0, 0)
        return None

    def unknown_rules(self, routes: set[str]) -> list[str]:
        """Names in ``rules`` that are neither a limit, nor ``data.<role>``, nor one of these routes."""
        return sorted(name for name in set(self.rules) - set(declared_limits()) - routes if not name.startswith("data."))
