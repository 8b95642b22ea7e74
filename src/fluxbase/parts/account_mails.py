"""What accounts mail and take back, put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fluxbase.audit.store import record
from fluxbase.auth.account_mails import AccountMails
from fluxbase.auth.one_time import OneTimeTokens
from fluxbase.auth.redirects import RedirectRule
from fluxbase.auth.verification import Verification
from fluxbase.mail.queue import Letter
from fluxbase.worker import public_url

if TYPE_CHECKING:
    from fluxbase.app import Program
    from fluxbase.tenancy.registry import Tenant
    from fluxbase.web.control import ControlPlane
    from fluxbase.web.supabase.auth.accounts import GoTrueAccounts


@dataclass(frozen=True, slots=True)
class AccountMailParts:
    """The services of this area."""

    mails: AccountMails
    verification: Verification
    redirects: RedirectRule


def account_mail_parts(program: Program) -> AccountMailParts:
    """Built once a worker; gives the accounts their mails and the check of a nonce."""
    config, auth = program.config, program.auth

    async def letters(
        tx: Any, tenant: Tenant, template: str, recipient: str, values: dict[str, object], lives_seconds: float, *, is_decoy: bool
    ) -> None:
        await program.mail.queue.enqueue(tx, tenant, Letter(template, recipient, values, lives_seconds), is_decoy=is_decoy)

    tokens = OneTimeTokens(letters, public_url=public_url(config), code_key=program.master.derive("one-time-code"))
    mails = AccountMails(program.account_sessions, tokens, record, program.limits, auth.new)
    auth.accounts.mails, auth.accounts.check_nonce = mails, mails.check_nonce
    verification = Verification(program.account_sessions, tokens, auth.accounts, auth.passwords, auth.sessions, auth.gate, record, auth.new)
    redirects = RedirectRule()
    return AccountMailParts(mails, verification, redirects)


def register_account_mails(program: Program, control: ControlPlane, gotrue: GoTrueAccounts) -> AccountMailParts:
    """Both dialects' routes. After those of the identity providers: the grant ``pkce`` has codes of both."""
    from fluxbase.web.native.auth.mailed import NativeMailed
    from fluxbase.web.supabase.auth.mailed import GoTrueMailed

    parts, auth = account_mail_parts(program), program.auth
    NativeMailed(parts.mails, parts.verification, auth.accounts, parts.redirects, program.registry).register(control)
    GoTrueMailed(parts.mails, parts.verification, auth.accounts, auth.passwords, parts.redirects, program.registry).register(
        control, gotrue
    )
    return parts
