"""Attacks by somebody who has a tenant's database passwords: its client logins and its login on the far side of postgres_fdw (threat F57).

Each login first does what it is for, so that a refusal afterwards says something.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fluxbase.db.attempt import Attempt, attempt
from fluxbase.db.named_sql import named_sql
from fluxbase.db.provision import login_name
from fluxbase.db.tenant_database import fdw_login_name
from fluxbase.kernel.ids import ANON, AUTHENTICATED, SERVICE_ROLE, TENANT_SERVICE

if TYPE_CHECKING:
    from fluxbase.app import Program
    from fluxbase.proof.plant import Place
    from fluxbase.proof.routes import Tally

_REFUSED = frozenset({"42501", "42P01", "3F000", "0A000", "58P01", "42704"})
"""No right, or not even visible: nothing of it exists for this login."""


class LoginProof:
    """The attack on the logins of one tenant, aimed at another."""

    def __init__(self, program: Program, schema: str, tally: Tally) -> None:
        self._target = program.target
        self._schema = schema
        self._tally = tally
        self.attacks = 0

    async def run(self, own: Place, other: Place) -> None:
        """Every login of ``own`` against ``other``."""
        await asyncio.to_thread(self._attack, own, other)

    def _attack(self, own: Place, other: Place) -> None:
        service = TENANT_SERVICE if own.tenant.is_shared else SERVICE_ROLE
        for role in (ANON, AUTHENTICATED, service):
            self._client_login(own, other, role)
        if own.tenant.isolation == "database":
            self._far_side(own, other)

    def _client_login(self, own: Place, other: Place, role: str) -> None:
        database = own.tenant.database
        login = login_name(database, role)
        where = f"the login of {role}"
        as_role = self._text("as_role", role=role)
        if self._as(login, database, as_role).refusal:
            self._tally.found("control", where, "it cannot take its own role in its own database")
            return
        for place in {other.tenant.database, self._target.database} - {database}:
            self._refused(where, "log in to another database", self._as(login, place, "select 1"))
        claims = self._text("claim_other", other=other.tenant.id)
        rows = self._as(login, database, self._path(other), claims, as_role, self._text("all_rows"))
        self._unseen(where, "claims of the other tenant that the server did not sign", rows, other)
        unsigned = self._as(login, database, self._path(other), as_role, self._text("all_rows"))
        self._unseen(where, "no claims at all", unsigned, other)
        for statement in self._all("client_attacks"):
            self._refused(where, statement, self._as(login, database, as_role, statement))
        if own.tenant.isolation == "database":
            for statement in self._all("near_side_attacks"):
                self._refused(where, statement, self._as(login, database, as_role, statement))

    def _far_side(self, own: Place, other: Place) -> None:
        login = fdw_login_name(own.tenant.id)
        main, where = self._target.database, "the login of the foreign server"
        line = self._text("own_line")
        if self._as(login, main, line).rows != ((own.tenant.id,),):
            self._tally.found("control", where, "it does not see its own tenant's line, and that alone")
        widened = self._as(login, main, self._text("claim_other", other=other.tenant.id), line)
        self.attacks += 1
        if any(row[0] != own.tenant.id for row in widened.rows):
            self._tally.found("leak", where, "a setting widens what it sees")
        for statement in self._all("far_side_attacks", other=other.tenant.id):
            self._refused(where, statement.replace(other.tenant.id, "<the other tenant>"), self._as(login, main, statement))
        for database in (own.tenant.database, other.tenant.database):
            self._refused(where, "log in to a tenant's database", self._as(login, database, "select 1"))

    def _as(self, login: str, database: str, *statements: str) -> Attempt:
        return attempt(self._target.login_conninfo(login, database), *statements)

    def _refused(self, where: str, what: str, outcome: Attempt) -> None:
        self.attacks += 1
        if outcome.refusal not in _REFUSED and outcome.refusal != "connection":
            self._tally.found("leak", where, f"not refused ({outcome.refusal or 'it went through'}): {what}")

    def _unseen(self, where: str, what: str, outcome: Attempt, other: Place) -> None:
        self.attacks += 1
        if any(other.canary in str(value) for row in outcome.rows for value in row):
            self._tally.found("leak", where, f"the other tenant's canary by SQL with {what}")

    def _path(self, place: Place) -> str:
        return f"set search_path = {place.values['own_schema']}"

    def _text(self, name: str, **values: str) -> str:
        return named_sql("proof", name).format_map({"schema": self._schema, **values})

    def _all(self, name: str, **values: str) -> list[str]:
        return [statement.strip() for statement in self._text(name, **values).split(";") if statement.strip()]
