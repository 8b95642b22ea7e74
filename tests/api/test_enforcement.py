"""Who must show a second factor: by instance, tenant and role; the strictest counts."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pyotp
import pytest

from fluxbase.auth.factors.enforcement import FactorPolicy
from fluxbase.auth.platform import HOME
from fluxbase.config.factors import Mfa
from fluxbase.kernel.ids import TenantId
from tests.support.accounts import sign_up
from tests.support.second_factor import ROOT, claims, guarded
from tests.support.server import Server, start_server


def pending(settings: Mfa, *, has_factor: bool, role: str = "authenticated", slug: str = "acme", aal: str = "aal1") -> bool:
    """Whether such a session owes a factor."""
    user: Any = SimpleNamespace(role=role, has_second_factor=has_factor)
    tenant: Any = SimpleNamespace(slug=slug, id=TenantId("t"), settings=SimpleNamespace(mfa=settings))
    return FactorPolicy(settings, HOME).is_pending(tenant, user, SimpleNamespace(aal=aal))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "without_factor", "with_factor"),
    [
        (Mfa(), False, True),
        (Mfa(enforcement="policies"), False, False),
        (Mfa(enforcement="required"), True, True),
        (Mfa(tenant_enforcement={"acme": "required"}), True, True),
        (Mfa(tenant_enforcement={"other": "required"}), False, True),
        (Mfa(tenant_enforcement={"acme": "policies"}), False, True),
        (Mfa(enforcement="policies", required_roles=["authenticated"]), True, True),
        (Mfa(enforcement="policies", required_roles=["editor"]), False, False),
    ],
)
def test_the_strictest_counts(settings: Mfa, without_factor: bool, with_factor: bool) -> None:
    """For a user without and with a factor; a session of level aal2 never owes one."""
    assert pending(settings, has_factor=False) is without_factor
    assert pending(settings, has_factor=True) is with_factor
    assert pending(settings, has_factor=True, aal="aal2") is False


@pytest.fixture(scope="module")
def strict() -> Iterator[Server]:
    """Everybody must have a second factor."""
    running = start_server(env={"FLUXBASE_MFA_ENFORCEMENT": "required"})
    running.sql("create table strict_rows (id int); create policy everybody on strict_rows using (true)")
    yield running
    running.stop()


def test_where_it_is_required_a_new_user_can_only_enrol(strict: Server) -> None:
    """Sign-up gives a pending session: no table, but setup and enable; after the first code everything is open."""
    account = sign_up(strict)
    assert claims(account.access)["factor_required"] is True
    assert strict.get("/rest/v1/strict_rows", key=account.access).status_code == 403
    assert strict.request("PATCH", "/api/v1/auth/user", key=account.access, json={}).status_code == 403
    assert account.user().status_code == 200
    user = guarded(strict, account)
    assert strict.get("/rest/v1/strict_rows", key=user.access).status_code == 200


def test_where_it_is_required_nobody_takes_it_off_and_goes_on(strict: Server) -> None:
    """After the reset by an administrator the old token reads nothing, a refreshed one is pending, and a new factor opens again."""
    user = guarded(strict)
    assert strict.post(f"/api/v1/admin/users/{user.account.id}/2fa/reset", key="service").status_code == 200
    assert strict.get("/rest/v1/strict_rows", key=user.access).status_code == 403
    renewed = strict.post("/api/v1/auth/refresh", json={"refresh_token": user.account.refresh}).json()["access_token"]
    assert claims(renewed)["factor_required"] is True
    assert strict.get("/rest/v1/strict_rows", key=renewed).status_code == 403
    made = strict.post(f"{ROOT}/setup", key=renewed, json={}).json()
    done = strict.post(f"{ROOT}/enable", key=renewed, json={"code": pyotp.TOTP(made["totp"]["secret"]).now()})
    assert strict.get("/rest/v1/strict_rows", key=done.json()["access_token"]).status_code == 200
