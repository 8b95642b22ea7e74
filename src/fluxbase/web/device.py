"""The device a request comes from, as the services of auth want it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.auth.users import Device
from fluxbase.web.context import Dialect

if TYPE_CHECKING:
    from fluxbase.web.context import RequestContext


def device_of(context: RequestContext) -> Device:
    """Address (as TrustedProxy decided) and user agent."""
    agent = context.headers.get(b"user-agent", b"").decode("latin-1")
    agent = "".join(letter for letter in agent if letter.isprintable())[:500]
    return Device(context.address, agent, steps_in_session=context.dialect in (Dialect.AUTH, Dialect.AUTH_2024))
