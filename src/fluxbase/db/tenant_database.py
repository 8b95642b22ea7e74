"""A tenant's own database, step by step: made from a template, closed to everybody else, linked to the main one.

Every step may be run again; a process that died between two of them leaves nothing that the next run cannot finish.
Database and login names are made of the tenant's UUID, so the catalogue, which every login can read, tells no slug.
Blocking (psycopg): callers run it in a thread.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from fluxbase.db.conninfo import with_database
from fluxbase.db.provision import (
    EVENT_TRIGGERS,
    OWNER_LOGIN,
    SYSTEM_LOGIN,
    derive_quickly,
    login_name,
    migration_files,
    provision,
)
from fluxbase.db.user_migrations import apply_pending
from fluxbase.kernel.errors import Conflict
from fluxbase.kernel.ids import CLIENT_ROLES, TENANT_SERVICE, DatabaseName

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fluxbase.config.model import Data
    from fluxbase.kernel.ids import TenantId
    from fluxbase.kernel.secret import Secret

_TEMPLATE_LOCK = 0x666C7579
_ROLES_LOCK = 0x666C757A
_SHARED_TRIGGERS = [*(name for name, _, _ in EVENT_TRIGGERS), "fluxbase_shared_ddl"]
SERVER = "fluxbase_main"


def database_name(tenant: TenantId) -> str:
    """``t_<32 hex digits>``."""
    return "t_" + tenant.replace("-", "")


def fdw_login_name(tenant: TenantId) -> str:
    """The whole UUID: two tenants can never share a login (threat F57)."""
    return "fdw_" + tenant.replace("-", "")


@dataclass(frozen=True, slots=True)
class TenantDatabases:
    """The databases of all tenants of one PostgreSQL; implements ``tenancy/ports.py``."""

    admin_conninfo: str
    main: str
    settings: Data
    login_secret: Callable[[str], Secret]
    login_conninfo: Callable[[str, str], str]
    """Of one of our own logins in a database."""
    migrations: Path
    _ready: set[str] = field(default_factory=set[str])
    """Shared databases that were found, or made, as this code makes them."""

    def create(self, database: DatabaseName, *, is_shared: bool) -> None:
        """From the template of this version and these migrations, which is made when it is missing."""
        if is_shared and self._is_shared_ready(database):
            return
        template = self._template_name()
        make_template(self.admin_conninfo, template, lambda: self._fill_template(template))
        create_database(self.admin_conninfo, database, template)
        if is_shared:  # before its first table gets a row
            self.prepare(database, is_shared=True)

    def prepare(self, database: DatabaseName, *, is_shared: bool) -> None:
        """Kernel, identity key and logins. One at a time: roles belong to the whole cluster."""
        if database in self._ready:
            return
        with psycopg.connect(with_database(self.admin_conninfo, "postgres"), autocommit=True) as connection:
            connection.execute("select pg_advisory_lock(%s)", (_ROLES_LOCK,))
            self._provision(database, with_logins=True, is_shared=is_shared)
            if is_shared:
                with psycopg.connect(with_database(self.admin_conninfo, database)) as shared:
                    shared.execute(_rows_sql())
                    shared.execute("update fluxbase.shared_rows set digest = %s", (self._shared_digest(),))
                self._ready.add(database)

    def identify(self, database: DatabaseName, tenant: TenantId, *, is_shared: bool, schema: str | None = None) -> None:
        """Whose it is; a schema of its own in a shared database."""
        if schema is not None:
            with psycopg.connect(with_database(self.admin_conninfo, database)) as connection:
                connection.execute("select fluxbase.make_tenant_schema(%s, %s)", (schema, tenant))
        if not is_shared:
            identify(self.admin_conninfo, database, tenant)

    def link(self, database: DatabaseName, tenant: TenantId, *, is_shared: bool) -> None:
        """The foreign server and its login; a shared database has none, since a server's login is one tenant's."""
        if not is_shared:
            link(self.admin_conninfo, self.main, database, tenant, self.login_secret(fdw_login_name(tenant)))

    def migrate(self, database: DatabaseName, *, schema: str | None = None) -> int:
        """The user's own migrations, into the schema when one is named; how many were applied."""
        if not self.migrations.is_dir():
            return 0
        conninfo = self.login_conninfo(OWNER_LOGIN, database)
        if schema is None:
            return len(apply_pending(conninfo, self.migrations))
        return len(
            apply_pending(make_conninfo(conninfo, options=f"-c search_path={schema},extensions"), self.migrations, prefix=f"{schema}:")
        )

    def drop(self, database: DatabaseName, tenant: TenantId, *, is_shared: bool) -> None:
        """Database and logins; in a shared one the tenant's rows and keys."""
        if is_shared:
            if is_ours(self.admin_conninfo, database):
                with psycopg.connect(with_database(self.admin_conninfo, database)) as connection:
                    connection.execute("select fluxbase.delete_tenant_rows(%s)", (tenant,))
        else:
            drop(self.admin_conninfo, self.main, database, tenant, self.settings.custom_roles)

    def _roles(self, *, is_shared: bool) -> list[str]:
        """Client roles beside the built-in ones. In a shared database a service key is ``tenant_service``, which obeys policies."""
        return [*self.settings.custom_roles, *([TENANT_SERVICE] if is_shared else [])]

    def _fill_template(self, template: str) -> None:
        self._provision(template, with_logins=False, is_shared=False)
        with psycopg.connect(with_database(self.admin_conninfo, template)) as connection:
            _foreign_data(connection)
        self.migrate(DatabaseName(template))
        with psycopg.connect(with_database(self.admin_conninfo, template)) as connection:
            connection.execute("update fluxbase.provisioned set template = gen_random_uuid()")
            _note_unchanged(connection)

    def _is_shared_ready(self, database: str) -> bool:
        """Whether the shared database is what this code makes of it: then a new tenant in it costs no DDL, which would move its epoch."""
        try:
            with psycopg.connect(with_database(self.admin_conninfo, database)) as connection:
                if connection.execute("select to_regclass('fluxbase.shared_rows')").fetchone() == (None,):
                    return False
                done = connection.execute(
                    "select to_jsonb(s) ->> 'digest', (select count(*) from pg_event_trigger where evtname = any(%s) and evtenabled = 'A') "
                    "from fluxbase.shared_rows s",
                    (_SHARED_TRIGGERS,),
                ).fetchone()
        except psycopg.OperationalError:
            return False
        if done != (self._shared_digest(), len(_SHARED_TRIGGERS)):
            return False
        self._ready.add(database)
        return True

    def _shared_digest(self) -> str:
        """Of everything that goes into it: our SQL, settings, passwords of its logins."""
        passwords = [self.login_secret(login).reveal() for login in (SYSTEM_LOGIN, OWNER_LOGIN)]
        return hashlib.sha256("\0".join([self._template_name(), _rows_sql().decode(), *passwords]).encode()).hexdigest()

    def _provision(self, database: str, *, with_logins: bool, is_shared: bool) -> None:
        provision(
            with_database(self.admin_conninfo, database), exposed_schemas=self.settings.schemas,
            open_relations=self.settings.open_relations,
            custom_roles=self._roles(is_shared=is_shared), login_secret=self.login_secret, with_logins=with_logins,
            copied_from=self._template_name() if with_logins and not is_shared else None,
        )  # fmt: skip

    def _template_name(self) -> str:
        files = sorted(self.migrations.glob("*.sql")) if self.migrations.is_dir() else []
        parts = [text for _, text in migration_files()] + [file.name + file.read_text(encoding="utf-8") for file in files]
        parts.append(repr((self.settings.schemas, self.settings.open_relations, self.settings.custom_roles)))
        return "fluxbase_template_" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def make_template(admin_conninfo: str, name: str, fill: Callable[[], None]) -> None:
    """Make the template database when it is missing; a half-made one is made anew."""
    with psycopg.connect(with_database(admin_conninfo, "postgres"), autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(%s)", (_TEMPLATE_LOCK,))
        found = connection.execute("select datallowconn from pg_database where datname = %s", (name,)).fetchone()
        if found == (False,):  # closed to connections: the mark that it is complete
            return
        connection.execute(sql.SQL("drop database if exists {}").format(sql.Identifier(name)))
        for old in connection.execute("select datname from pg_database where datname like 'fluxbase\\_template\\_%'").fetchall():
            connection.execute(sql.SQL("alter database {} with is_template false").format(sql.Identifier(old[0])))
            connection.execute(sql.SQL("drop database {}").format(sql.Identifier(old[0])))
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        fill()
        connection.execute(sql.SQL("alter database {} with is_template true allow_connections false").format(sql.Identifier(name)))


def create_database(admin_conninfo: str, database: str, template: str) -> None:
    """CREATE DATABASE … TEMPLATE, with no right to connect for PUBLIC from its first moment on."""
    with psycopg.connect(with_database(admin_conninfo, "postgres"), autocommit=True) as connection:
        if connection.execute("select from pg_database where datname = %s", (database,)).fetchone() is None:
            connection.execute(sql.SQL("create database {} template {}").format(sql.Identifier(database), sql.Identifier(template)))
        elif not is_ours(admin_conninfo, database):
            raise Conflict(
                "A database of this name exists, and it was not made here.", code="database_not_ours",
                hint=f"Rename or drop the database {database}, then fluxbase tenant repair.",
            )  # fmt: skip
        connection.execute(sql.SQL("revoke connect, temporary on database {} from public").format(sql.Identifier(database)))


def _rows_sql() -> bytes:
    return (files("fluxbase") / "sql" / "tenants" / "rows.sql").read_bytes()


def is_ours(admin_conninfo: str, database: str) -> bool:
    """Whether a database came from a template of ours, which holds the kernel; nothing is ever made in another one, or dropped."""
    try:
        with psycopg.connect(with_database(admin_conninfo, database)) as connection:
            return connection.execute("select to_regclass('fluxbase.this_tenant') is not null").fetchone() == (True,)
    except psycopg.OperationalError:  # it is not there, or lets nobody in
        return False


def identify(admin_conninfo: str, database: str, tenant: TenantId) -> None:
    """Say in the database whose it is; who may connect was said when its logins were made."""
    with psycopg.connect(with_database(admin_conninfo, database)) as connection:
        run = connection.execute
        run("delete from platform.tenants")  # the register is the main database's alone
        run(
            "insert into fluxbase.this_tenant (tenant_id) values (%s) on conflict (is_only) do update set tenant_id = excluded.tenant_id",
            (tenant,),
        )


def link(admin_conninfo: str, main: str, database: str, tenant: TenantId, password: Secret) -> None:
    """The tenant's login on the main database and the foreign server in its own, which only ``fluxbase_system`` may use."""
    login = sql.Identifier(fdw_login_name(tenant))
    with psycopg.connect(with_database(admin_conninfo, main)) as connection:
        _fdw_login(connection, login, main, tenant, password)
    with psycopg.connect(with_database(admin_conninfo, database)) as connection:
        _foreign_server(connection, conninfo_to_dict(admin_conninfo), main, fdw_login_name(tenant), password)


def _note_unchanged(connection: psycopg.Connection[Any]) -> None:
    """The schema is the template's at this epoch: whoever has read one such schema has read all (``data/snapshot_store.py``)."""
    connection.execute("update fluxbase.provisioned set template_epoch = (select schema_epoch from fluxbase.epoch)")


def _foreign_data(connection: psycopg.Connection[Any]) -> None:
    """What every database has of foreign data; nobody but the administrator may use it."""
    run = connection.execute
    run("create extension if not exists postgres_fdw with schema extensions")
    run("revoke usage on foreign data wrapper postgres_fdw from public")
    run("create schema if not exists shared")
    run("revoke all on schema shared from public")


def _fdw_login(connection: psycopg.Connection[Any], login: sql.Identifier, main: str, tenant: TenantId, password: Secret) -> None:
    run = connection.execute
    if run("select from pg_roles where rolname = %s", (fdw_login_name(tenant),)).fetchone() is None:
        run(sql.SQL("create role {} login noinherit nobypassrls nosuperuser nocreatedb nocreaterole").format(login))
    derive_quickly(connection)
    run(sql.SQL("alter role {} password {}").format(login, sql.Literal(password.reveal())))
    run(sql.SQL("alter role {} in database {} set app.current_tenant_id = {}").format(login, sql.Identifier(main), sql.Literal(tenant)))
    run(sql.SQL("grant connect on database {} to {}").format(sql.Identifier(main), login))
    run(sql.SQL("grant usage on schema shared_export to {0}; grant select on shared_export.tenant to {0}").format(login))
    run(
        "insert into platform.fdw_logins (login, tenant_id) values (%s, %s) on conflict (login) do nothing",
        (fdw_login_name(tenant), tenant),
    )


def _foreign_server(connection: psycopg.Connection[Any], place: dict[str, Any], main: str, login: str, password: Secret) -> None:
    run = connection.execute
    is_unchanged = run(
        "select p.template_epoch = e.schema_epoch from fluxbase.epoch e, fluxbase.provisioned p for update of e"
    ).fetchone() == (True,)
    _foreign_data(connection)
    run(sql.SQL("drop server if exists {} cascade").format(sql.Identifier(SERVER)))
    options = {"dbname": main, "host": str(place.get("host", "")), "port": str(place.get("port", "5432"))}
    if "sslmode" in place:
        options |= {"sslmode": str(place["sslmode"]), "sslrootcert": str(place.get("sslrootcert", "system"))}
    run(
        sql.SQL("create server {} foreign data wrapper postgres_fdw options ({})").format(
            sql.Identifier(SERVER),
            sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in options.items()),
        )
    )
    run(
        sql.SQL("create user mapping for {} server {} options (user {}, password {})").format(
            sql.Identifier(SYSTEM_LOGIN), sql.Identifier(SERVER), sql.Literal(login), sql.Literal(password.reveal())
        )
    )
    run(
        sql.SQL(
            "create foreign table shared.tenant (id uuid, slug text, name text, status text, metadata jsonb, created_at timestamptz) "
            "server {} options (schema_name 'shared_export', table_name 'tenant')"
        ).format(sql.Identifier(SERVER))
    )
    run(sql.SQL("grant usage on schema shared to {0}; grant select on shared.tenant to {0}").format(sql.Identifier(SYSTEM_LOGIN)))
    # The wire between databases carries no user, so clients get a function that hands out what they may have.
    run(
        "create or replace function auth.tenant() returns jsonb language plpgsql stable security definer "
        "set search_path = pg_catalog, pg_temp "
        "as $$ begin return (select to_jsonb(t) - 'metadata' from shared.tenant t); end $$"
    )
    run(sql.SQL("alter function auth.tenant() owner to {}").format(sql.Identifier(SYSTEM_LOGIN)))
    run(
        "revoke execute on function auth.tenant() from public; grant execute on function auth.tenant() to anon, authenticated, service_role"
    )
    if is_unchanged:  # but for these, which are the same in every tenant's database and in no exposed schema
        _note_unchanged(connection)


def drop(admin_conninfo: str, main: str, database: str, tenant: TenantId, custom_roles: Sequence[str]) -> None:
    """Remove the database, if it is ours, and every login that was made for it."""
    with psycopg.connect(with_database(admin_conninfo, "postgres"), autocommit=True) as connection:
        if is_ours(admin_conninfo, database):
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(database)))
    with psycopg.connect(with_database(admin_conninfo, main)) as connection:
        connection.execute("delete from platform.fdw_logins where tenant_id = %s", (tenant,))
        for login in (fdw_login_name(tenant), *(login_name(database, role) for role in (*CLIENT_ROLES, *custom_roles))):
            if connection.execute("select from pg_roles where rolname = %s", (login,)).fetchone() is not None:
                connection.execute(sql.SQL("drop owned by {0}; drop role {0}").format(sql.Identifier(login)))
