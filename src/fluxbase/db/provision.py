"""Roles, logins, system migrations, event triggers, identity key: brings a database to what DESIGN section 4 demands.

Idempotent, under one advisory lock, one transaction. Nothing is done when the stored fingerprint of code and arguments
matches. On a managed PostgreSQL, where the administrator is no superuser, what cannot be had is listed in the report.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, LiteralString, cast

import psycopg
from psycopg import sql

from fluxbase.kernel.ids import CLIENT_ROLES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fluxbase.kernel.secret import Secret

SYSTEM_LOGIN = "fluxbase_system"
OWNER_LOGIN = "fluxbase_owner"
_PASS_RLS = ("service_role", OWNER_LOGIN)
_LOCK = 0x666C7578
_BLOCK = 64
_MAX_NAME = 63
EVENT_TRIGGERS = (
    ("fluxbase_ddl", "ddl_command_end", "on_ddl"),
    ("fluxbase_drop", "sql_drop", "on_drop"),
    ("fluxbase_client_ddl", "ddl_command_start", "refuse_client_ddl"),
)
NO_EVENT_TRIGGERS = (
    "event triggers are not allowed here: a new table is closed at the next start, and the data plane refuses it until then; "
    "a changed one is noticed within a second; name no role in a restrictive policy (a client can take its own role out of it); "
    "no triggers on auth.users"
)


class ProvisionError(Exception):
    """The database cannot be prepared; one line that says why and what to do."""


@dataclass(slots=True)
class ProvisionReport:
    """What was done and what this PostgreSQL does not allow."""

    has_changed: bool = False
    weaker: list[str] = field(default_factory=list[str])


def login_name(database: str, role: str) -> str:
    """The login of a client role in one database; the name says nothing about a tenant, and no two share one (threat F57)."""
    name = f"fb_{hashlib.sha256(database.encode()).hexdigest()[:32]}_{role}"
    return name if len(name) <= _MAX_NAME else f"fb_{hashlib.sha256(f'{database}/{role}'.encode()).hexdigest()[:48]}"


def ensure_database(maintenance_conninfo: str, name: str) -> bool:
    """Create the database when it is missing; true when it was."""
    with psycopg.connect(maintenance_conninfo, autocommit=True) as connection:
        if connection.execute("select from pg_database where datname = %s", (name,)).fetchone() is not None:
            return False
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        return True


def provision(
    admin_conninfo: str,
    *,
    exposed_schemas: Sequence[str],
    open_relations: Sequence[str],
    custom_roles: Sequence[str],
    login_secret: Callable[[str], Secret],
    with_logins: bool = True,
    copied_from: str | None = None,
) -> ProvisionReport:
    """Prepare one database; without its own logins when it is a template. Raises ProvisionError.

    ``copied_from``: the template it may be a fresh copy of; then only what is a database's own is done.
    """
    report = ProvisionReport()
    try:
        with psycopg.connect(admin_conninfo) as connection:
            work = _Work(
                connection,
                report,
                tuple(exposed_schemas),
                tuple(open_relations),
                tuple(custom_roles),
                login_secret,
                with_logins,
                copied_from,
            )
            work.run()
    except psycopg.OperationalError as error:
        raise ProvisionError(f"the database cannot be reached: {str(error).strip().splitlines()[0][:200]}") from None
    except psycopg.Error as error:
        raise ProvisionError(f"the database could not be prepared: {str(error).strip().splitlines()[0][:300]}") from error
    return report


def renew_login(admin_conninfo: str, database: str, role: str, password: Secret) -> None:
    """Give a login back its password and no settings: a client can change both of its own. Raises ProvisionError."""
    login = sql.Identifier(login_name(database, role))
    try:
        with psycopg.connect(admin_conninfo) as connection:
            derive_quickly(connection)
            connection.execute(sql.SQL("alter role {} password {}").format(login, sql.Literal(password.reveal())))
            connection.execute(sql.SQL("alter role {} reset all").format(login))
            connection.execute(sql.SQL("alter role {} in database {} reset all").format(login, sql.Identifier(database)))
    except psycopg.Error as error:
        raise ProvisionError("the login could not be repaired") from error


def derive_quickly(connection: psycopg.Connection[Any]) -> None:
    """Our passwords are 256 random bits: 4,096 rounds of hashing (for words people choose) would only slow every connection down."""
    if connection.info.server_version >= 160000:
        connection.execute("set local scram_iterations = 1")


@cache
def migration_files() -> list[tuple[str, str]]:
    """Name and text of every system migration, in order."""
    folder = files("fluxbase") / "sql" / "migrations"
    return sorted((item.name, item.read_text(encoding="utf-8")) for item in folder.iterdir() if item.name.endswith(".sql"))


@dataclass(slots=True)
class _Work:
    connection: psycopg.Connection[Any]
    report: ProvisionReport
    schemas: tuple[str, ...]
    open_relations: tuple[str, ...]
    custom_roles: tuple[str, ...]
    login_secret: Callable[[str], Secret]
    with_logins: bool
    copied_from: str | None

    def run(self) -> None:
        run = self.connection.execute
        run("set local client_min_messages = warning")
        run("select pg_advisory_xact_lock(%s)", (_LOCK,))
        row = run("select current_database(), rolsuper, current_user from pg_roles where rolname = current_user").fetchone()
        assert row is not None  # noqa: S101 - current_user always has a row
        database, is_superuser, admin = row
        if run("select to_regclass('fluxbase.provisioned')").fetchone() != (None,):
            stored = run("select fingerprint, weaker from fluxbase.provisioned").fetchone()
            if stored is not None and stored[0] == self._fingerprint(database):
                self.report.weaker.extend(stored[1])
                if NO_EVENT_TRIGGERS in stored[1]:  # nobody closed what was born since the last start
                    run("select fluxbase.close_everything()")
                    self._stand_in_policies()
                return
            if stored is not None and self._is_copy(*stored):
                self._own_parts(database, stored[1])
                return
        self.report.has_changed = True
        run("set local role none")
        self._disable_triggers()
        self._roles(database, is_superuser=is_superuser, admin=admin)
        self._migrate(is_superuser=is_superuser)
        self._tables(database)
        self._identity_key()
        self._owner_grants(database)
        self._extensions()
        run("select fluxbase.close_everything()")
        self._event_triggers()
        self._stand_in_policies()
        run("delete from fluxbase.provisioned")
        run("insert into fluxbase.provisioned (fingerprint, weaker) values (%s, %s)", (self._fingerprint(database), self.report.weaker))

    def _is_copy(self, fingerprint: str, weaker: list[str]) -> bool:
        """Whether this is a fresh copy of a template that this code finished, where nothing can have been born unnoticed."""
        is_watched = NO_EVENT_TRIGGERS not in weaker
        return is_watched and self.copied_from is not None and fingerprint == self._fingerprint(self.copied_from, with_logins=False)

    def _own_parts(self, database: str, weaker: list[str]) -> None:
        """What a copy of a finished template does not have: logins, who may connect, a key of its own."""
        self.report.has_changed = True
        self.report.weaker.extend(weaker)
        self._logins(database)
        self._identity_key()
        self._connect_grants(database)
        self.connection.execute("update fluxbase.provisioned set fingerprint = %s", (self._fingerprint(database),))

    def _disable_triggers(self) -> None:
        for name, _, _ in EVENT_TRIGGERS:
            if self.connection.execute("select from pg_event_trigger where evtname = %s", (name,)).fetchone() is not None:
                self.connection.execute(sql.SQL("drop event trigger {}").format(sql.Identifier(name)))

    def _fingerprint(self, database: str, *, with_logins: bool | None = None) -> str:
        """Changes with our SQL, the arguments, the database (a restore), every login's password, and when a trigger or schema is gone."""
        identifier = (
            self.connection.execute("select system_identifier::text from pg_control_system()").fetchone() if self._may_control() else ("",)
        )
        parts = [
            *(text for _, text in migration_files()),
            repr((self.schemas, self.open_relations, self.custom_roles)),
            repr(identifier),
            database,
            repr(self.with_logins if with_logins is None else with_logins),
        ]
        parts += [hashlib.sha256(self.login_secret(name).reveal().encode()).hexdigest() for name in (SYSTEM_LOGIN, OWNER_LOGIN)]
        schemas = self.connection.execute(
            "select array_agg(nspname order by nspname)::text from pg_namespace where nspname = any(%s)", (list(self.schemas),)
        ).fetchone()
        triggers = self.connection.execute(
            "select array_agg(evtname || evtenabled::text order by evtname)::text from pg_event_trigger where evtname = any(%s)",
            ([name for name, _, _ in EVENT_TRIGGERS],),
        ).fetchone()
        return hashlib.sha256("\0".join([*parts, repr(schemas), repr(triggers)]).encode()).hexdigest()

    def _may_control(self) -> bool:
        return self.connection.execute("select has_function_privilege('pg_control_system()', 'execute')").fetchone() == (True,)

    def _roles(self, database: str, *, is_superuser: bool, admin: str) -> None:
        for role in (*CLIENT_ROLES, "tenant_service", *self.custom_roles):
            self._role(role, "nologin noinherit")
        for role in (SYSTEM_LOGIN, OWNER_LOGIN):
            self._role(role, "login noinherit" if role == SYSTEM_LOGIN else "login")
            self._password(role)
        for role in _PASS_RLS:
            self._bypass_rls(role)
        self._logins(database)
        if not is_superuser:
            for role in (OWNER_LOGIN, *CLIENT_ROLES):
                self.connection.execute(sql.SQL("grant {} to {}").format(sql.Identifier(role), sql.Identifier(admin)))

    def _logins(self, database: str) -> None:
        """One per client role, in this database alone."""
        grant = "grant {} to {} with inherit false, set true" if self.connection.info.server_version >= 160000 else "grant {} to {}"
        for role in (*CLIENT_ROLES, *self.custom_roles) if self.with_logins else ():
            login = login_name(database, role)
            self._role(login, "login noinherit")
            self._password(login)
            self.connection.execute(sql.SQL(grant).format(sql.Identifier(role), sql.Identifier(login)))

    def _role(self, name: str, options: str) -> None:
        if self.connection.execute("select from pg_roles where rolname = %s", (name,)).fetchone() is None:
            self.connection.execute(sql.SQL("create role {} " + options).format(sql.Identifier(name)))  # type: ignore[operator] # constant text

    def _password(self, login: str) -> None:
        derive_quickly(self.connection)
        self.connection.execute(
            sql.SQL("alter role {} password {}").format(sql.Identifier(login), sql.Literal(self.login_secret(login).reveal()))
        )

    def _bypass_rls(self, role: str) -> None:
        if self.connection.execute("select rolbypassrls from pg_roles where rolname = %s", (role,)).fetchone() == (True,):
            return
        try:
            with self.connection.transaction():
                self.connection.execute(sql.SQL("alter role {} bypassrls").format(sql.Identifier(role)))
        except psycopg.errors.InsufficientPrivilege:
            self.report.weaker.append(f"{role} has no BYPASSRLS here; a policy per table stands in for it")

    def _migrate(self, *, is_superuser: bool) -> None:
        run = self.connection.execute
        run("create schema if not exists fluxbase")
        run(
            "create table if not exists fluxbase.system_migrations (name text primary key, "
            "checksum text not null, applied_at timestamptz not null default now())"
        )
        run(
            "create table if not exists fluxbase.provisioned (is_only boolean primary key default true, "
            "fingerprint text not null, weaker text[] not null)"
        )
        run(
            "alter table fluxbase.provisioned add column if not exists template uuid, add column if not exists template_epoch bigint; "
            "grant select on fluxbase.provisioned to fluxbase_system"
        )
        done: dict[str, str] = dict(run("select name, checksum from fluxbase.system_migrations").fetchall())
        for name, text in migration_files():
            checksum = hashlib.sha256(text.encode()).hexdigest()
            if name in done:
                if done[name] != checksum:
                    raise ProvisionError(
                        f"the system migration {name} was applied with other content; this database belongs to another Fluxbase version"
                    )
                continue
            run(text.encode())
            run("insert into fluxbase.system_migrations values (%s, %s)", (name, checksum))
        unknown = sorted(set(done) - {name for name, _ in migration_files()})
        if unknown:
            raise ProvisionError(f"this database was prepared by a newer Fluxbase (it has {unknown[-1]}); update Fluxbase")
        if not is_superuser:
            self.report.weaker.append(
                "the administrator is no superuser: catalogue views of PostgreSQL stay readable where it may not revoke them"
            )

    def _tables(self, database: str) -> None:
        run = self.connection.execute
        run("delete from fluxbase.exposed_schemas")
        run("delete from fluxbase.open_relations")
        run("delete from fluxbase.client_roles")
        for schema in self.schemas:
            run("insert into fluxbase.exposed_schemas values (%s) on conflict do nothing", (schema,))
        for entry in self.open_relations:
            schema, _, name = entry.rpartition(".")
            run("insert into fluxbase.open_relations values (%s, %s) on conflict do nothing", (schema or "public", name))
        for role in (*CLIENT_ROLES, *self.custom_roles):
            run("insert into fluxbase.client_roles values (%s) on conflict do nothing", (role,))
        for role in self.custom_roles:
            run(sql.SQL("grant usage on schema fluxbase, auth, extensions to {0}; grant execute on all functions in schema auth to {0}; "
                        "grant execute on function fluxbase.admit(text[], bigint), fluxbase.verified_claims(), "
                        "fluxbase.has_prepared_statements(), "
                        "fluxbase.begin_execution(uuid, text, text, double precision), fluxbase.start_execution(uuid), "
                        "fluxbase.end_execution(uuid, text, text, bigint, jsonb), fluxbase.read_execution(uuid) to {0}")
                        .format(sql.Identifier(role)))  # fmt: skip
        run("update platform.tenants set db_name = %s where is_default and db_name <> %s", (database, database))

    def _identity_key(self) -> None:
        """A key of this database alone: a dump restored elsewhere gets a new one, so old proofs are noise there."""
        run = self.connection.execute
        identifier = run("select system_identifier::text from pg_control_system()").fetchone() if self._may_control() else ("unknown",)
        oid = run("select oid::text from pg_database where datname = current_database()").fetchone()
        bound_to = f"{identifier}:{oid}"
        if run("select from fluxbase.identity_key where bound_to = %s", (bound_to,)).fetchone() is not None:
            return
        key = secrets.token_bytes(32)
        padded = key.ljust(_BLOCK, b"\0")
        run("delete from fluxbase.identity_key")
        run(
            "insert into fluxbase.identity_key (key, inner_block, outer_block, bound_to) values (%s, %s, %s, %s)",
            (key, bytes(b ^ 0x36 for b in padded), bytes(b ^ 0x5C for b in padded), bound_to),
        )

    def _owner_grants(self, database: str) -> None:
        """``fluxbase_owner`` owns the user's side: database creation rights, exposed schemas, and reads the system's tables."""
        self._connect_grants(database)
        owner = sql.Identifier(OWNER_LOGIN)
        run = self.connection.execute
        for schema in self.schemas:
            if run("select from pg_namespace where nspname = %s", (schema,)).fetchone() is None:
                run(sql.SQL("create schema {} authorization {}").format(sql.Identifier(schema), owner))
            else:
                try:
                    with self.connection.transaction():
                        run(sql.SQL("alter schema {} owner to {}").format(sql.Identifier(schema), owner))
                except psycopg.errors.InsufficientPrivilege:
                    run(sql.SQL("grant all on schema {} to {}").format(sql.Identifier(schema), owner))
        run(sql.SQL("grant usage, create on schema extensions to {0}; grant usage, create on schema fluxbase to {0}; "
                    "grant usage on schema auth, audit, platform, storage, realtime to {0}; "
                    "grant select on all tables in schema auth, audit, platform, fluxbase to {0}; "
                    "revoke select on fluxbase.identity_key, auth.signing_keys from {0}; "
                    "grant insert, delete on fluxbase.open_relations to {0}; "
                    "grant execute on all functions in schema auth to {0}; "
                    "alter role {0} set search_path = public, extensions").format(owner))  # fmt: skip

    def _connect_grants(self, database: str) -> None:
        """Client roles belong to the whole cluster: CONNECT is what keeps a tenant's logins out of another's database."""
        run = self.connection.execute
        here = sql.Identifier(database)
        run(sql.SQL("grant connect, create, temporary on database {} to {}").format(here, sql.Identifier(OWNER_LOGIN)))
        run(sql.SQL("revoke connect on database {} from public").format(here))
        own = [login_name(database, role) for role in (*CLIENT_ROLES, *self.custom_roles)] if self.with_logins else []
        run(sql.SQL("grant connect on database {} to {}").format(here, sql.SQL(", ").join(map(sql.Identifier, (SYSTEM_LOGIN, *own)))))

    def _extensions(self) -> None:
        for name in ("vector", "pg_trgm", "btree_gin"):
            try:
                with self.connection.transaction():
                    self.connection.execute(
                        sql.SQL("create extension if not exists {} with schema extensions").format(sql.Identifier(name))
                    )
            except psycopg.Error:
                self.report.weaker.append(f"the extension {name} is not available")
        shim = (
            "create or replace function extensions.uuid_generate_v4() returns uuid language sql volatile parallel safe "
            "as 'select pg_catalog.gen_random_uuid()'"
        )
        if self.connection.execute("select to_regprocedure('extensions.uuid_generate_v4()') is null").fetchone() == (True,):
            self.connection.execute(shim.encode())
        self.connection.execute("grant execute on all functions in schema extensions to public")

    def _event_triggers(self) -> None:
        try:
            with self.connection.transaction():
                for name, event, function in EVENT_TRIGGERS:
                    self.connection.execute(
                        sql.SQL(
                            "create event trigger {0} on {1} execute function fluxbase.{2}(); alter event trigger {0} enable always"
                        ).format(
                            sql.Identifier(name),
                            sql.SQL(cast("LiteralString", event)),  # constants above
                            sql.Identifier(function),
                        )
                    )
        except psycopg.errors.InsufficientPrivilege:
            self.report.weaker.append(NO_EVENT_TRIGGERS)
            self.connection.execute("revoke trigger on auth.users, auth.identities from fluxbase_owner")  # nothing would look at them

    def _stand_in_policies(self) -> None:
        """Where BYPASSRLS may not be granted: a policy per table for the roles that should have it."""
        rows = self.connection.execute(
            "select n.nspname, c.relname, r.rolname, 'fluxbase_' || r.rolname::text "
            "from pg_class c join pg_namespace n on n.oid = c.relnamespace "
            "join fluxbase.exposed_schemas e on e.name = n.nspname join pg_roles r on r.rolname = any(%s) and not r.rolbypassrls "
            "where c.relkind in ('r', 'p') and not exists "
            "(select from pg_policy p where p.polrelid = c.oid and p.polname = 'fluxbase_' || r.rolname)",
            ([*_PASS_RLS],),
        ).fetchall()
        for schema, table, role, policy in rows:
            self.connection.execute(
                sql.SQL("create policy {} on {} to {} using (true) with check (true)").format(
                    sql.Identifier(policy), sql.Identifier(schema, table), sql.Identifier(role)
                )
            )
