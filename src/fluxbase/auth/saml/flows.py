# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# python3-saml has no types; what it gives is checked where it is read.
"""A sign-in through a SAML identity provider, and single logout. The same four steps as ``auth/providers/flows.py``.

An answer counts once, only for a request of ours, only in the browser that began it. RelayState is an opaque token of ours, never an
address (threat B18, CVE-2026-22032); sign-ins that an identity provider begins by itself are refused.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from fluxbase.auth.providers import store
from fluxbase.auth.providers.flows import Departure, bad_state, browser_secret, hash_of, is_same_browser
from fluxbase.auth.redirects import with_parameters
from fluxbase.auth.saml.assertion import identity_of, invalid, read
from fluxbase.auth.saml.registry import ACS_PATH, SLO_PATH
from fluxbase.crypto.opaque import format_opaque, parse_opaque
from fluxbase.kernel.deferred import Deferred
from fluxbase.kernel.errors import AuthError, FluxbaseError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from onelogin.saml2 import auth as saml2_auth
    from onelogin.saml2 import errors as saml2_errors
    from onelogin.saml2 import logout_request as saml2_logout_request
    from onelogin.saml2 import utils as saml2_utils

    from fluxbase.auth.ports import AuditRecorder, SystemSessions
    from fluxbase.auth.providers.flows import OAuthFlows, Wanted
    from fluxbase.auth.saml.registry import SamlRegistry
    from fluxbase.auth.sessions import Sessions
    from fluxbase.auth.users import Device
    from fluxbase.kernel.ids import UserId
    from fluxbase.tenancy.registry import Tenant
else:
    saml2_auth = Deferred("onelogin.saml2.auth")
    saml2_errors = Deferred("onelogin.saml2.errors")
    saml2_logout_request = Deferred("onelogin.saml2.logout_request")
    saml2_utils = Deferred("onelogin.saml2.utils")

START, STATE = "fb_sf_", "fb_ss_"


class SamlFlows:
    """Begin, start, take the answer, log out."""

    def __init__(
        self, transactions: SystemSessions, registry: SamlRegistry, oauth: OAuthFlows, sessions: Sessions,
        record: AuditRecorder, *, tenant_by_locator: Callable[[str], Awaitable[Tenant | None]],
    ) -> None:  # fmt: skip
        self._transactions = transactions
        self._registry = registry
        self._oauth = oauth
        self._sessions = sessions
        self._record = record
        self._tenant_by_locator = tenant_by_locator

    async def begin(self, tenant: Tenant, wanted: Wanted) -> str:
        """The start link's token. Raises AuthError: ``sso_provider_not_found``, ``bad_redirect``, ``validation_failed``."""
        self._registry.get(wanted.provider)
        flow = self._oauth.checked(tenant, wanted, f"sso:{wanted.provider}")
        token = format_opaque(START, tenant.locator, secrets.token_bytes(32))
        async with self._transactions(tenant, reason="begin a flow with a SAML provider") as tx:
            await store.insert_flow(tx, tenant.id, hash_of(token), flow, seconds=tenant.settings.oauth.flow_seconds)
        return token

    async def start(self, raw_token: str, browser: str | None) -> Departure:
        """Follow a start link, once: on to the identity provider with a request of ours. Raises AuthError ``bad_oauth_state``."""
        tenant = await self._tenant_of(raw_token, START)
        async with self._transactions(tenant, reason="start a flow with a SAML provider") as tx:
            flow = await store.take_flow(tx, tenant.id, hash_of(raw_token), is_started=False)
        if flow is None:
            raise bad_state()
        state, kept = format_opaque(STATE, tenant.locator, secrets.token_bytes(32)), browser_secret(browser)
        auth = saml2_auth.OneLogin_Saml2_Auth(self._registry.request_data(ACS_PATH), await self._registry.toolkit(_name(flow.provider)))
        url = str(auth.login(return_to=state))
        started = replace(flow, browser_hash=hash_of(kept), nonce=str(auth.get_last_request_id()))
        async with self._transactions(tenant, reason="start a flow with a SAML provider") as tx:
            await store.insert_flow(tx, tenant.id, hash_of(state), started, seconds=tenant.settings.oauth.flow_seconds)
        return Departure(url, kept, posts_answer=True)

    async def answer(self, encoded: str, relay_state: str, browser: str | None, device: Device) -> str:
        """Where the browser goes with ``?code=`` or ``?error=``. Raises AuthError ``bad_oauth_state`` when it did not begin the flow."""
        tenant = await self._tenant_of(relay_state, STATE)
        async with self._transactions(tenant, reason="answer of a SAML provider") as tx:
            flow = await store.take_flow(tx, tenant.id, hash_of(relay_state), is_started=True)
            if flow is None or not is_same_browser(flow.browser_hash, browser):
                raise bad_state()
        try:
            return await self._prove(tenant, flow, encoded, device, relay_state)
        except FluxbaseError as error:
            return with_parameters(
                flow.redirect_to, {"error": "access_denied", "error_code": error.code, "error_description": error.message}
            )

    async def _prove(self, tenant: Tenant, flow: store.Flow, encoded: str, device: Device, relay_state: str) -> str:
        name = _name(flow.provider)
        settings = await self._registry.toolkit(name)
        data = self._registry.request_data(ACS_PATH)
        assertion = await asyncio.to_thread(read, settings, encoded, data, request_id=flow.nonce, acs_url=self._registry.acs_url)
        provider = self._registry.get(name)
        digest = hashlib.sha256(f"{provider.entity_id}\n{assertion.id}".encode()).digest()
        async with self._transactions(tenant, reason="use a SAML assertion") as tx:
            if not await store.note_assertion(tx, tenant.id, digest, expires_at=assertion.expires_at):
                raise invalid()
        identity = identity_of(name, provider, assertion)
        return await self._oauth.finish(tenant, flow, identity, None, device, method="sso/saml", state=relay_state)

    async def logout_url(self, tenant: Tenant, user: UserId, name: str) -> str | None:
        """Where a browser ends its session at the identity provider; None where it has no such place or the user is not its."""
        provider = self._registry.get(name)
        settings = await self._registry.toolkit(name)
        async with self._transactions(tenant, reason="log out at a SAML provider") as tx:
            subject = await store.select_subject(tx, tenant.id, user, provider.entity_id)
        auth = saml2_auth.OneLogin_Saml2_Auth(self._registry.request_data(SLO_PATH), settings)
        if subject is None or not auth.get_slo_url():
            return None
        return str(auth.logout(name_id=subject[0], session_index=subject[1]))

    async def logged_out(self, tenant: Tenant, name: str, query: dict[str, str], raw_query: str) -> str | None:
        """An identity provider's signed logout request: every session of its user ends here. The address of our answer; None for an
        answer to ours. Raises AuthError ``saml_assertion_invalid`` for one that is unsigned, altered, old, or of somebody else."""
        provider = self._registry.get(name)
        settings = await self._registry.toolkit(name, wants_signed_messages=True)
        auth = saml2_auth.OneLogin_Saml2_Auth({**self._registry.request_data(SLO_PATH, get=query), "query_string": raw_query}, settings)
        if "SAMLRequest" not in query or "Signature" not in query:
            if "SAMLResponse" in query:
                return None  # nothing hangs on it: our session ended before we asked
            raise invalid()
        try:
            url = await asyncio.to_thread(auth.process_slo, keep_local_session=True)
            if auth.get_errors() or url is None:
                raise invalid()
            subject = saml2_logout_request.OneLogin_Saml2_Logout_Request.get_nameid(auth.get_last_request_xml())
        except (saml2_errors.OneLogin_Saml2_Error, ValueError, SyntaxError, TypeError):
            raise invalid() from None
        async with self._transactions(tenant, reason="single logout") as tx:
            owner = await store.select_owner(tx, tenant.id, provider.entity_id, str(subject))
            if owner is not None:
                await self._sessions.end_all(tx, tenant, owner[1], reason="single logout")
                await self._record(
                    tx, action="auth.saml.logged_out", actor=f"sso:{name}", resource=f"user:{owner[1]}", details={"provider": name}
                )
        return str(url)

    def name_of_issuer(self, query: dict[str, str]) -> str:
        """The provider that a logout message names; nothing is believed of it yet."""
        raw = query.get("SAMLRequest", "")
        try:
            issuer = saml2_logout_request.OneLogin_Saml2_Logout_Request.get_issuer(
                saml2_utils.OneLogin_Saml2_Utils.decode_base64_and_inflate(raw)
            )
        except (saml2_errors.OneLogin_Saml2_Error, ValueError, SyntaxError, TypeError, OSError):
            raise invalid() from None
        for name, provider in self._registry.providers.items():
            if provider.entity_id == issuer:
                return name
        raise AuthError("No SSO provider assigned for this name or domain", code="sso_provider_not_found")

    async def _tenant_of(self, raw: str, prefix: str) -> Tenant:
        parsed = parse_opaque(raw, (prefix,))
        tenant = None if parsed is None else await self._tenant_by_locator(parsed.locator)
        if tenant is None:
            raise bad_state()
        return tenant


def _name(provider: str) -> str:
    return provider.removeprefix("sso:")
