"""Platform administrators, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.audit.store import record
from fluxbase.auth.impersonation import Impersonation
from fluxbase.auth.minter import TokenMinter
from fluxbase.auth.platform import Platform
from fluxbase.parts.tenants import administered_tenants
from fluxbase.tenancy.shared import deny_prefix
from fluxbase.worker import public_url

if TYPE_CHECKING:
    from fluxbase.app import Program
    from fluxbase.parts.account_mails import AccountMailParts
    from fluxbase.web.control import ControlPlane


def platform_service(program: Program) -> Platform:
    """Their accounts are accounts like others, of a tenant of their own."""
    is_factor_required = program.config.mfa.platform_enforcement == "required"
    return Platform(
        program.account_sessions, program.registry, program.home, program.auth.accounts, program.auth.users, record,
        is_factor_required=is_factor_required,
    )  # fmt: skip


def register_platform(program: Program, control: ControlPlane, mailed: AccountMailParts) -> None:
    """Their routes, and those of impersonation."""
    from fluxbase.web.native.auth.admin_mailed import AdminMailed
    from fluxbase.web.native.auth.dashboard import DashboardRoutes
    from fluxbase.web.native.auth.impersonation import ImpersonationRoutes
    from fluxbase.web.native.auth.platform import PlatformRoutes

    PlatformRoutes(program.platform, program.auth.sessions, administered_tenants(program)).register(control)
    DashboardRoutes(
        program.platform, program.auth.accounts, program.factors.factors, program.factors.removal, mailed.mails, mailed.verification,
        public_url=public_url(program.config), app_name=program.config.mail.app_name,
    ).register(control)  # fmt: skip
    AdminMailed(
        program.auth.users, mailed.mails, program.platform, mailed.redirects, program.registry, public_url(program.config)
    ).register(control)
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
