"""What a tenant has otherwise than the instance (contract-native 1.9, 1.10; docs/settings.md).

``/admin/tenants/{tenant}/settings`` speaks the keys of the configuration; ``/admin/app/settings`` is the SDK's view of the caller's own
tenant. Its administrators and the instance's may call both; which keys each may change is in ``config/tenants.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from fluxbase.auth.roles import actor_of
from fluxbase.config.tenants import Decider
from fluxbase.kernel.access import ADMIN, Access
from fluxbase.kernel.errors import InvalidInput, NotFound
from fluxbase.kernel.permissions import administers_all
from fluxbase.tenancy.registry import unknown_tenant
from fluxbase.tenancy.settings import check_value, shown
from fluxbase.web.caller import caller_of, tenant_of

if TYPE_CHECKING:
    from fluxbase.config import Config
    from fluxbase.tenancy.registry import Tenant, TenantRegistry
    from fluxbase.tenancy.settings import TenantSettings
    from fluxbase.web.control import ControlPlane

ROOT = "/api/v1/admin/tenants/{tenant}/settings"
APP = "/api/v1/admin/app/settings"
TenantPath = Annotated[str, Path(max_length=100, description="Id or slug.")]
Key = Annotated[str, Path(max_length=200, description="Dotted key, as auth.signup_enabled.")]

_PLAIN = {
    "enable_signup": "auth.signup_enabled", "enable_magic_link": "auth.magic_link_enabled",
    "password_min_length": "auth.password_min_length", "require_email_verification": "auth.require_email_verification",
}  # fmt: skip
_CLASSES = {
    "password_require_uppercase": "upper", "password_require_lowercase": "lower", "password_require_number": "digit",
    "password_require_special": "symbol",
}  # fmt: skip
_MAIL = {"from_name": "mail.from_name", "from_address": "mail.from_address", "reply_to_address": "mail.reply_to"}


class SettingsChange(BaseModel):
    """Body of PATCH: null takes a setting back."""

    model_config = ConfigDict(extra="forbid")
    settings: dict[Annotated[str, Field(max_length=200)], Any] = Field(max_length=100)


class AppSettingsBody(BaseModel):
    """Body of PUT: the groups of the SDK; what is not named stays."""

    model_config = ConfigDict(extra="forbid")
    authentication: dict[str, Any] = Field(default={}, max_length=20)
    email: dict[str, Any] = Field(default={}, max_length=20)


class TenantSettingsRoutes:
    """Translates; every rule is in ``tenancy/settings.py`` and ``config/tenants.py``."""

    def __init__(self, settings: TenantSettings, registry: TenantRegistry) -> None:
        self._settings = settings
        self._registry = registry

    def register(self, control: ControlPlane) -> None:
        """The surface on one screen."""
        for method, path, endpoint, name, action in (
            ("GET", ROOT, self.list, "tenant_settings.list", "read"),
            ("PATCH", ROOT, self.change, "tenant_settings.change", "write"),
            ("GET", f"{ROOT}/{{key}}", self.get, "tenant_settings.get", "read"),
            ("DELETE", f"{ROOT}/{{key}}", self.take_back, "tenant_settings.delete", "write"),
            ("GET", APP, self.app, "app_settings.get", "read"),
            ("PUT", APP, self.change_app, "app_settings.put", "write"),
        ):
            control.add(method, path, endpoint, access=Access.SERVICE, limit=ADMIN, name=name, permission=f"tenants:settings:{action}")

    async def list(self, tenant: TenantPath, request: Request) -> JSONResponse:
        """Every setting a tenant can have: value (a secret's is never shown), origin, and whether the caller may change it."""
        found = await self._tenant(tenant, request)
        return JSONResponse({"tenant_id": found.id, "settings": await self._settings.listed(found, self._decider(request))})

    async def get(self, tenant: TenantPath, key: Key, request: Request) -> JSONResponse:
        """One of them."""
        found = await self._tenant(tenant, request)
        for row in await self._settings.listed(found, self._decider(request)):
            if row["key"] == key:
                return JSONResponse(row)
        raise NotFound("No such setting.", code="unknown_setting")

    async def change(self, tenant: TenantPath, body: SettingsChange, request: Request) -> JSONResponse:
        """All or none; in force on the next request."""
        found = await self._tenant(tenant, request)
        changed = await self._change(found, body.settings, request)
        listed = await self._settings.listed(changed, self._decider(request))
        return JSONResponse({"tenant_id": found.id, "settings": [row for row in listed if row["key"] in body.settings]})

    async def take_back(self, tenant: TenantPath, key: Key, request: Request) -> Response:
        """204: the tenant has again what file and variables say."""
        await self._change(await self._tenant(tenant, request), {key: None}, request)
        return Response(status_code=204)

    async def app(self, request: Request) -> JSONResponse:
        """The caller's own tenant, in the groups of the SDK."""
        return JSONResponse(app_settings((await self._settings.of(tenant_of(request, self._registry))).settings))

    async def change_app(self, body: AppSettingsBody, request: Request) -> JSONResponse:
        """What is named changes; the whole as it is then."""
        tenant = await self._settings.of(tenant_of(request, self._registry))
        changed = await self._change(tenant, {**_authentication(tenant.settings, body.authentication), **_mail(body.email)}, request)
        return JSONResponse(app_settings(changed.settings))

    async def _change(self, tenant: Tenant, changes: dict[str, Any], request: Request) -> Tenant:
        values = {key: check_value(key, value) for key, value in changes.items()}
        return await self._settings.change(tenant, values, decider=self._decider(request), actor=actor_of(caller_of(request)))

    def _decider(self, request: Request) -> Decider:
        return Decider.INSTANCE if administers_all(caller_of(request), self._registry.default.id) else Decider.TENANT

    async def _tenant(self, raw: str, request: Request) -> Tenant:
        """The caller's own, or any for the instance's administrators. Raises NotFound, the same for unknown and forbidden."""
        caller = caller_of(request)
        own = self._registry.get(caller.tenant)
        if raw in (own.id, own.slug):
            return own
        if not administers_all(caller, self._registry.default.id):
            raise unknown_tenant()
        return await self._registry.resolve(raw)


def app_settings(config: Config) -> dict[str, Any]:
    """As the SDK has them. ``overrides`` says where a value is from that is not the instance's."""
    auth = config.auth
    return {
        "authentication": {
            **{name: shown(config, key) for name, key in _PLAIN.items()},
            **{name: kind in auth.password_required for name, kind in _CLASSES.items()},
            "session_timeout_minutes": auth.refresh_token_seconds // 60, "max_sessions_per_user": 0,
        },
        "features": {
            "enable_realtime": False, "enable_storage": False, "enable_functions": False, "enable_ai": False, "enable_jobs": False,
            "enable_rpc": True,
        },
        "email": {
            "enabled": not config.mail.is_kept, "provider": "smtp", **{name: shown(config, key) for name, key in _MAIL.items()},
        },
        "security": {"enable_global_rate_limit": config.limits.enabled and config.limits.has_global},
        "overrides": {key: origin for key, origin in config.origins.items() if origin == "database"},
    }  # fmt: skip


def _authentication(config: Config, wanted: dict[str, Any]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    required = set[str](config.auth.password_required)
    for name, value in wanted.items():
        if name in _PLAIN:
            changes[_PLAIN[name]] = value
        elif name in _CLASSES and isinstance(value, bool):
            required = required | {_CLASSES[name]} if value else required - {_CLASSES[name]}
            changes["auth.password_required"] = sorted(required)
        elif name == "session_timeout_minutes" and isinstance(value, int) and not isinstance(value, bool):
            changes["auth.refresh_token_seconds"] = value * 60
        elif not (name == "max_sessions_per_user" and value == 0):
            raise InvalidInput(f"authentication.{name[:100]} cannot be set.", code="unknown_setting")
    return changes


def _mail(wanted: dict[str, Any]) -> dict[str, Any]:
    for name in wanted:
        if name not in _MAIL:
            raise InvalidInput(f"email.{name[:100]} cannot be set.", code="unknown_setting")
    return {_MAIL[name]: value for name, value in wanted.items()}
