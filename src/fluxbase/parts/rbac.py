"""Roles, organisations, teams and keys, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.audit.store import record
from fluxbase.auth.organisations import Organisations
from fluxbase.auth.roles import Roles

if TYPE_CHECKING:
    from fluxbase.app import Program
    from fluxbase.web.control import ControlPlane


def roles(program: Program) -> Roles:
    """The use cases of a tenant's roles."""
    return Roles(program.sessions, program.registry.get, record)


def organisations(program: Program) -> Organisations:
    """The use cases of organisations."""
    return Organisations(program.sessions, program.registry.get, record)


def register_rbac(program: Program, control: ControlPlane) -> None:
    """The routes of roles, organisations and keys."""
    from fluxbase.web.native.auth.keys import KeyRoutes
    from fluxbase.web.native.auth.organisations import OrganisationRoutes
    from fluxbase.web.native.auth.roles import RoleRoutes

    RoleRoutes(roles(program)).register(control)
    KeyRoutes(program.api_keys).register(control)
    OrganisationRoutes(organisations(program)).register(control)
