"""What may be done, by which kind of credential: one line a permission, and every route names one (DESIGN invariant 8).

A name is ``area:resource:action``. ``Access`` of a route says who (everybody, a user, a tenant's administrator, the
instance's); the permission says with what: a kind of credential that is not listed is refused although its owner might,
and a key with scopes needs the permission's ``scope``. Absent is least: a route without a permission takes plain keys
and tokens, never a scoped key. A tenant's own roles (``auth.roles``) hold permissions by these names and by names of the
application's own; ``*`` stands for any one part. docs/permissions.md is written from this table and the running routes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxbase.kernel.access import Access
from fluxbase.kernel.errors import Forbidden, InvalidInput, Unauthenticated
from fluxbase.kernel.ids import SERVICE_ROLE, TENANT_SERVICE
from fluxbase.kernel.principal import CredentialKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fluxbase.kernel.ids import TenantId
    from fluxbase.kernel.principal import Principal

_KIND = CredentialKind
ANY_KIND = frozenset(CredentialKind)
ISSUED = frozenset({_KIND.CLIENT_KEY, _KIND.SERVICE_KEY})
"""May be limited to some tables, which a description of the role does not know."""
PLAIN = frozenset({_KIND.ACCESS_TOKEN, _KIND.KEY, _KIND.EXTERNAL_TOKEN})
"""What a route without a permission takes."""
USERS = frozenset({_KIND.ACCESS_TOKEN})
OWNERS = frozenset({_KIND.ACCESS_TOKEN, _KIND.KEY, _KIND.SERVICE_KEY, _KIND.PLATFORM_TOKEN})
"""Whoever administers a tenant: a user by role, its service key, a platform administrator."""
INSTANCE = frozenset({_KIND.KEY, _KIND.SERVICE_KEY, _KIND.PLATFORM_TOKEN})
PLATFORM = frozenset({_KIND.PLATFORM_TOKEN})
_OPEN_TO_IMPERSONATORS = frozenset({"tables:rows:write", "rpc:functions:execute", "auth:impersonation:stop"})
_OPEN = frozenset({Access.PUBLIC, Access.ENTRY})
_OF_USERS = frozenset({Access.USER, Access.PENDING})
_OF_ANY_CREDENTIAL = frozenset({Access.OPTIONAL, Access.CREDENTIAL})
_LOOPBACK, _OPTIONAL, _NONE = Access.LOOPBACK, Access.OPTIONAL, _KIND.NONE  # Python 3.11 looks an enumeration's member up in Python
ALL_SCOPES = "*"
OUTSIDE = "outside"
"""What a platform administrator is who has entered no tenant."""


@dataclass(frozen=True, slots=True)
class Permission:
    """One thing that may be done."""

    name: str
    kinds: frozenset[CredentialKind]
    about: str
    scope: str = ""
    """What a key with scopes must carry; empty: only ``*`` will do."""
    is_outside: bool = False
    """Whether a platform administrator who has entered no tenant may do it."""


PERMISSIONS: dict[str, Permission] = {
    item.name: item
    for item in (
        Permission("tables:rows:read", ANY_KIND, "Read rows that a policy shows.", "tables:read"),
        Permission("tables:rows:write", ANY_KIND, "Write rows that a policy allows.", "tables:write"),
        Permission("rpc:functions:read", ANY_KIND, "List functions and read one's own executions.", "rpc:read"),
        Permission("rpc:functions:execute", ANY_KIND, "Call a function that the role may execute.", "rpc:execute"),
        Permission("auth:roles:read", OWNERS, "Roles of the tenant, and who has them."),
        Permission("auth:roles:write", OWNERS, "Make, change, delete, assign roles; never more than one's own."),
        Permission("keys:client:read", OWNERS, "One's own client keys; an administrator's: all of the tenant.", "clientkeys:read"),
        Permission("keys:client:write", OWNERS, "Make, change, revoke them.", "clientkeys:write"),
        Permission("keys:service:read", INSTANCE, "Named service keys of the tenant."),
        Permission("keys:service:write", INSTANCE, "Make, change, rotate, revoke them."),
        Permission("auth:impersonation:start", USERS | PLATFORM, "Act as a user, as anon, as the service role; never as an administrator."),
        Permission("auth:impersonation:stop", USERS | PLATFORM, "See and end one's own impersonation."),
        Permission("auth:impersonation:read", OWNERS, "The record of impersonations."),
        Permission("platform:account:use", PLATFORM, "A platform administrator's own account.", is_outside=True),
        Permission("platform:invitations:read", INSTANCE, "Invitations of administrators into the tenant."),
        Permission("platform:invitations:write", INSTANCE, "Invite administrators, withdraw invitations."),
        Permission("tenants:admins:read", INSTANCE, "Administrators of a tenant one administers.", is_outside=True),
        Permission("tenants:admins:write", INSTANCE, "Assign them.", is_outside=True),
        Permission("orgs:organisations:use", OWNERS, "Organisations one is a member of; what may be done there their roles say."),
        Permission("auth:factors:manage", OWNERS, "Look at, name and take away second factors and passkeys of users."),
        Permission("docs:schema:read", ANY_KIND - ISSUED, "The OpenAPI document of what the credential's role may use."),
        Permission("auth:session:begin", ANY_KIND, "Sign up, sign in, refresh.", "auth:write"),
        Permission("auth:account:read", USERS, "One's own account and sessions."),
        Permission("auth:account:write", USERS, "Change one's own account, end one's own sessions."),
        Permission("auth:users:read", OWNERS, "List and read the accounts of the tenant.", "auth:read"),
        Permission("auth:users:write", OWNERS, "Make, change, ban and delete accounts, and end their sessions.", "auth:write"),
        Permission("auth:provider:use", ANY_KIND, "Begin and finish a sign-in through an identity provider.", "auth:write"),
        Permission("auth:identity:write", USERS, "Link and unlink one's own identities, use the provider's tokens."),
        Permission("auth:settings:read", ANY_KIND, "What may be known before a sign-in.", "auth:read"),
        Permission("instance:status:read", INSTANCE, "Version, up-time and connections of the server."),
        Permission("tenants:own:read", OWNERS, "The tenants the credential administers.", is_outside=True),
        Permission("tenants:own:write", OWNERS, "Name and metadata of a tenant one administers.", is_outside=True),
        Permission("tenants:settings:read", OWNERS, "What the tenant has otherwise than the instance; never a secret's value."),
        Permission("tenants:settings:write", OWNERS, "Change it, as far as the instance lets its tenants decide."),
        Permission("tenants:tenants:read", INSTANCE, "The register of tenants."),
        Permission("tenants:tenants:create", INSTANCE, "Make a tenant."),
        Permission("tenants:tenants:update", INSTANCE, "Rename, migrate, repair, freeze, recover a tenant."),
        Permission("tenants:tenants:delete", INSTANCE, "Delete a tenant, softly or for good."),
    )
}
_PART = r"(?:[a-z][a-z0-9_-]{0,62}|\*)"
_NAME = re.compile(rf"{_PART}:{_PART}:{_PART}", re.ASCII)


def permission_of(name: str) -> Permission | None:
    """The permission a route names; None for none. Raises KeyError for a name that is not in the table."""
    return PERMISSIONS[name] if name else None


def check_permission_name(text: str) -> str:
    """A permission as a role may hold it: ``area:resource:action``, each part a word or ``*``. Raises InvalidInput."""
    if not _NAME.fullmatch(text):
        raise InvalidInput("Not a permission.", code="bad_permission", hint="area:resource:action, in lower case; * for any one part.")
    return text


def covers(held: Iterable[str], wanted: str) -> bool:
    """Whether one of the held permissions is the wanted one; ``*`` in a held one stands for any one part."""
    parts = wanted.split(":")
    return any(
        all(mine in ("*", part) for mine, part in zip(pattern, parts, strict=True))
        for pattern in (text.split(":") for text in held)
        if len(pattern) == len(parts)
    )


def authorise(access: Access, permission: Permission | None, principal: Principal | None, *, address: str, instance: TenantId) -> None:
    """Raises Unauthenticated or Forbidden unless this caller may use a route with this access and permission."""
    if access in _OPEN:
        return
    if access is _LOOPBACK:
        if address not in {"127.0.0.1", "::1"}:
            raise Forbidden("Only callers on this machine.", code="loopback_only")
        return
    if principal is None or principal.credential is _NONE:
        if access is _OPTIONAL:
            return
        raise Unauthenticated("A credential is required.", code="missing_credential")
    _check_credential(permission, principal)
    if principal.platform_role == OUTSIDE and not (permission and permission.is_outside):
        raise Forbidden("Name a tenant that you administer.", code="no_tenant_named", hint="X-FB-Tenant: its id or slug.")
    if principal.is_pending and access is not Access.PENDING:
        raise Forbidden("Show your second factor first.", code="insufficient_aal")
    if principal.user_id is None and access in _OF_USERS:
        raise Forbidden("A signed-in user is required.", code="user_required")
    if principal.impersonated_by is not None and not is_open_to_impersonators(permission):
        raise Forbidden("Whoever impersonates changes nobody's account and makes nothing that outlives it.", code="is_impersonating")
    if access in _OF_ANY_CREDENTIAL:
        return
    if access is Access.PLATFORM and principal.platform_role is None:
        raise Forbidden("A platform administrator is required.", code="platform_required")
    if access is Access.SERVICE and not (administers(principal) or (permission and covers(principal.permissions, permission.name))):
        raise Forbidden("An administrator of the tenant is required.", code="service_role_required")
    if access is Access.INSTANCE and not administers_all(principal, instance):
        raise Forbidden("Only the instance's own administrators may do this.", code="instance_required")


def is_open_to_impersonators(permission: Permission | None) -> bool:
    """Rows, functions and what is read; by no route what would outlive the impersonation or change whose account it is (threat B20)."""
    return permission is not None and (permission.name.endswith(":read") or permission.name in _OPEN_TO_IMPERSONATORS)


def _check_credential(permission: Permission | None, principal: Principal) -> None:
    kinds = PLAIN if permission is None else permission.kinds
    if principal.credential not in kinds:
        raise Forbidden("This kind of credential may not be used here.", code="credential_kind")
    if principal.scopes is None or ALL_SCOPES in principal.scopes:
        return
    scope = "" if permission is None else permission.scope
    if scope not in principal.scopes:
        raise Forbidden("The key has not the scope for this.", code="scope_missing", details={"scope": scope or ALL_SCOPES})


def administers(principal: Principal) -> bool:
    """Whether the caller administers the whole of its tenant, whatever its roles hold."""
    if principal.platform_role is not None:
        return principal.platform_role in ("instance_admin", "tenant_admin")
    return principal.role in (SERVICE_ROLE, TENANT_SERVICE)


def administers_all(principal: Principal, instance: TenantId) -> bool:
    """Whether the caller administers the instance, and with it every tenant."""
    if principal.platform_role is not None:
        return principal.platform_role == "instance_admin"
    return principal.role == SERVICE_ROLE and principal.tenant == instance
