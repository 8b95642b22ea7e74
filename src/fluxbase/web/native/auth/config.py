"""GET /api/v1/auth/config: what a sign-in page must know (contract-native 1.1, 2.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import JSONResponse

from fluxbase.auth.providers.registry import providers_of
from fluxbase.kernel.access import CONTROL_PLANE, Access
from fluxbase.web.caller import tenant_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxbase.tenancy.registry import Tenant
    from fluxbase.web.control import ControlPlane
    from fluxbase.web.provider_surface import ProviderSurface
    from fluxbase.web.saml_surface import SamlSurface

KINDS = {"uppercase": "upper", "lowercase": "lower", "number": "digit", "special": "symbol"}
"""The contract's words for ``auth.password_required``."""


class AuthConfigRoute:
    """Public settings, and nothing a setting keeps secret."""

    def __init__(self, providers: ProviderSurface, saml: SamlSurface, captcha: Callable[[Tenant], dict[str, Any]]) -> None:
        self._providers = providers
        self._saml = saml
        self._captcha = captcha

    def register(self, control: ControlPlane) -> None:
        """One route."""
        control.add(
            "GET", "/api/v1/auth/config", self.read, access=Access.ENTRY, limit=CONTROL_PLANE, name="auth.config",
            permission="auth:settings:read",
        )  # fmt: skip

    async def read(self, request: Request) -> JSONResponse:
        """Which ways in there are, and what a password must have."""
        tenant = tenant_of(request, self._providers.registry)
        settings, base = tenant.settings, self._providers.public_url
        auth = settings.auth
        oauth = [
            {
                "provider": each.name,
                "display_name": each.spec.display_name,
                "authorize_url": f"{base}/api/v1/auth/oauth/{each.name}/authorize",
            }
            for each in providers_of(tenant).all()
        ]
        saml = [{"provider": name, "display_name": each.display_name or name} for name, each in self._saml.providers.providers.items()]
        return JSONResponse({
            "signup_enabled": auth.signup_enabled, "require_email_verification": auth.require_email_verification,
            "magic_link_enabled": auth.magic_link_enabled, "password_login_enabled": auth.password_enabled,
            "anonymous_enabled": auth.anonymous_enabled, "passkeys_enabled": settings.passkeys.enabled,
            "mfa_available": settings.mfa.totp_enabled or settings.mfa.webauthn_enabled,
            "password_min_length": auth.password_min_length,
            **{f"password_require_{word}": kind in auth.password_required for word, kind in KINDS.items()},
            "oauth_providers": oauth, "saml_providers": saml, "captcha": self._captcha(tenant),
        })  # fmt: skip
