"""Accounts and sessions, put together."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxbase.audit.store import record
from fluxbase.auth.accounts import Accounts
from fluxbase.auth.gate import SignInGate
from fluxbase.auth.minter import TokenMinter
from fluxbase.auth.new_accounts import NewAccounts
from fluxbase.auth.passwords import Passwords
from fluxbase.auth.sessions import Sessions
from fluxbase.auth.user_admin import UserAdmin
from fluxbase.kernel.errors import FluxbaseError, PeerUnavailable
from fluxbase.tenancy.shared import deny_prefix

if TYPE_CHECKING:
    from fluxbase.app import Program
    from fluxbase.auth.leaked_passwords import LeakedPasswords
    from fluxbase.web.control import ControlPlane
    from fluxbase.web.supabase.auth.accounts import GoTrueAccounts


CLEANING_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class AccountParts:
    """The services every other area of auth builds on."""

    new: NewAccounts
    passwords: Passwords
    sessions: Sessions
    gate: SignInGate
    accounts: Accounts
    users: UserAdmin


def account_parts(program: Program) -> AccountParts:
    """Built once a worker. Other areas set ``gate.factors``, ``gate.hooks``, ``accounts.mails``, ``accounts.check_nonce``."""
    settings = program.config.auth
    passwords = Passwords(settings, _leaks(program) if settings.password_range_url else None)
    minter = TokenMinter(program.rings, program.rules)
    sessions = Sessions(
        program.account_sessions, minter, settings, record, program.limits, derive=program.master.derive, prefix_of=deny_prefix
    )
    gate = SignInGate(sessions, settings)
    new = NewAccounts(record)
    accounts = Accounts(program.account_sessions, passwords, sessions, gate, settings, record, program.limits, new)
    users = UserAdmin(program.account_sessions, passwords, sessions, settings, record, new, prefix_of=deny_prefix)
    return AccountParts(new, passwords, sessions, gate, accounts, users)


def _leaks(program: Program) -> LeakedPasswords:
    from fluxbase.auth.leaked_passwords import LeakedPasswords

    async def get(url: str, headers: dict[str, str], *, timeout_seconds: float) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(timeout_seconds):
                answer = await program.outbound.get(url, headers=headers)
        except TimeoutError:
            raise PeerUnavailable("") from None
        return answer.status, answer.body

    settings = program.config.auth
    return LeakedPasswords(settings.password_range_url, get, timeout_seconds=settings.password_range_timeout_seconds)


async def forget_expired(program: Program) -> None:
    """Once an hour, in every database this worker has to do with, for ever."""
    while True:
        await asyncio.sleep(CLEANING_SECONDS)
        for tenant_id in program.tenants_in_use():
            with contextlib.suppress(FluxbaseError):
                await program.auth.sessions.forget_expired(program.registry.get(tenant_id))


def register_accounts(program: Program, control: ControlPlane) -> GoTrueAccounts:
    """Both dialects' routes; the GoTrue one takes further grants."""
    from fluxbase.web.native.auth.accounts import NativeAccounts
    from fluxbase.web.native.auth.admin_sessions import AdminSessions
    from fluxbase.web.native.auth.admin_users import AdminUsers
    from fluxbase.web.supabase.auth.accounts import GoTrueAccounts
    from fluxbase.web.supabase.auth.admin_users import GoTrueAdmin

    parts = program.auth
    NativeAccounts(parts.accounts, parts.sessions, program.registry).register(control)
    AdminUsers(parts.users, program.platform, program.registry).register(control)
    AdminSessions(parts.users, program.registry).register(control)
    GoTrueAdmin(parts.users, program.registry).register(control)
    gotrue = GoTrueAccounts(parts.accounts, parts.sessions, program.registry, program.standing)
    gotrue.register(control)
    return gotrue
