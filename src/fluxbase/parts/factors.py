"""Second factors, passkeys, captcha and hooks, put together."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxbase.audit.store import record
from fluxbase.auth.captcha.service import CaptchaService
from fluxbase.auth.factors.attempts import Attempts
from fluxbase.auth.factors.enforcement import FactorPolicy
from fluxbase.auth.factors.recovery import RecoveryCodes
from fluxbase.auth.factors.removal import FactorRemoval
from fluxbase.auth.factors.service import Factors
from fluxbase.auth.factors.step_up import StepUp
from fluxbase.auth.hooks.service import HookService
from fluxbase.auth.hooks.store import call_of
from fluxbase.auth.passkeys.ceremony import RelyingParty
from fluxbase.auth.passkeys.security_keys import SecurityKeys
from fluxbase.auth.passkeys.service import PasskeyService
from fluxbase.db.executor import Mode, RequestSettings
from fluxbase.kernel.errors import PeerUnavailable
from fluxbase.kernel.ids import SERVICE_ROLE
from fluxbase.kernel.principal import CredentialKind, Principal
from fluxbase.tenancy.shared import narrowed
from fluxbase.worker import public_url

if TYPE_CHECKING:
    from fluxbase.app import Program
    from fluxbase.auth.ports import CallFunction, HttpPost
    from fluxbase.tenancy.registry import Tenant
    from fluxbase.web.captcha import CaptchaDemand
    from fluxbase.web.control import ControlPlane


@dataclass(frozen=True, slots=True)
class FactorParts:
    """The services of this area."""

    factors: Factors
    removal: FactorRemoval
    passkeys: PasskeyService
    keys: SecurityKeys
    captcha: CaptchaService
    hooks: HookService


def factor_parts(program: Program) -> FactorParts:
    """Built once a worker, after the accounts; takes its place in the gate, the sessions and the accounts."""
    config, base = program.config, program.auth
    transactions = program.account_sessions
    policy = FactorPolicy(config.mfa, program.home.id)
    attempts = Attempts(transactions, record)
    step_up = StepUp(base.accounts, base.sessions, policy, record)
    recovery = RecoveryCodes(transactions, step_up, attempts, record, program.master.derive("recovery-codes"))
    factors = Factors(transactions, policy, attempts, recovery, step_up, record, program.master, base.sessions, base.gate)
    base_url = public_url(config)

    def party(tenant: Tenant) -> RelyingParty:
        return RelyingParty(tenant.settings.passkeys, base_url)

    hooks = HookService(_caller(program), _poster(program), home=program.home.id)
    captcha = CaptchaService(transactions, _poster(program), program.master.derive("captcha"))
    base.gate.factors = factors
    base.gate.hooks = hooks
    base.sessions.policy = policy
    base.sessions.claims_hook = hooks.issue_token
    base.new.hooks = hooks
    return FactorParts(
        factors,
        FactorRemoval(transactions, step_up, base.accounts, record),
        PasskeyService(transactions, party, step_up, base.gate, record),
        SecurityKeys(transactions, party, factors, step_up, attempts),
        captcha,
        hooks,
    )


def captcha_demand(program: Program) -> CaptchaDemand:
    """On every flow: whether it is asked is the tenant's to say."""
    from fluxbase.web.captcha import CaptchaDemand

    return CaptchaDemand(program.factors.captcha, program.registry)


def register_factors(program: Program, control: ControlPlane) -> None:
    """Both dialects' routes."""
    from fluxbase.web.native.auth.captcha import CaptchaRoutes
    from fluxbase.web.native.auth.factors import NativeFactors
    from fluxbase.web.supabase.auth.factors import GoTrueFactors
    from fluxbase.web.supabase.auth.passkeys import PasskeyRoutes

    parts = program.factors
    NativeFactors(parts.factors, parts.removal, program.auth.accounts, program.registry).register(control)
    GoTrueFactors(parts.factors, parts.removal, parts.keys, program.registry).register(control)
    PasskeyRoutes(parts.passkeys, program.registry).register(control)
    CaptchaRoutes(parts.captcha, program.registry).register(control)


def _poster(program: Program) -> HttpPost:
    async def post(url: str, content: bytes, headers: dict[str, str], *, timeout_seconds: float) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(timeout_seconds):
                answer = await program.outbound.request("POST", url, headers=headers, content=content)
        except TimeoutError:
            raise PeerUnavailable("") from None
        return answer.status, answer.body

    return post


def _caller(program: Program) -> CallFunction:
    async def call(tenant: Tenant, schema: str, function: str, argument: bytes, *, timeout_seconds: float) -> bytes | None:
        claims = '{"role":"service_role"}'
        principal = Principal(tenant.id, SERVICE_ROLE, CredentialKind.KEY, claims)
        if tenant.is_shared:
            principal = narrowed(principal)
        settings = RequestSettings("POST", f"/hooks/{function}", "{}", "{}", "")
        deadline = time.monotonic() + timeout_seconds
        row = await program.executor.run(principal, settings, call_of(schema, function), (argument,), mode=Mode.WRITE, deadline=deadline)
        return row[0]

    return call
