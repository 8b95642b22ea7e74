"""The use cases of passkeys: several a user, sign-in without a name, and what a passkey counts for.

A passkey that verified its user (PIN, finger, face) is two factors in one: the session is aal2 and rests on it. Without that it is
one factor, and the gate asks for the second. Adding one is a way in for ever, so it wants a fresh proof, and the second factor where
there is one (threat B25). A challenge is consumed by the first answer to it, right or wrong.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from fluxbase.auth.authority import refuse_above
from fluxbase.auth.factors.store import AAL1, AAL2
from fluxbase.auth.passkeys import store
from fluxbase.auth.passkeys.ceremony import credential_id_of, user_handle_of
from fluxbase.auth.roles import actor_of
from fluxbase.kernel.errors import AuthError

if TYPE_CHECKING:
    from fluxbase.auth.factors.step_up import StepUp
    from fluxbase.auth.gate import SignInGate
    from fluxbase.auth.passkeys.ceremony import RelyingParty
    from fluxbase.auth.passkeys.store import Challenge, Passkey
    from fluxbase.auth.ports import AuditRecorder, SystemSessions
    from fluxbase.auth.users import Device, IssuedSession, SecondFactorRequired
    from fluxbase.config.factors import Passkeys
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant

CHALLENGE_BYTES = 32


class PasskeyService:
    """Registration, sign-in, list, rename, removal."""

    def __init__(
        self,
        transactions: SystemSessions,
        settings: Passkeys,
        party: RelyingParty,
        step_up: StepUp,
        gate: SignInGate,
        record: AuditRecorder,
    ) -> None:
        self.settings = settings
        self._transactions = transactions
        self._party = party
        self._step_up = step_up
        self._gate = gate
        self._record = record

    async def begin_registration(self, tenant: Tenant, principal: Principal) -> dict[str, Any]:
        """Options for ``navigator.credentials.create``. Raises AuthError ``passkey_disabled``, ``insufficient_aal``,
        ``reauthentication_needed``, ``too_many_passkeys``."""
        self._require_enabled()
        user, session = await self._step_up.caller(tenant, principal)
        challenge = secrets.token_bytes(CHALLENGE_BYTES)
        async with self._transactions(tenant, reason="begin to register a passkey") as tx:
            await self._step_up.require(tx, tenant, user, session)
            if len(await store.select_passkeys(tx, tenant.id, user.id)) >= self.settings.max_passkeys:
                raise AuthError("Maximum number of passkeys reached", code="too_many_passkeys")
            known = await store.select_credentials(tx, tenant.id, user.id)
            challenge_id, ends_at = await store.insert_challenge(
                tx, tenant.id, "registration", challenge, self.settings.challenge_seconds, user_id=user.id, session_id=session.id
            )
        options = self._party.creation_options(user.id, user.email or user.id, challenge, known, is_discoverable=True)
        return {"challenge_id": challenge_id, "options": options, "expires_at": ends_at}

    async def finish_registration(
        self, tenant: Tenant, principal: Principal, challenge_id: str, credential: dict[str, Any], friendly_name: str = ""
    ) -> Passkey:
        """The new passkey.

        Raises AuthError ``webauthn_challenge_not_found``, ``webauthn_verification_failed``, ``webauthn_credential_exists``.
        """
        self._require_enabled()
        user, session = await self._step_up.caller(tenant, principal)
        challenge = await self._take(tenant, "registration", challenge_id, session.id)
        made = self._party.verify_creation(credential, challenge.challenge, is_discoverable=True)
        async with self._transactions(tenant, reason="register a passkey") as tx:
            await self._step_up.require(tx, tenant, user, session)
            passkey = await store.insert_passkey(tx, tenant.id, user.id, made, friendly_name=friendly_name)
            if passkey is None:
                raise AuthError("This passkey is registered already", code="webauthn_credential_exists")
            await self._record(
                tx, action="auth.passkey.added", actor=f"user:{user.id}", resource=f"user:{user.id}", details={"passkey_id": passkey.id}
            )
        return passkey

    async def begin_sign_in(self, tenant: Tenant) -> dict[str, Any]:
        """Options for ``navigator.credentials.get``; the browser offers the passkeys it has, so nobody is named."""
        self._require_enabled()
        challenge = secrets.token_bytes(CHALLENGE_BYTES)
        async with self._transactions(tenant, reason="begin a sign-in with a passkey") as tx:
            challenge_id, ends_at = await store.insert_challenge(
                tx, tenant.id, "authentication", challenge, self.settings.challenge_seconds
            )
        return {"challenge_id": challenge_id, "options": self._party.request_options(challenge), "expires_at": ends_at}

    async def finish_sign_in(
        self, tenant: Tenant, challenge_id: str, credential: dict[str, Any], device: Device
    ) -> IssuedSession | SecondFactorRequired:
        """A session. Raises AuthError ``webauthn_challenge_not_found``, ``webauthn_verification_failed``, and what the gate refuses."""
        self._require_enabled()
        challenge = await self._take(tenant, "authentication", challenge_id, None)
        credential_id = credential_id_of(credential)
        async with self._transactions(tenant, reason="sign in with a passkey") as tx:
            passkey = await store.select_by_credential(tx, tenant.id, credential_id)
            if passkey is None or passkey.factor_id is not None or user_handle_of(credential) not in (None, passkey.user_id):
                raise _refused()
            shown = self._party.verify_assertion(
                credential, challenge.challenge, public_key=passkey.public_key, sign_count=passkey.sign_count
            )
            if not await store.advance_counter(tx, tenant.id, passkey.id, shown.sign_count):
                raise _refused()
            user = await self._step_up.user(tx, tenant, passkey.user_id, code="webauthn_verification_failed")
            return await self._gate.admit(
                tx, tenant, user, method="passkey", device=device, aal=AAL2 if shown.is_user_verified else AAL1, factor_ids=(passkey.id,)
            )

    async def list(self, tenant: Tenant, principal: Principal) -> list[Passkey]:
        """The caller's passkeys."""
        user, _ = await self._step_up.caller(tenant, principal)
        return await self.list_of(tenant, user.id)

    async def list_of(self, tenant: Tenant, user_id: str) -> list[Passkey]:
        """For administrators: a user's passkeys. Raises AuthError ``unknown_user``."""
        async with self._transactions(tenant, reason="list the passkeys of a user") as tx:
            user = await self._step_up.user(tx, tenant, user_id, code="unknown_user")
            return await store.select_passkeys(tx, tenant.id, user.id)

    async def rename(self, tenant: Tenant, principal: Principal, passkey_id: str, friendly_name: str) -> Passkey:
        """Another name. Raises AuthError ``webauthn_credential_not_found``, the same for another's and for none."""
        user, _ = await self._step_up.caller(tenant, principal)
        async with self._transactions(tenant, reason="rename a passkey") as tx:
            passkey = await store.rename_passkey(tx, tenant.id, user.id, passkey_id, friendly_name)
        if passkey is None:
            raise _unknown()
        return passkey

    async def remove(self, tenant: Tenant, principal: Principal, passkey_id: str) -> None:
        """Remove one of the caller's own; sessions that rest on it are lowered. Wants what adding one wants."""
        user, session = await self._step_up.caller(tenant, principal)
        async with self._transactions(tenant, reason="remove a passkey") as tx:
            await self._step_up.require(tx, tenant, user, session)
            if not await store.delete_passkey(tx, tenant.id, user.id, passkey_id):
                raise _unknown()
            await self._step_up.lower(tx, tenant, user, passkey_id, is_another_left=user.has_second_factor)
            await self._record(
                tx, action="auth.passkey.removed", actor=f"user:{user.id}", resource=f"user:{user.id}", details={"passkey_id": passkey_id}
            )

    async def remove_of(self, tenant: Tenant, user_id: str, passkey_id: str, *, by: Principal) -> None:
        """For administrators. Raises AuthError ``unknown_user``, ``webauthn_credential_not_found``; Forbidden."""
        async with self._transactions(tenant, reason="remove a passkey of a user") as tx:
            user = await self._step_up.user(tx, tenant, user_id, code="unknown_user")
            await refuse_above(tx, tenant, by, user.id, user.role)
            if not await store.delete_passkey(tx, tenant.id, user.id, passkey_id):
                raise _unknown()
            await self._step_up.lower(tx, tenant, user, passkey_id, is_another_left=user.has_second_factor)
            await self._record(
                tx, action="auth.passkey.removed", actor=actor_of(by), resource=f"user:{user.id}", details={"passkey_id": passkey_id}
            )

    async def _take(self, tenant: Tenant, purpose: str, challenge_id: str, session_id: str | None) -> Challenge:
        async with self._transactions(tenant, reason="answer to a WebAuthn challenge") as tx:
            challenge = await store.consume_challenge(tx, tenant.id, purpose, challenge_id, session_id)
        if challenge is None:
            raise AuthError("The challenge is unknown, too old or was answered already: begin again.", code="webauthn_challenge_not_found")
        return challenge

    def _require_enabled(self) -> None:
        if not self.settings.enabled:
            raise AuthError("Passkeys are disabled", code="passkey_disabled")


def _refused() -> AuthError:
    return AuthError("The passkey could not be verified.", code="webauthn_verification_failed")


def _unknown() -> AuthError:
    return AuthError("There is no such passkey", code="webauthn_credential_not_found")
