"""Which caller may use a route: access, kind of credential, scope, and permissions held by roles."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fluxbase.kernel.access import Access
from fluxbase.kernel.errors import Forbidden, InvalidInput, Unauthenticated
from fluxbase.kernel.ids import ANON, AUTHENTICATED, SERVICE_ROLE, TENANT_SERVICE, TenantId, UserId
from fluxbase.kernel.permissions import PERMISSIONS, authorise, check_permission_name, covers
from fluxbase.kernel.principal import CredentialKind, Principal

MAIN, OTHER = TenantId("main"), TenantId("other")
NOBODY = Principal(MAIN, ANON, CredentialKind.NONE, "{}")
ANON_KEY = Principal(MAIN, ANON, CredentialKind.KEY, "{}")
SERVICE = Principal(MAIN, SERVICE_ROLE, CredentialKind.KEY, "{}")
USER = Principal(MAIN, AUTHENTICATED, CredentialKind.ACCESS_TOKEN, "{}", user_id=UserId("u"))
CLIENT_KEY = Principal(MAIN, AUTHENTICATED, CredentialKind.CLIENT_KEY, "{}", user_id=UserId("u"), scopes=frozenset({"tables:read"}))
INSTANCE_ADMIN = Principal(MAIN, SERVICE_ROLE, CredentialKind.PLATFORM_TOKEN, "{}", platform_role="instance_admin")
TENANT_ADMIN = replace(INSTANCE_ADMIN, platform_role="tenant_admin")


def may(access: Access, permission: str, principal: Principal | None) -> bool:
    """Whether Authorise lets him in."""
    try:
        authorise(access, PERMISSIONS[permission] if permission else None, principal, address="203.0.113.1", instance=MAIN)
    except (Forbidden, Unauthenticated):
        return False
    return True


@pytest.mark.parametrize(
    ("access", "permission", "allowed"),
    [
        (Access.OPTIONAL, "tables:rows:read", {"NOBODY", "ANON_KEY", "SERVICE", "USER", "CLIENT_KEY", "INSTANCE_ADMIN", "TENANT_ADMIN"}),
        (Access.CREDENTIAL, "tables:rows:read", {"ANON_KEY", "SERVICE", "USER", "CLIENT_KEY", "INSTANCE_ADMIN", "TENANT_ADMIN"}),
        (Access.CREDENTIAL, "tables:rows:write", {"ANON_KEY", "SERVICE", "USER", "INSTANCE_ADMIN", "TENANT_ADMIN"}),
        (Access.USER, "", {"USER"}),
        (Access.SERVICE, "tenants:own:read", {"SERVICE", "INSTANCE_ADMIN", "TENANT_ADMIN"}),
        (Access.INSTANCE, "tenants:tenants:read", {"SERVICE", "INSTANCE_ADMIN"}),
        (Access.SERVICE, "", {"SERVICE"}),
        (Access.LOOPBACK, "", set()),
    ],
)
def test_who_is_let_in(access: Access, permission: str, allowed: set[str]) -> None:
    """Each kind of caller, on each kind of route."""
    callers = ("NOBODY", "ANON_KEY", "SERVICE", "USER", "CLIENT_KEY", "INSTANCE_ADMIN", "TENANT_ADMIN")
    assert {name for name in callers if may(access, permission, globals()[name])} == allowed


def test_a_role_lets_a_user_administer_what_it_holds() -> None:
    """The permission itself or a pattern that covers it; never another, and never an instance-wide route."""
    assert may(Access.SERVICE, "tenants:own:read", replace(USER, permissions=frozenset({"tenants:*:read"})))
    assert not may(Access.SERVICE, "tenants:own:read", replace(USER, permissions=frozenset({"tenants:*:write"})))
    assert not may(Access.INSTANCE, "tenants:tenants:read", replace(USER, permissions=frozenset({"*:*:*"})))


def test_a_tenants_service_key_ends_at_the_tenant() -> None:
    """Its own tenant only, and in a shared database as tenant_service too."""
    assert may(Access.SERVICE, "tenants:own:read", replace(SERVICE, tenant=OTHER, role=TENANT_SERVICE))
    assert not may(Access.INSTANCE, "tenants:tenants:read", replace(SERVICE, tenant=OTHER))


def test_a_key_needs_the_scope_or_all_of_them() -> None:
    """A key with scopes is refused where its scope is not asked for, a star passes."""
    assert not may(Access.CREDENTIAL, "rpc:functions:execute", CLIENT_KEY)
    assert may(Access.CREDENTIAL, "rpc:functions:execute", replace(CLIENT_KEY, scopes=frozenset({"*"})))
    assert not may(Access.CREDENTIAL, "", CLIENT_KEY)


def test_patterns_cover_part_by_part() -> None:
    """A star is one whole part; shorter or longer names are others."""
    assert covers({"orders:*:read"}, "orders:order:read")
    assert not covers({"orders:*:read"}, "orders:order:write")
    assert not covers({"orders:*"}, "orders:order:read")
    assert not covers({"*:*:*"}, "orders")


@pytest.mark.parametrize("text", ["", "a:b", "a:b:c:d", "A:b:c", "a:b:", "a::c", "a:b:c\n", "a:b:*c", "a:b:c "])
def test_what_is_no_permission_is_refused(text: str) -> None:
    """Three parts of lower-case words or a star, nothing else."""
    with pytest.raises(InvalidInput):
        check_permission_name(text)
