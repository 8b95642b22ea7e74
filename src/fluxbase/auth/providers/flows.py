# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# Authlib has no types.
"""A sign-in through a provider, from the button to the session (threats B17-B19, B22).

begin      the app asks; for ``fetch`` it gets a start link of ours, since only a navigation can leave a cookie
start      a browser follows it: its cookie, state, nonce and PKCE verifier are made here, then on to the provider
callback   the provider's answer, accepted only from the browser that started; what it proves is kept under ``?code=``
redeem     the app trades the code for a session, with its own PKCE verifier, or from the same device within a minute

Nothing happens to any account before ``redeem``: a link is made only for who shows that he began it.
No token of ours or of the provider stands in a URL.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from fluxbase.auth.providers import store
from fluxbase.auth.providers.exchange import ProviderTokens
from fluxbase.auth.providers.registry import providers_of
from fluxbase.auth.redirects import with_parameters
from fluxbase.crypto.opaque import format_opaque, parse_opaque
from fluxbase.kernel.errors import AuthError, FluxbaseError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from fluxbase.auth.gate import SignInGate
    from fluxbase.auth.ports import SystemSessions
    from fluxbase.auth.providers.exchange import OAuthClient
    from fluxbase.auth.providers.linking import Linking
    from fluxbase.auth.providers.profiles import ProvenIdentity
    from fluxbase.auth.providers.tokens import TokenVault
    from fluxbase.auth.redirects import RedirectRule
    from fluxbase.auth.users import Device, IssuedSession, SecondFactorRequired
    from fluxbase.kernel.ids import UserId
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant

START, STATE, CODE = "fb_of_", "fb_os_", "fb_oc_"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_BROWSER = re.compile(r"[A-Za-z0-9_-]{43}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")
_PROVIDER_ERROR = re.compile(r"[a-z_]{1,60}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the app asks for."""

    provider: str
    redirect_to: str | None = None
    scopes: tuple[str, ...] = ()
    code_challenge: str | None = None
    code_challenge_method: str | None = None
    link_to: UserId | None = None
    """Link to this account instead of signing in."""


@dataclass(frozen=True, slots=True)
class Departure:
    """Where the browser goes, and the secret its cookie keeps."""

    url: str
    browser: str = field(repr=False)
    posts_answer: bool


@dataclass(frozen=True, slots=True)
class Entered:
    """What a redeemed code or an ID token gives."""

    found: IssuedSession | SecondFactorRequired
    is_new_user: bool
    tokens: ProviderTokens | None = None


class OAuthFlows:
    """The four steps."""

    def __init__(
        self, transactions: SystemSessions, client: OAuthClient, redirects: RedirectRule, linking: Linking, gate: SignInGate,
        vault: TokenVault, *, tenant_by_locator: Callable[[str], Awaitable[Tenant | None]],
    ) -> None:  # fmt: skip
        self._transactions = transactions
        self._client = client
        self._redirects = redirects
        self._linking = linking
        self._gate = gate
        self._vault = vault
        self._tenant_by_locator = tenant_by_locator

    async def begin(self, tenant: Tenant, wanted: Wanted) -> str:
        """The start link's token. Raises AuthError: ``provider_disabled``, ``bad_redirect``, ``validation_failed``."""
        flow = self._flow(tenant, wanted)
        token = format_opaque(START, tenant.locator, secrets.token_bytes(32))
        async with self._transactions(tenant, reason="begin a flow with a provider") as tx:
            await store.insert_flow(tx, tenant.id, hash_of(token), flow, seconds=tenant.settings.oauth.flow_seconds)
        return token

    async def start(self, raw_token: str, browser: str | None) -> Departure:
        """Follow a start link, once. Raises AuthError ``bad_oauth_state``."""
        tenant = await self._tenant_of(raw_token, START)
        async with self._transactions(tenant, reason="start a flow with a provider") as tx:
            flow = await store.take_flow(tx, tenant.id, hash_of(raw_token), is_started=False)
        if flow is None:
            raise bad_state()
        return await self._depart(tenant, flow, browser)

    async def authorize(self, tenant: Tenant, wanted: Wanted, browser: str | None) -> Departure:
        """Begin and start in one navigation."""
        return await self._depart(tenant, self._flow(tenant, wanted), browser)

    def _flow(self, tenant: Tenant, wanted: Wanted) -> store.Flow:
        provider = providers_of(tenant).get(wanted.provider)
        flow = self.checked(tenant, wanted, provider.name)
        return replace(flow, scopes=" ".join(dict.fromkeys([*provider.scopes, *wanted.scopes])))

    def checked(self, tenant: Tenant, wanted: Wanted, provider: str) -> store.Flow:
        """What the app asks for, checked. Raises AuthError: ``bad_redirect``, ``validation_failed``."""
        if (wanted.code_challenge is None) != (wanted.code_challenge_method is None):
            raise AuthError("code_challenge and code_challenge_method go together", code="validation_failed")
        method = (wanted.code_challenge_method or "s256").lower()
        if method != "s256" or not _CHALLENGE.fullmatch(wanted.code_challenge or "A" * 43):
            raise AuthError("code_challenge must be the S256 challenge of a verifier", code="validation_failed")
        if not all(_SCOPE.fullmatch(scope) for scope in wanted.scopes) or len(wanted.scopes) > 50:
            raise AuthError("scopes must be a list of scope names", code="validation_failed")
        purpose = "sign_in" if wanted.link_to is None else "link"
        return store.Flow(purpose, wanted.link_to, provider, self._redirects.checked(tenant, wanted.redirect_to), "", wanted.code_challenge)

    async def _depart(self, tenant: Tenant, flow: store.Flow, browser: str | None) -> Departure:
        provider = providers_of(tenant).get(flow.provider)
        kept = browser_secret(browser)
        state = format_opaque(STATE, tenant.locator, secrets.token_bytes(32))
        nonce, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        url = await self._client.authorize_url(provider, state=state, nonce=nonce, verifier=verifier, scopes=tuple(flow.scopes.split()))
        started = store.Flow(
            flow.purpose, flow.user_id, flow.provider, flow.redirect_to, flow.scopes, flow.code_challenge, hash_of(kept), nonce,
            self._vault.seal(verifier, f"oauth_verifier:{tenant.id}:{hash_of(state).hex()}"),
        )  # fmt: skip
        async with self._transactions(tenant, reason="start a flow with a provider") as tx:
            await store.insert_flow(tx, tenant.id, hash_of(state), started, seconds=tenant.settings.oauth.flow_seconds)
        return Departure(url, kept, provider.spec.posts_answer)

    async def callback(self, answer: Mapping[str, str], browser: str | None, device: Device) -> str:
        """Where the browser goes with ``?code=`` or ``?error=``. Raises AuthError ``bad_oauth_state`` when it did not begin the flow."""
        raw_state = answer.get("state", "")
        tenant = await self._tenant_of(raw_state, STATE)
        async with self._transactions(tenant, reason="answer of a provider") as tx:
            flow = await store.take_flow(tx, tenant.id, hash_of(raw_state), is_started=True)
            if flow is None or not is_same_browser(flow.browser_hash, browser):
                raise bad_state()  # rolled back: who does not own the flow does not end it either
        try:
            identity, tokens = await self._prove(tenant, flow, answer, raw_state)
        except FluxbaseError as error:
            code = "server_error" if error.code == "peer_unavailable" else "access_denied"
            return with_parameters(flow.redirect_to, {"error": code, "error_code": error.code, "error_description": error.message})
        return await self.finish(tenant, flow, identity, tokens, device, state=raw_state)

    async def finish(
        self, tenant: Tenant, flow: store.Flow, identity: ProvenIdentity, tokens: ProviderTokens | None, device: Device, *,
        method: str = "oauth", state: str,
    ) -> str:  # fmt: skip
        """Keep what was proven under a code; the address of the app's page with it."""
        code = format_opaque(CODE, tenant.locator, secrets.token_bytes(32))
        sealed = self._vault.seal_tokens(tokens, _code_place(tenant, code))
        proven = store.FlowCode(flow.purpose, flow.user_id, identity, method, sealed, flow.code_challenge, _device_hash(device))
        async with self._transactions(tenant, reason="keep what a provider proved") as tx:
            await store.insert_code(tx, tenant.id, hash_of(code), proven, seconds=tenant.settings.oauth.code_seconds)
        return with_parameters(flow.redirect_to, {"code": code, "state": state} if flow.code_challenge is None else {"code": code})

    async def _prove(
        self, tenant: Tenant, flow: store.Flow, answer: Mapping[str, str], raw_state: str
    ) -> tuple[ProvenIdentity, ProviderTokens]:
        provider = providers_of(tenant).get(flow.provider)
        await self._client.check_answer_issuer(provider, answer.get("iss"))
        if "error" in answer:
            said = answer["error"] if _PROVIDER_ERROR.fullmatch(answer["error"]) else "an error"
            raise AuthError(f"{provider.spec.display_name} answered: {said}.", code="provider_refused")
        code = answer.get("code", "")
        if not 0 < len(code) <= 4096:
            raise AuthError("The provider's answer has no code.", code="bad_oauth_callback")
        verifier = self._vault.open(flow.verifier_sealed, f"oauth_verifier:{tenant.id}:{hash_of(raw_state).hex()}")
        return await self._client.exchange(provider, code=code, verifier=verifier, nonce=flow.nonce)

    async def redeem(self, tenant: Tenant, code: str, verifier: str | None, device: Device, caller: Principal | None = None) -> Entered:
        """The session. Raises AuthError: ``flow_state_not_found``, ``bad_code_verifier``, and what linking and the gate refuse."""
        parsed = parse_opaque(code, (CODE,))
        if parsed is None or parsed.locator != tenant.locator:
            raise _no_code()
        async with self._transactions(tenant, reason="redeem a code") as tx:
            found = await store.take_code(tx, tenant.id, hash_of(code))
        if found is None:
            raise _no_code()
        is_callers = caller is not None and caller.user_id is not None and caller.user_id == found.user_id
        if not is_bound(found, verifier, device, is_callers=is_callers):
            raise AuthError("code challenge does not match previously saved code verifier", code="bad_code_verifier")
        tokens = self._vault.open_tokens(found.tokens_sealed, _code_place(tenant, code))
        return await self.enter(tenant, found.identity, tokens, device, method=found.method, link_to=found.user_id)

    async def enter(
        self, tenant: Tenant, proven: ProvenIdentity, tokens: ProviderTokens | None, device: Device, *, method: str = "oauth",
        link_to: UserId | None = None, before: Callable[[Any], Awaitable[None]] | None = None,
    ) -> Entered:  # fmt: skip
        """Everything that happens to accounts, in one transaction: find or make the user, link, admit."""
        async with self._transactions(tenant, reason="sign in with a provider") as tx:
            if before is not None:
                await before(tx)
            if link_to is None:
                user, identity, is_new = await self._linking.user_for(tx, tenant, proven)
            else:
                (user, identity), is_new = await self._linking.link(tx, tenant, link_to, proven), False
            if tokens is not None:
                await self._vault.keep(tx, tenant, user.id, identity, proven.provider, tokens)
            found = await self._gate.admit(tx, tenant, user, method=method, device=device)
        return Entered(found, is_new, tokens)

    async def _tenant_of(self, raw: str, prefix: str) -> Tenant:
        parsed = parse_opaque(raw, (prefix,))
        tenant = None if parsed is None else await self._tenant_by_locator(parsed.locator)
        if tenant is None:
            raise bad_state()
        return tenant


def browser_secret(browser: str | None) -> str:
    """What a browser's cookie keeps: the secret of its flow before, so that two tabs do not disturb each other, or a new one."""
    return browser if browser is not None and _BROWSER.fullmatch(browser) else secrets.token_urlsafe(32)


def is_same_browser(browser_hash: bytes | None, browser: str | None) -> bool:
    """The cookie is the one that the start left (threat B19: login CSRF)."""
    return browser_hash is not None and browser is not None and hmac.compare_digest(browser_hash, hash_of(browser))


def is_bound(found: store.FlowCode, verifier: str | None, device: Device, *, is_callers: bool) -> bool:
    """Who redeems began it: he has the PKCE verifier; without a challenge, he is the user who links, or on the same device."""
    if found.code_challenge is not None:
        if verifier is None or not _VERIFIER.fullmatch(verifier):
            return False
        return hmac.compare_digest(str(create_s256_code_challenge(verifier)), found.code_challenge)
    if found.purpose == "link":
        return is_callers
    return hmac.compare_digest(found.device_hash, _device_hash(device))


def hash_of(text: str) -> bytes:
    """What is stored of a secret that travels."""
    return hashlib.sha256(text.encode()).digest()


def _device_hash(device: Device) -> bytes:
    return hashlib.sha256(orjson.dumps([device.address, device.user_agent])).digest()


def _code_place(tenant: Tenant, code: str) -> str:
    return f"flow_code:{tenant.id}:{hash_of(code).hex()}"


def bad_state() -> AuthError:
    """What a flow that is not the caller's gets."""
    return AuthError("This sign-in was not begun in this browser, has expired or was used. Begin again.", code="bad_oauth_state")


def _no_code() -> AuthError:
    return AuthError("invalid flow state, no valid flow state found", code="flow_state_not_found")
