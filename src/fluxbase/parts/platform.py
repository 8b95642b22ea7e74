"""Platform administrators, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.audit.store import record
from fluxbase.auth.impersonation import Impersonation
from fluxbase.auth.minter import TokenMinter
from fluxbase.auth.platform import Platform
from fluxbase.tenancy.shared import deny_prefix

if TYPE_CHECKING:
    from fluxbase.app import Program
    from fluxbase.web.control import ControlPlane


def platform_service(program: Program) -> Platform:
    """Their accounts are accounts like others, of a tenant of their own."""
    return Platform(program.account_sessions, program.registry, program.home, program.auth.accounts, program.auth.users, record)


def register_platform(program: Program, control: ControlPlane) -> None:
    """Their routes, and those of impersonation."""
    from fluxbase.web.native.auth.impersonation import ImpersonationRoutes
    from fluxbase.web.native.auth.platform import PlatformRoutes

    PlatformRoutes(program.platform, program.auth.sessions, program.tenants).register(control)
    seconds = program.config.auth.access_token_seconds
    impersonation = Impersonation(
        program.account_sessions,
        program.registry.get,
        TokenMinter(program.rings, program.rules),
        record,
        seconds=seconds,
        prefix_of=deny_prefix,
    )
    ImpersonationRoutes(impersonation, seconds=seconds).register(control)
