"""Every check that keeps tenants apart, each with the edit that removes it: ``tests/attack/test_tenant_proof_mutants.py`` applies them one by one.

A check in Python is a piece of source and what stands there instead, put into the running module; one in SQL is a statement
that takes it away and one that gives it back. ``tests/meta/test_tenant_checks.py`` finds the comparisons of tenants in the source
and wants each of them here or in EQUIVALENT.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from tests.support.edited import edited
from tests.support.server import Server
from tests.support.tenant import TenantHandle, cluster_sql


@dataclass(frozen=True)
class CodeCheck:
    """A check in Python."""

    module: str
    owner: str
    """Function, or Class.method."""
    text: str
    instead: str
    isolation: str = "database"
    route: str = "rest.table"
    """On which it is noticed that it is gone."""


@dataclass(frozen=True)
class SqlCheck:
    """A check in SQL, in the tenant's database unless ``in_main``. ``{a}``, ``{b}``: the tenants' databases; ``{id_b}``; ``{fdw_a}``; ``{schema_b}``."""

    remove: str
    restore: str
    isolation: str = "database"
    database: str = "b"
    """``a``, ``b``, or the name of a database."""
    section: str = "logins"
    """The part of the proof that notices."""


AUTH = "fluxbase.web.middleware.authenticate"
CODE = {
    "two credentials that disagree": CodeCheck(
        AUTH, "Authenticate._verify", "any(principal.tenant != found[0].tenant for principal in found)", "False"
    ),
    "the header narrows": CodeCheck(AUTH, "Authenticate._verify", "found[0].tenant != context.tenant.id", "False"),
    "the host narrows": CodeCheck(AUTH, "TenantCandidate._by_host", "named.id != tenant.id", "False"),
    "the tenant in a token's claims": CodeCheck("fluxbase.auth.verify", "Verifier._token", 'claims["tenant_id"] != tenant', "False"),
    "the instance's key is the default tenant's": CodeCheck(
        "fluxbase.kernel.permissions", "administers_all", "principal.tenant == instance", "True", route="tenants.get"
    ),
    "nobody passes row security in a shared database": CodeCheck(AUTH, "_as_seen_by", "tenant.is_shared", "False", "row"),
    "claims carry the tenant": CodeCheck("fluxbase.tenancy.shared", "narrowed", 'claims["tenant_id"] = principal.tenant', "pass", "row"),
    "a service key is tenant_service": CodeCheck(
        "fluxbase.tenancy.shared", "narrowed", "TENANT_SERVICE if principal.role == SERVICE_ROLE else principal.role", "SERVICE_ROLE", "row"
    ),
    "whose administrator a key is": CodeCheck(
        "fluxbase.web.native.administered", "Administered.find", "caller.tenant == row.id", "True", route="tenants.get"
    ),
    "the signature of tokens": CodeCheck("fluxbase.auth.verify", "Verifier._token", "not key.verifies(token)", "False"),
}
SQL = {
    "CONNECT on a tenant's database": SqlCheck(
        "grant connect on database {b} to public", "revoke connect on database {b} from public", database="postgres"
    ),
    "CONNECT on the main database": SqlCheck(
        "grant connect on database fluxbase to public", "revoke connect on database fluxbase from public", "row", database="postgres"
    ),
    "the far side asks session_user": SqlCheck(
        "create or replace view shared_export.tenant with (security_barrier = true) as select t.id, t.slug, t.name, t.status, t.metadata, t.created_at "
        "from platform.tenants t where t.id::text = coalesce(nullif(current_setting('app.current_tenant_id', true), ''), '{id_a}')",
        "create or replace view shared_export.tenant with (security_barrier = true) as select t.id, t.slug, t.name, t.status, t.metadata, t.created_at "
        "from platform.tenants t join platform.fdw_logins l on l.tenant_id = t.id where l.login = session_user",
        database="fluxbase",
    ),
    "the register is not the foreign login's": SqlCheck(
        "grant usage on schema platform to {fdw_a}; grant select on platform.tenants to {fdw_a}",
        "revoke select on platform.tenants from {fdw_a}; revoke usage on schema platform from {fdw_a}",
        database="fluxbase",
    ),
    "the foreign login is a member of nothing": SqlCheck(
        "grant authenticated to {fdw_a}", "revoke authenticated from {fdw_a}", database="fluxbase"
    ),
    "foreign tables are no client's": SqlCheck(
        "grant usage on schema shared to authenticated; grant usage on foreign server fluxbase_main to authenticated; "
        "create user mapping for public server fluxbase_main options (user '{fdw_a}', password_required 'false'); "
        "grant select on shared.tenant to authenticated",
        "revoke select on shared.tenant from authenticated; drop user mapping for public server fluxbase_main; "
        "revoke usage on foreign server fluxbase_main from authenticated; revoke usage on schema shared from authenticated",
        database="a",
    ),
    "signing keys are no client's": SqlCheck(
        "grant select on auth.signing_keys to anon", "revoke select on auth.signing_keys from anon", database="a"
    ),
    "activity is no client's": SqlCheck(
        "grant select on pg_stat_activity to authenticated; grant execute on function pg_stat_get_activity(int) to authenticated",
        "revoke select on pg_stat_activity from authenticated; revoke execute on function pg_stat_get_activity(int) from authenticated",
        database="a",
    ),
    "the wall between rows": SqlCheck(
        "do $$ begin execute replace(replace(pg_get_functiondef('fluxbase.keep_rows_apart'::regproc), '(tenant_id = (select auth.tenant_id()))', '(true)'), "
        "'((select auth.tenant_id()) = %L::uuid)', '(%L is not null)'); end $$; "
        "create or replace function fluxbase.tenant_wall(relation oid) returns text language sql stable as $$ select case when exists "
        "(select from pg_policy p where p.polrelid = relation and p.polname = 'fluxbase_tenant') then 'right' else 'missing' end $$",
        "{rows_sql}",
        "row",
    ),
    "the wall around a schema": SqlCheck("{remove_wall}", "{rows_sql}", "schema"),
    "identity in SQL is verified": SqlCheck(
        "alter function fluxbase.verified_claims() rename to verified_claims_shipped; create function fluxbase.verified_claims() returns text "
        "language sql stable security definer as $$ select nullif(current_setting('request.jwt.claims', true), '') $$; "
        "grant execute on function fluxbase.verified_claims() to public",
        "drop function fluxbase.verified_claims(); alter function fluxbase.verified_claims_shipped() rename to verified_claims",
        "row",
    ),
}
EQUIVALENT = {
    (
        "fluxbase/parts/settings.py",
        "again.settings != tenant.settings",
    ): "whether keys are read again; tests/attack/test_tenant_settings.py",
    (
        "fluxbase/data/snapshot_store.py",
        "await self._lineage(tenant) == (epoch, lineage)",
    ): "whether a schema moved while it was read; tests/unit/data/test_snapshot_store.py",
    (
        "fluxbase/data/snapshot_store.py",
        "kept == tenant",
    ): "which snapshots a reload throws away; tests/unit/data/test_snapshot_store.py",
    (
        "fluxbase/parts/settings.py",
        "tenant.id == program.home.id",
    ): "the administrators' own tenant has no settings of its own: tests/attack/test_tenant_settings.py",
    (
        "fluxbase/auth/factors/enforcement.py",
        "tenant.id == self._home",
    ): "which setting speaks, for administrators or for users: tests/attack/test_platform_factors.py",
    (
        "fluxbase/auth/hooks/service.py",
        "tenant.id == self._home",
    ): "administrators are no business of an application's hooks: tests/attack/test_captcha_and_hooks.py",
    (
        "fluxbase/web/middleware/authenticate.py",
        "tenant.id == self._platform.home.id",
    ): "the administrators' own tenant, whose tokens no tenant under proof has: tests/attack/test_platform.py enters with them",
    ("fluxbase/auth/sessions.py", "token.locator != tenant.locator"): "the token's hash is looked up in the tenant's rows alone anyway",
    ("fluxbase/auth/one_time.py", "parsed.locator != tenant.locator"): "the token's hash is looked up in the tenant's rows alone anyway",
    (
        "fluxbase/auth/providers/flows.py",
        "parsed.locator != tenant.locator",
    ): "the state's hash is looked up in the tenant's rows alone anyway",
    (
        "fluxbase/auth/captcha/service.py",
        "(work.tenant, work.flow) != (tenant.id, flow)",
    ): "no data: work done for one tenant is not taken by another",
    ("fluxbase/auth/factors/enforcement.py", "self.mode(tenant, user) != 'policies'"): "a mode of enforcement, no comparison of tenants",
    (
        "fluxbase/web/supabase/auth/factors.py",
        "await self._factors.type_of(tenant, caller, factor) == 'webauthn'",
    ): "a kind of factor, no comparison of tenants",
    ("fluxbase/auth/verify.py", "key.locator != held.ring.locator"): "the hash of the key is looked up in the same tenant's ring anyway",
    ("fluxbase/tenancy/locator.py", "len(locator) == LOCATOR_LENGTH"): "the form of a locator, not whose it is",
    ("fluxbase/web/middleware/authenticate.py", "locator == self._registry.default.locator"): "a look-up without a query",
    (
        "fluxbase/auth/keys.py",
        'tenant.slug == "default"',
    ): "the name of a key id; whose secret it is, the tenant's own settings say (tests/attack/test_tenant_settings.py)",
    (
        "fluxbase/auth/captcha/service.py",
        'tenant.settings.captcha.provider != "recaptcha_v3"',
    ): "a kind of captcha, no comparison of tenants",
    (
        "fluxbase/auth/captcha/service.py",
        'tenant.settings.captcha.provider == "proof_of_work"',
    ): "a kind of captcha, no comparison of tenants",
    ("fluxbase/auth/redirects.py", "url == self.default(tenant)"): "an address of the tenant's settings, no comparison of tenants",
    ("fluxbase/tenancy/registry.py", "tenant.id == self.default.id"): "which entries of the register to replace by what was read again",
    ("fluxbase/tenancy/registry.py", "entry.tenant.id == tenant.id"): "which entries of the register to replace by what was read again",
}
"""Comparisons whose removal alone lets nobody in, and why."""


def without_code(check: CodeCheck) -> AbstractContextManager[None]:
    """The running module has the check edited out."""

    def change(source: str) -> str:
        assert check.text in source, f"{check.text!r} is not in {check.owner} any more"
        return source.replace(check.text, check.instead, 1)

    return edited(check.module, check.owner, change)


def _rows_sql() -> str:
    from importlib.resources import files

    return (files("fluxbase") / "sql" / "tenants" / "rows.sql").read_text()


@contextmanager
def without_sql(check: SqlCheck, server: Server, a: TenantHandle, b: TenantHandle) -> Iterator[None]:
    """The database has the check taken away."""
    from fluxbase.db.tenant_database import fdw_login_name

    wall = SQL["the wall between rows"].remove
    values = {
        "a": a.database, "b": b.database, "id_a": a.id, "id_b": b.id, "fdw_a": fdw_login_name(a.id), "rows_sql": _rows_sql(), "remove_wall": wall,
    }  # fmt: skip
    database = {"a": a.database, "b": b.database}.get(check.database, check.database)

    def run(text: str) -> None:
        for name, value in values.items():
            text = text.replace("{" + name + "}", value)
        cluster_sql(server, database, text)

    run(check.remove)
    try:
        yield
    finally:
        run(check.restore)
