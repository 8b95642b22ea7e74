"""A security key as a second factor (``factor_type: webauthn`` of /auth/v1): enrolled and shown inside a session, never alone."""

from __future__ import annotations

import secrets
import uuid
from typing import TYPE_CHECKING, Any

from fluxbase.auth.factors.removal import find_factor
from fluxbase.auth.factors.store import note_challenge
from fluxbase.auth.passkeys import store
from fluxbase.auth.passkeys.ceremony import credential_id_of
from fluxbase.kernel.errors import AuthError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxbase.auth.factors.attempts import Attempts
    from fluxbase.auth.factors.service import Factors
    from fluxbase.auth.factors.step_up import StepUp
    from fluxbase.auth.factors.store import Factor
    from fluxbase.auth.passkeys.ceremony import RelyingParty
    from fluxbase.auth.ports import SystemSessions, SystemTx
    from fluxbase.auth.users import IssuedSession
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant

CHALLENGE_BYTES = 32


class SecurityKeys:
    """Enrol, challenge, verify. The factor's row, level and removal are those of every factor (``auth/factors``)."""

    def __init__(
        self,
        transactions: SystemSessions,
        party: Callable[[Tenant], RelyingParty],
        factors: Factors,
        step_up: StepUp,
        attempts: Attempts,
    ) -> None:
        self._transactions = transactions
        self._party = party
        self._factors = factors
        self._step_up = step_up
        self._attempts = attempts

    async def enrol(self, tenant: Tenant, principal: Principal, friendly_name: str) -> Factor:
        """A factor that waits for its key. Raises AuthError ``mfa_webauthn_enroll_not_enabled`` and what :meth:`Factors.enrol` raises."""
        if not tenant.settings.mfa.webauthn_enabled:
            raise AuthError("MFA enroll is disabled for WebAuthn", code="mfa_webauthn_enroll_not_enabled")
        user, session = await self._step_up.caller(tenant, principal)
        async with self._transactions(tenant, reason="enrol a security key") as tx:
            return await self._factors.enrol(tx, tenant, user, session, "webauthn", str(uuid.uuid4()), friendly_name, None)

    async def challenge(self, tenant: Tenant, principal: Principal, factor_id: str) -> dict[str, Any]:
        """Options to make the key of a factor that has none yet, or to show the one it has."""
        user, session = await self._step_up.caller(tenant, principal)
        challenge = secrets.token_bytes(CHALLENGE_BYTES)
        async with self._transactions(tenant, reason="challenge a security key") as tx:
            factor = await find_factor(tx, tenant, user.id, factor_id)
            await note_challenge(tx, tenant.id, factor.id)
            keys = await store.select_passkeys(tx, tenant.id, user.id, factor_id=factor.id)
            known = await store.select_credentials(tx, tenant.id, user.id)
            challenge_id, ends_at = await store.insert_challenge(
                tx,
                tenant.id,
                "factor",
                challenge,
                tenant.settings.passkeys.challenge_seconds,
                user_id=user.id,
                session_id=session.id,
                factor_id=factor.id,
            )
        party = self._party(tenant)
        if keys:
            kind, options = "request", party.request_options(challenge, [(key.credential_id, key.transports) for key in keys])
        else:
            kind, options = (
                "create",
                self._party(tenant).creation_options(user.id, user.email or user.id, challenge, known, is_discoverable=False),
            )
        return {
            "id": challenge_id, "type": "webauthn", "expires_at": ends_at,
            "webauthn": {"type": kind, "credential_options": {"publicKey": options}},
        }  # fmt: skip

    async def verify(
        self, tenant: Tenant, principal: Principal, factor_id: str, challenge_id: str, credential: dict[str, Any]
    ) -> IssuedSession:
        """The answer: the session raised, and the factor confirmed by its first one.

        Raises AuthError ``mfa_challenge_expired``, ``webauthn_verification_failed``, RateLimited.
        """
        user, session = await self._step_up.caller(tenant, principal)
        await self._attempts.by_account(tenant, user.id)
        async with self._transactions(tenant, reason="answer to a challenge of a security key") as tx:
            challenge = await store.consume_challenge(tx, tenant.id, "factor", challenge_id, session.id)
        if challenge is None or challenge.factor_id != factor_id:
            raise AuthError(
                "MFA challenge has expired, verify against another challenge or create a new challenge.", code="mfa_challenge_expired"
            )
        async with self._transactions(tenant, reason="verify a security key") as tx:
            factor = await find_factor(tx, tenant, user.id, factor_id)
            keys = await store.select_passkeys(tx, tenant.id, user.id, factor_id=factor.id)
            if not keys:
                made = self._party(tenant).verify_creation(credential, challenge.challenge, is_discoverable=False)
                if (
                    await store.insert_passkey(tx, tenant.id, user.id, made, friendly_name=factor.friendly_name, factor_id=factor.id)
                    is None
                ):
                    raise AuthError("This security key is registered already", code="webauthn_credential_exists")
            else:
                await self._check(tx, tenant, keys, credential, challenge.challenge)
            return await self._factors.confirm(tx, tenant, user, session, factor)

    async def _check(self, tx: SystemTx, tenant: Tenant, keys: list[store.Passkey], credential: dict[str, Any], challenge: bytes) -> None:
        wanted = credential_id_of(credential)
        key = next((each for each in keys if each.credential_id == wanted), None)
        if key is None:
            raise AuthError("This is another security key than the factor's.", code="webauthn_verification_failed")
        shown = self._party(tenant).verify_assertion(
            credential, challenge, public_key=key.public_key, sign_count=key.sign_count, is_factor=True
        )
        if not await store.advance_counter(tx, tenant.id, key.id, shown.sign_count):
            raise AuthError("The counter of this security key went back: it may have been copied.", code="webauthn_verification_failed")
