"""Who may use which route, with what, and no longer than the credential holds (invariants 5 and 8)."""

from __future__ import annotations

import pytest

from tests.attack.test_revocation import claim
from tests.support.server import Server

ADMIN = "/api/v1/admin/status"


def deny(server: Server, key: str) -> None:
    """What every end of a credential writes."""
    server.root_sql(f"insert into auth.denylist (key, reason) values ('{key}', 'test')")


def allow(server: Server, key: str) -> None:
    """Take it back."""
    server.root_sql(f"delete from auth.denylist where key = '{key}'")


def test_a_denied_key_is_refused_by_the_control_plane(server: Server) -> None:
    """The instance's own service key, verified and cached a moment ago, gets nothing of an administrator's route."""
    denied = f"jti:{claim(server.service_key, 'jti')}"
    assert server.get(ADMIN, key="service").status_code == 200
    deny(server, denied)
    try:
        assert server.get(ADMIN, key="service").status_code == 401
        assert server.post("/api/v1/admin/tenants", key="service", json={"slug": "made-by-a-denied-key"}).status_code == 401
    finally:
        allow(server, denied)
    assert server.get(ADMIN, key="service").status_code == 200


@pytest.mark.twin("control-plane:standing")
def test_twin_that_does_not_ask_lets_it_in(twin: Server) -> None:
    """Without the question the denied key administers."""
    denied = f"jti:{claim(twin.service_key, 'jti')}"
    deny(twin, denied)
    try:
        assert twin.get(ADMIN, key="service").status_code == 401
        assert twin.get(ADMIN, key="service", headers={"x-twin-without": "control-plane:standing"}).status_code == 200
    finally:
        allow(twin, denied)


def test_a_frozen_instance_can_be_thawed(server: Server) -> None:
    """Frozen, only what concerns every tenant is served; the key that froze it thaws it."""
    assert server.post("/api/v1/admin/tenants/default/freeze", key="service").status_code == 200
    try:
        assert server.get("/api/v1/admin/tenants/mine", key="service").status_code == 503
    finally:
        assert server.post("/api/v1/admin/tenants/default/thaw", key="service").status_code == 200
    assert server.get("/api/v1/admin/tenants/mine", key="service").status_code == 200
