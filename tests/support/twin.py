"""The program with named controls left out: what a vulnerable twin runs. Never shipped, never importable from src.

One process serves every twin: the request header ``x-twin-without`` names the controls it lacks. A plain name is a line of
``web/pipeline.py``; those with a colon are in LIFTED or are statements of the cleaning (tests/support/controls.py lists all).
SQL objects are taken away by ``tests/support/without.py``.
"""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import orjson

from fluxbase import app as application
from fluxbase.auth import authority, session_store, user_store
from fluxbase.auth.accounts import Accounts
from fluxbase.auth.factors import attempts, step_up
from fluxbase.auth.factors import store as factor_store
from fluxbase.auth.new_accounts import NewAccounts
from fluxbase.auth.passkeys import ceremony
from fluxbase.auth.passkeys import store as passkey_store
from fluxbase.auth.passwords import Passwords
from fluxbase.auth.providers import exchange, flows, id_token, identities, linking, profiles
from fluxbase.auth.providers import store as provider_store
from fluxbase.auth.redirects import RedirectRule
from fluxbase.auth.saml import assertion
from fluxbase.cli import start
from fluxbase.crypto.jwt import JwtKey
from fluxbase.data import key_tables, service, snapshot
from fluxbase.db import cleaning, errors, executor, failures, pool, pools, shares, sql
from fluxbase.kernel import permissions
from fluxbase.kernel import principal as principals
from fluxbase.kernel.errors import Internal
from fluxbase.limits.limiter import RateLimiter
from fluxbase.outbound.addresses import AddressRule
from fluxbase.tenancy import settings as tenant_settings
from fluxbase.web import errors as web_errors
from fluxbase.web.middleware import authorise, idempotency
from fluxbase.web.native import tenant_settings as settings_routes
from tests.support import account_twins, gate_twins, mailed_twins, platform_twins, proof_twins

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
        raise failures.ConnectionBroken("the login is refused", was_sent=False)

    return refuse


def _forgives_reuse(original: Any) -> Any:
    return lambda tx, tenant, digest, **_: original(tx, tenant, digest, grace_seconds=1_000_000)


def _hashes_for_known_only(original: Any) -> Any:
    async def verify(self: Any, stored: str | None, password: str) -> bool:
        return stored is not None and await original(self, stored, password)

    return verify


async def _checks_nothing(*_: Any, **__: Any) -> None:
    """Nothing."""


def _takes_the_users_id(original: Any) -> Any:
    async def by_ticket(self: Any, tenant: Any, raw_ticket: str, device: Any) -> Any:
        if raw_ticket.startswith("fb_mt_"):
            return await original(self, tenant, raw_ticket, device)
        async with self._transactions(tenant, reason="twin") as tx:
            made, _ = await factor_store.insert_ticket(tx, tenant.id, factor_store.NewTicket("sign_in", raw_ticket, b""), 60)
        return factor_store.Ticket(made, "sign_in", raw_ticket, None, None, ("password",))

    return by_ticket


def _asks_no_debt(original: Any) -> Any:
    def authorise(access: Any, permission: Any, principal: Any, **options: Any) -> Any:
        return original(access, permission, principal and replace(principal, is_pending=False), **options)

    return authorise


def _always(answer: Any) -> Callable[[Any], Any]:
    async def give(*_: Any, **__: Any) -> Any:
        return answer

    return lambda _: give


def _tries_for_ever(original: Any) -> Any:
    return lambda tx, tenant, token, device, _: original(tx, tenant, token, device, 1_000_000)


def _counts_nothing(original: Any) -> Any:
    def verify(self: Any, credential: Any, challenge: bytes, **options: Any) -> Any:
        shown = original(self, credential, challenge, **{**options, "sign_count": 0})
        return replace(shown, sign_count=2**31)

    return verify


def _keeps_the_challenge(original: Any) -> Any:
    async def consume(tx: Any, tenant: Any, purpose: str, challenge_id: str, session_id: Any) -> Any:
        kept = await original(tx, tenant, purpose, challenge_id, session_id)
        if kept is not None:
            made, _ = await passkey_store.insert_challenge(
                tx, tenant, purpose, kept.challenge, 60, user_id=kept.user_id, session_id=session_id
            )
            await tx.fetch("update auth.webauthn_challenges set id = $1::text::uuid where id = $2::text::uuid", challenge_id, made)
        return kept

    return consume


def _verifies_nothing(_: Any) -> Any:
    return lambda raw, *_: orjson.loads(base64.urlsafe_b64decode(raw.split(".")[1] + "=="))


def _asks_nobody(original: Any) -> Any:
    return lambda *arguments, **options: original(*arguments, **{**options, "is_asked": options["by"] == "sign-up"})


def _answers(value: Any) -> Callable[[Any], Any]:
    return lambda _: lambda *_, **__: value


def _answers_later(value: Any) -> Callable[[Any], Any]:
    async def answer(*_: Any, **__: Any) -> Any:
        return value

    return lambda _: answer


def _takes_again(original: Any) -> Any:
    """What is taken once by DELETE … RETURNING is only read."""

    class Reader:
        def __init__(self, tx: Any) -> None:
            self._tx = tx

        async def fetch(self, sql: str, *values: Any) -> Any:
            kept, _, columns = sql.rpartition("returning")
            return await self._tx.fetch(f"select {columns} " + kept.replace("delete from", "from", 1), *values)

    return lambda tx, *arguments, **options: original(Reader(tx), *arguments, **options)


def _takes_any_tenant(_: Any) -> Any:
    async def tenant(self: Any, raw: str, _request: Any) -> Any:
        return await self._registry.resolve(raw)

    return tenant


LIFTED: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "auth:account-limits": (RateLimiter, "admit", lambda _: _checks_nothing),
    "data-plane:refusal": (snapshot, "parse_snapshot", _refuses_nothing),
    "data-plane:columns": (snapshot.Relation, "visible", _knows_every_column),
    "data-plane:quoting": (sql, "quote_ident", _quotes_nothing),
    "auth:signature": (JwtKey, "verifies", lambda _: lambda _key, _token: True),
    "data-plane:errors": (errors, "translate", _tells_everything),
    "saml:response": (assertion.saml2_response.OneLogin_Saml2_Response, "is_valid", _answers(True)),
    "saml:request": (assertion, "is_for_this_request", _answers(True)),
    "outbound:address": (AddressRule, "allows", lambda _: lambda _rule, _address: True),
    "factors:ticket": (attempts.Attempts, "by_ticket", _takes_the_users_id),
    "factors:pending": (permissions, "authorise", _asks_no_debt),
    "factors:replay": (factor_store, "accept_step", _always(True)),
    "factors:cap": (factor_store, "count_attempt", _always(None)),
    "factors:tries": (factor_store, "try_ticket", _tries_for_ever),
    "factors:lowering": (principals, "factor_keys", lambda _: lambda _ids: ()),
    "factors:step-up": (step_up.StepUp, "require", _always(None)),
    "passkeys:counter": (ceremony.RelyingParty, "verify_assertion", _counts_nothing),
    "passkeys:challenge": (passkey_store, "consume_challenge", _keeps_the_challenge),
    "oauth:browser": (flows, "is_same_browser", _answers(True)),
    "oauth:bound": (flows, "is_bound", _answers(True)),
    "oauth:code-once": (provider_store, "take_code", _takes_again),
    "oauth:state-once": (provider_store, "take_flow", _takes_again),
    "oauth:token-once": (provider_store, "note_assertion", _answers_later(True)),
    "oauth:answer-issuer": (exchange.OAuthClient, "check_answer_issuer", _answers_later(None)),
    "oauth:subject": (exchange, "is_same_subject", _answers(True)),
    "oauth:signature": (id_token, "check_signature", _verifies_nothing),
    "oauth:issuer": (id_token, "check_issuer", _answers(None)),
    "oauth:audience": (id_token, "check_audience", _answers(None)),
    "oauth:times": (id_token, "check_times", _answers(None)),
    "oauth:nonce": (id_token, "check_nonce", _answers(None)),
    "oauth:access-token": (id_token, "check_access_token", _answers(None)),
    "oauth:verified": (profiles, "is_email_verified", lambda _: lambda claims: claims.get("email_verified", True) not in (False, None)),
    "oauth:linking": (linking, "may_link", _answers(True)),
    "oauth:proven": (linking, "may_link", lambda _: lambda holder, proven: bool(holder.email_confirmed_at) and proven.is_email_verified),
    "errors:constant": (web_errors, "constant_internal", lambda _: lambda: Internal(repr(sys.exception()))),
    "hooks:every-way": (NewAccounts, "make", _asks_nobody),
    "oauth:redirect": (RedirectRule, "allows", _answers(True)),
    "oauth:last-way-in": (identities, "has_another_way_in", _answers(True)),
    "pools:shares": (shares.Shares, "may_take", lambda _: lambda held, _tenant, **_options: held._left > 0),
    "pool:login-renewal": (pool.Pool, "_renew_login", _renews_nothing),
    "auth:refresh-reuse": (session_store, "select_used", _forgives_reuse),
    "auth:lock": (user_store, "count_failure", lambda _: _checks_nothing),
    "auth:equal-cost": (Passwords, "verify", _hashes_for_known_only),
    "auth:step-up": (Accounts, "require_fresh", lambda _: _checks_nothing),
    "users:above-own": (authority, "refuse_above", _answers_later(None)),
    "users:administrators-only": (authority, "require_administrator", _answers(None)),
    "auth:standing": (principals, "standing_keys", _answers(())),
    "control-plane:standing": (authorise, "check_standing", lambda _: _checks_nothing),
    **account_twins.LIFTED,
    **gate_twins.LIFTED,
    **mailed_twins.LIFTED,
    **platform_twins.LIFTED,
    **proof_twins.LIFTED,
    "idempotency:owner": (idempotency, "owner_of", _answers(("everybody",))),
    "settings:place": (tenant_settings, "_place", lambda _: lambda _tenant, key: f"anywhere:{key}"),
    "settings:deciders": (tenant_settings, "may_decide", _answers(True)),
    "settings:own-tenant": (settings_routes.TenantSettingsRoutes, "_tenant", _takes_any_tenant),
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
    original = cleaning.cleaning

    def either(role: str) -> Any:
        removed = REMOVED.get()
        return tuple((text if cleaning_name(text) not in removed else _IDLE, params) for text, params in original(role))

    pools.Pools.__init__.__kwdefaults__["cleaning"] = either


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
        mailed_twins.HOST.set(next((value.decode() for name, value in scope["headers"] if name == b"host"), ""))
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
    from fluxbase.db import peer_settings

    match os.environ.get("BYO_TWIN"):
        case "cleaning":
            cleaning.cleaning = lambda *_: ()  # type: ignore[assignment]
        case "role":
            peer_settings._FIXED = ("application_name", *peer_settings._FIXED[1:])  # type: ignore[attr-defined]
        case _:
            pass


if __name__ == "__main__":
    from fluxbase.cli.main import main

    start.TARGET = "tests.support.twin:create"
    main()
