"""Which routes ask for a captcha: one table; checked before the handler runs.

The token travels in the body: ``captcha_token`` natively (with ``challenge_id`` for the built-in proof of work, where the token is the
number that was found), ``gotrue_meta_security.captcha_token`` from GoTrue's clients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import orjson
from fastapi import Request

from fluxbase.web.caller import tenant_of
from fluxbase.web.context import context_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fluxbase.auth.captcha.service import CaptchaService
    from fluxbase.tenancy.registry import TenantRegistry

FLOW_OF_PATH = {
    "/api/v1/auth/signup": "signup",
    "/api/v1/auth/signin": "login",
    "/api/v1/auth/signin/anonymous": "signup",
    "/api/v1/auth/password/reset": "password_reset",
    "/api/v1/auth/magiclink": "magic_link",
    "/api/v1/auth/otp/signin": "magic_link",
    "/api/v1/auth/otp/resend": "magic_link",
    "/api/v1/auth/verify-email/resend": "magic_link",
    "/api/v1/auth/passkeys/authentication/options": "login",
    "/auth/v1/signup": "signup",
    "/auth/v1/token": "login",
    "/auth/v1/recover": "password_reset",
    "/auth/v1/magiclink": "magic_link",
    "/auth/v1/otp": "magic_link",
    "/auth/v1/resend": "magic_link",
    "/auth/v1/passkeys/authentication/options": "login",
}
"""Every route that asks, when its flow is among ``captcha.endpoints``."""
_NO_PERSON = frozenset({"refresh_token", "pkce", "id_token"})
"""Grants of POST /token that go on with something that was proven before."""


class CaptchaDemand:
    """Makes the check of one flow."""

    def __init__(self, captcha: CaptchaService, registry: TenantRegistry) -> None:
        self._captcha = captcha
        self._registry = registry

    def of(self, flow: str) -> Callable[[Request], Awaitable[None]]:
        """The dependency of a route. Raises what :meth:`CaptchaService.check` raises."""

        async def demand(request: Request) -> None:
            tenant = tenant_of(request, self._registry)
            if not self._captcha.asks(tenant, flow) or request.query_params.get("grant_type") in _NO_PERSON:
                return
            token = _token_of(orjson.loads(await request.body() or b"null"))
            await self._captcha.check(tenant, flow, token, address=context_of(request.scope).address)

        return demand


def _token_of(body: object) -> str | None:
    if not isinstance(body, dict):
        return None
    members = cast("dict[str, Any]", body)
    meta = members.get("gotrue_meta_security")
    token = members.get("captcha_token") or (cast("dict[str, Any]", meta).get("captcha_token") if isinstance(meta, dict) else None)
    if not isinstance(token, str):
        return None
    challenge = members.get("challenge_id")
    return f"{challenge}.{token}" if isinstance(challenge, str) and challenge and token.isdigit() else token
