"""The control plane's areas in the order of their routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.parts.account_mails import register_account_mails
from fluxbase.parts.accounts import register_accounts
from fluxbase.parts.factors import captcha_demand, register_factors
from fluxbase.parts.network import session_cookies
from fluxbase.parts.platform import register_platform
from fluxbase.parts.providers import register_providers
from fluxbase.parts.rbac import register_rbac
from fluxbase.parts.settings import register_settings
from fluxbase.parts.tenants import administered_tenants
from fluxbase.web.native.auth.csrf import CsrfRoute
from fluxbase.web.native.tenants import TenantRoutes

if TYPE_CHECKING:
    from fluxbase.app import Program
    from fluxbase.web.control import ControlPlane


def register_areas(program: Program, control: ControlPlane) -> None:
    """Every route of the control plane. The second factors are connected to the gate of sign-ins before a route can be called."""
    control.captcha = captcha_demand(program)
    TenantRoutes(administered_tenants(program)).register(control)
    register_settings(program, control)
    CsrfRoute(session_cookies(program)).register(control)
    gotrue = register_accounts(program, control)
    register_factors(program, control)
    register_providers(program, control, gotrue)
    mailed = register_account_mails(program, control, gotrue)
    register_rbac(program, control)
    register_platform(program, control, mailed)
