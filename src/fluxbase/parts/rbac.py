"""Roles, organisations, teams and keys, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.audit.store import record
from fluxbase.auth.organisations import Organisations
from fluxbase.auth.roles import Roles

if TYPE_CHECKING:
    from fluxbase.app import Program
    from fluxbase.web.control import ControlPlane


def register_rbac(program: Program, control: ControlPlane) -> None:
    """The routes of roles, organisations and keys."""
    from fluxbase.web.native.auth.keys import KeyRoutes
    from fluxbase.web.native.auth.organisations import OrganisationRoutes
    from fluxbase.web.native.auth.roles import RoleRoutes

    tenant_of = program.registry.get
    RoleRoutes(Roles(program.sessions, tenant_of, record)).register(control)
    KeyRoutes(program.api_keys).register(control)
    OrganisationRoutes(Organisations(program.sessions, tenant_of, record)).register(control)
