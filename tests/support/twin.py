"""The program with named controls left out: what a vulnerable twin runs. Never shipped, never importable from src.

One process serves every twin: the request header ``x-twin-without`` names the controls it lacks. A plain name is a line of
``web/pipeline.py``; those with a colon are in LIFTED or are statements of the cleaning (tests/support/controls.py lists all).
SQL objects are taken away by ``tests/support/without.py``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import orjson

from fluxbase import app as application
from fluxbase.auth import session_store, user_store
from fluxbase.auth.accounts import Accounts
from fluxbase.auth.passwords import Passwords
from fluxbase.cli import start
from fluxbase.crypto.jwt import JwtKey
from fluxbase.data import key_tables, service, snapshot
from fluxbase.db import connection, errors, executor, pool, sql
from fluxbase.kernel import permissions
from fluxbase.outbound.addresses import AddressRule
from fluxbase.web.middleware import authorise

REMOVED: ContextVar[frozenset[str]] = ContextVar("REMOVED", default=frozenset())
_LOADED = (service, executor)  # so that _lift finds their names


def _refuses_nothing(original: Any) -> Any:
    def parse(raw: bytes, *more: bytes, **options: Any) -> Any:
        everything = [f"{item['schema']}.{item['name']}" for item in orjson.loads(raw)["relations"]]
        return original(raw, *more, **{**options, "open_relations": everything})

    return parse


def _knows_every_column(_: Any) -> Any:
    return lambda relation, _role: frozenset(relation.columns)


def _quotes_nothing(_: Any) -> Any:
    return lambda name: f'"{name}"'


def _tells_everything(original: Any) -> Any:
    def translate(sqlstate: str, message: str, detail: str | None = None, hint: str | None = None, *_: Any, **__: Any) -> Any:
        if sqlstate.startswith("FB"):
            return original(sqlstate, message)
        return errors.DatabaseError(message, sqlstate=sqlstate, details=detail, hint=hint)

    return translate


def _renews_nothing(_: Any) -> Any:
    async def refuse(_: pool.Pool) -> None:
        raise connection.ConnectionBroken("the login is refused", was_sent=False)

    return refuse


def _forgives_reuse(original: Any) -> Any:
    return lambda tx, tenant, digest, **_: original(tx, tenant, digest, grace_seconds=1_000_000)


def _hashes_for_known_only(original: Any) -> Any:
    async def verify(self: Any, stored: str | None, password: str) -> bool:
        return stored is not None and await original(self, stored, password)

    return verify


async def _checks_nothing(*_: Any, **__: Any) -> None:
    """Nothing."""


LIFTED: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "data-plane:refusal": (snapshot, "parse_snapshot", _refuses_nothing),
    "data-plane:columns": (snapshot.Relation, "visible", _knows_every_column),
    "data-plane:quoting": (sql, "quote_ident", _quotes_nothing),
    "auth:signature": (JwtKey, "verifies", lambda _: lambda _key, _token: True),
    "data-plane:errors": (errors, "translate", _tells_everything),
    "outbound:address": (AddressRule, "allows", lambda _: lambda _rule, _address: True),
    "pool:login-renewal": (pool.Pool, "_renew_login", _renews_nothing),
    "auth:refresh-reuse": (session_store, "select_used", _forgives_reuse),
    "auth:lock": (user_store, "count_failure", lambda _: _checks_nothing),
    "auth:equal-cost": (Passwords, "verify", _hashes_for_known_only),
    "auth:step-up": (Accounts, "require_fresh", lambda _: _checks_nothing),
    "control-plane:standing": (authorise, "check_standing", lambda _: _checks_nothing),
    "keys:place": (authorise, "check_place", lambda _: lambda *_arguments: None),
    "routes:credential-kinds": (permissions, "_check_credential", lambda _: lambda *_arguments: None),
    "data-plane:key-tables": (key_tables, "limited", lambda _: lambda snapshot, _tables: snapshot),
}
"""Control → where it is, and what stands there instead while a request names it."""


def _lift(name: str, owner: Any, attribute: str, make: Callable[[Any], Any]) -> None:
    original = getattr(owner, attribute)
    instead = make(original)

    def either(*arguments: Any, **options: Any) -> Any:
        return (instead if name in REMOVED.get() else original)(*arguments, **options)

    for module in [owner, *(module for key, module in sys.modules.items() if key.startswith("fluxbase."))]:
        if getattr(module, attribute, None) is original:
            setattr(module, attribute, either)


def _lift_cleaning() -> None:
    original = connection.cleaning

    def either(role: str) -> Any:
        removed = REMOVED.get()
        return tuple((text if cleaning_name(text) not in removed else _IDLE, params) for text, params in original(role))

    pool.Pools.__init__.__kwdefaults__["cleaning"] = either


_IDLE = "select null, false"


def cleaning_name(statement: str) -> str:
    """``cleaning:`` and the statement up to its first parenthesis; the role is left out."""
    return "cleaning:" + ("set role" if statement.startswith("set role") else statement.split("(", maxsplit=1)[0])


class TwinSwitch:
    """ASGI: picks (and builds once) the program without the controls a request names."""

    def __init__(self) -> None:
        weaken()
        self._program = application.create()
        self._built: dict[frozenset[str], Any] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._program(scope, receive, send)
            return
        header = next((value.decode() for name, value in scope["headers"] if name == b"x-twin-without"), "")
        removed = frozenset(filter(None, header.split(",")))
        if removed not in self._built:
            self._built[removed] = self._build(removed)
        token = REMOVED.set(removed)
        try:
            await self._built[removed](scope, receive, send)
        finally:
            REMOVED.reset(token)

    def _build(self, removed: frozenset[str]) -> Any:
        program = self._program
        lines = tuple(name for name in removed if ":" not in name)
        if len(lines) == len(removed):
            return program.pipeline(lines)
        kept = program.pools, program.executor, program.snapshots, program.data
        program.build_data_plane()
        built = program.pipeline(lines)
        program.pools, program.executor, program.snapshots, program.data = kept
        return built


def create() -> TwinSwitch:
    """Factory named to granian."""
    for name, lifted in LIFTED.items():
        _lift(name, *lifted)
    executor.Executor.__init__.__kwdefaults__["translate"] = errors.translate
    _lift_cleaning()
    return TwinSwitch()


def weaken() -> None:
    """Remove the control of a database served as it is that ``BYO_TWIN`` names, in this process."""
    from fluxbase.db import connection, peer_settings

    match os.environ.get("BYO_TWIN"):
        case "cleaning":
            connection.cleaning = lambda *_: ()  # type: ignore[assignment]
        case "role":
            peer_settings._FIXED = ("application_name", *peer_settings._FIXED[1:])  # type: ignore[attr-defined]
        case _:
            pass


if __name__ == "__main__":
    from fluxbase.cli.main import main

    start.TARGET = "tests.support.twin:create"
    main()
