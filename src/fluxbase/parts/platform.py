"""Platform administrators, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.audit.store import record
from fluxbase.auth.platform import Platform

if TYPE_CHECKING:
    from fluxbase.app import Program
    from fluxbase.web.control import ControlPlane


def platform_service(program: Program) -> Platform:
    """Their accounts are accounts like others, of a tenant of their own."""
    return Platform(program.account_sessions, program.registry, program.home, program.auth.accounts, program.auth.users, record)


def register_platform(program: Program, control: ControlPlane) -> None:
    """Their routes."""
    from fluxbase.web.native.auth.platform import PlatformRoutes

    PlatformRoutes(program.platform, program.auth.sessions, program.tenants).register(control)
