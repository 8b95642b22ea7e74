"""A tenant's administrator as the enemy (threats A4, A5, B30): with his service key and his own signing secret he reaches nobody else.

What crosses credentials and ids on every route is the proof (test_tenant_proof.py); here is what only somebody would try
who knows the program: names of system schemas, settings of the machine, roles and claims that he signs himself.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.support.server import Server
from tests.support.tenant import TenantHandle, cluster_sql, make_tenants

SECRET = "a secret that only this tenant's administrator knows, 48 letters"
ISOLATIONS = ("database", "schema", "row")
SCHEMAS = ("platform", "auth", "fluxbase", "audit", "shared", "shared_export", "extensions", "pg_catalog", "information_schema", "pg_temp")
Pair = tuple[TenantHandle, TenantHandle]


@pytest.fixture(scope="module")
def pairs(server: Server) -> Iterator[dict[str, Pair]]:
    """The enemy and another tenant of each strength, with a table of the same name and a canary in the other's."""
    made = make_tenants(server, *((f"{side}-{kind}", kind) for kind in ISOLATIONS for side in ("hostile", "other")))
    for tenant in made:
        tenant.sql(f"set role fluxbase_owner; set search_path = {tenant.schema}; create table if not exists ledger (text text)")
        tenant.sql(
            f"set search_path = {tenant.schema}; drop policy if exists everybody on ledger; create policy everybody on ledger using (true)"
        )
        names, values = (
            ("text, tenant_id", f"'{canary(tenant)}', '{tenant.id}'")
            if tenant.keys["isolation"] == "row"
            else ("text", f"'{canary(tenant)}'")
        )
        tenant.sql(f"insert into {tenant.schema}.ledger ({names}) values ({values})")
    for hostile in made[::2]:
        changed = ask(server, hostile, "PATCH", f"/api/v1/admin/tenants/{hostile.id}/settings", {"settings": {"auth.jwt_secret": SECRET}})
        assert changed.status_code == 200, changed.text
    yield dict(zip(ISOLATIONS, zip(made[::2], made[1::2], strict=True), strict=True))
    for tenant in made:
        server.request("DELETE", f"/api/v1/admin/tenants/{tenant.id}?hard=true", key="service")


def canary(tenant: TenantHandle) -> str:
    """Stands in this tenant alone."""
    return f"canary of {tenant.id}"


def signed(claims: dict[str, Any]) -> str:
    """By the enemy's own secret."""
    return jwt.encode({"alg": "HS256", "typ": "JWT"}, claims, OctKey.import_key(SECRET), algorithms=["HS256"])


def bearer(claims: dict[str, Any], named: TenantHandle) -> dict[str, str]:
    """Headers with such a token for a tenant."""
    return {"authorization": f"Bearer {signed(claims)}", "x-fb-tenant": str(named.keys["slug"])}


def ask(server: Server, tenant: TenantHandle, method: str, path: str, body: object = None, **headers: str) -> Any:
    """A request with the tenant's service key."""
    return server.request(method, path, key=str(tenant.keys["service_key"]), json=body, headers=headers)


def register(server: Server) -> list[tuple[Any, ...]]:
    """What stands of all tenants, their settings and administrators in the main database."""
    return cluster_sql(
        server, "fluxbase",
        "select (select md5(string_agg(t::text, ',' order by id)) from (select id, slug, name, db_name, status, metadata, hosts, isolation, deleted_at "
        "from platform.tenants) t), (select count(*) from platform.tenant_settings), (select count(*) from platform.invitations), "
        "(select count(*) from platform.tenant_admins)",
    )  # fmt: skip


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("schema", SCHEMAS)
def test_no_system_schema_is_served(server: Server, pairs: dict[str, Pair], isolation: str, schema: str) -> None:
    """Neither dialect has a table or function of one, whatever the name of the schema is sent in."""
    hostile, _ = pairs[isolation]
    profile = {"accept-profile": schema, "content-profile": schema}
    for method, path, headers in (
        ("GET", "/rest/v1/tenants", profile), ("GET", "/rest/v1/users", profile), ("POST", "/rest/v1/rpc/verified_claims", profile),
        ("GET", f"/api/v1/tables/{schema}/tenants", {}), ("GET", f"/api/v1/tables/{schema}/users", {}),
        ("POST", f"/api/v1/rpc/{schema}/verified_claims", {}),
    ):  # fmt: skip
        answer = ask(server, hostile, method, path, {} if method == "POST" else None, **headers)
        assert answer.status_code in {400, 404, 406}, (method, path, answer.text)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_the_others_schema_is_not_named(server: Server, pairs: dict[str, Pair], isolation: str) -> None:
    """By the name of its schema, in both dialects: refused, or the caller's own rows."""
    hostile, other = pairs[isolation]
    for path, headers in (("/rest/v1/ledger", {"accept-profile": other.schema}), (f"/api/v1/tables/{other.schema}/ledger", {})):
        answer = ask(server, hostile, "GET", path, **headers)
        assert canary(other) not in answer.text
        assert answer.status_code in ({200} if other.schema == hostile.schema else {404, 406}), answer.text


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_what_he_signs_himself_is_good_at_home(server: Server, pairs: dict[str, Pair], isolation: str) -> None:
    """The control of the next test: such a token is read, and shows his own rows."""
    hostile, _ = pairs[isolation]
    answer = server.get("/rest/v1/ledger", key=None, headers=bearer({"role": "service_role", "exp": int(time.time()) + 600}, hostile))
    assert answer.json()[0]["text"] == canary(hostile)


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize(
    "claims",
    [
        {"role": "service_role"}, {"role": "service_role", "iss": "x"}, {"role": "fluxbase_system"}, {"role": "fluxbase_owner"},
        {"role": "tenant_service"}, {"role": "postgres"}, {"role": "instance_admin"}, {"role": "tenant_admin", "platform_session": "x"},
        {"role": "service_role", "sub": str(uuid.UUID(int=7)), "aud": "authenticated"},
        {"role": "instance_admin", "sub": str(uuid.UUID(int=7)), "aud": "authenticated", "session_id": str(uuid.UUID(int=8))},
        {"role": "authenticated", "sub": str(uuid.UUID(int=7)), "aud": "authenticated", "impersonated_by": "instance", "is_platform": True},
        {"role": "authenticated", "sub": str(uuid.UUID(int=7)), "aud": "authenticated", "permissions": ["*:*:*"], "app_metadata": {"role": "x"}},
    ],
    ids=lambda claims: "-".join(map(str, claims.values()))[:60],
)  # fmt: skip
def test_what_he_signs_himself_is_of_his_own_tenant(server: Server, pairs: dict[str, Pair], isolation: str, claims: dict[str, Any]) -> None:
    """Whatever role or right the claims have: the other's rows, the register and the other's settings stay out of reach."""
    hostile, other = pairs[isolation]
    before = register(server)
    expires = {"exp": int(time.time()) + 600, "iat": int(time.time())}
    for named in (hostile, other):
        for more in ({}, {"tenant_id": hostile.id}, {"tenant_id": other.id}):
            rows = server.get("/rest/v1/ledger", key=None, headers=bearer({**claims, **expires, **more}, named))
            assert canary(other) not in rows.text
            assert 400 <= rows.status_code < 500 or (rows.status_code == 200 and named is hostile and more != {"tenant_id": other.id})
    for method, path, body in (
        ("GET", "/api/v1/admin/tenants", None), ("POST", "/api/v1/admin/tenants", {"slug": "made-by-hostile", "isolation": "row"}),
        ("GET", f"/api/v1/admin/tenants/{other.id}", None), ("DELETE", f"/api/v1/admin/tenants/{other.id}", None),
        ("PATCH", f"/api/v1/admin/tenants/{other.id}/settings", {"settings": {"mail.app_name": "x"}}),
        ("GET", "/api/v1/admin/me", None), ("GET", "/api/v1/admin/status", None),
        ("POST", "/api/v1/admin/invitations", {"email": "enemy@example.com", "role": "instance_admin"}),
    ):  # fmt: skip
        answer = server.request(method, path, key=None, json=body, headers=bearer({**claims, **expires}, hostile))
        assert 400 <= answer.status_code < 500, (method, path, answer.text)
    assert register(server) == before


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/v1/admin/invitations", {"email": "enemy@example.com", "role": "instance_admin"}),
        ("PATCH", "/api/v1/admin/tenants/{own}", {"hosts": ["{other_slug}.example.com"]}),
        ("PATCH", "/api/v1/admin/tenants/{own}", {"slug": "{other_slug}"}),
        ("PATCH", "/api/v1/admin/tenants/{own}", {"db_name": "fluxbase"}),
        ("PATCH", "/api/v1/admin/tenants/{own}", {"isolation": "database"}),
        ("DELETE", "/api/v1/admin/tenants/{own}", None),
        ("POST", "/api/v1/admin/tenants/{own}/thaw", None),
        ("POST", "/api/v1/admin/tenants/{own}/migrate", None),
        ("POST", "/api/v1/admin/tenants/{own}/admins", {"user_id": str(uuid.UUID(int=7)), "role": "instance_admin"}),
        *(
            ("PATCH", "/api/v1/admin/tenants/{own}/settings", {"settings": {key: value}})
            for key, value in {
                "mail.smtp_host": "127.0.0.1", "mail.smtp_ca_file": "/etc/passwd", "hooks.before_sign_in": "http://127.0.0.1/", "captcha.verify_url":
                "http://127.0.0.1/", "database.pool_size": 1000, "server.port": 1, "data_dir": "/", "master_key": "x", "tenants.max_tenants": 1,
                "data.schemas": ["platform"], "limits.enabled": False, "auth.jwt_secret_file": "/etc/passwd",
            }.items()
        ),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_the_machine_and_the_register_are_not_his(
    server: Server, pairs: dict[str, Pair], isolation: str, method: str, path: str, body: Any
) -> None:
    """Settings that leave the tenant, members of his line that name the database, administrators of the instance: refused, nothing changes."""
    hostile, other = pairs[isolation]
    before = register(server)
    text = str(other.keys["slug"])
    filled = (
        None
        if body is None
        else {name: [text + ".example.com"] if name == "hosts" else text if name == "slug" else value for name, value in body.items()}
    )
    answer = ask(server, hostile, method, path.format(own=hostile.id), filled)
    assert answer.status_code in {400, 403, 404, 405}, answer.text
    assert "root:" not in answer.text
    assert register(server) == before
