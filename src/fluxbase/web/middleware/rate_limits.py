"""AddressLimit and PrincipalLimit: how often a route may be called (contract-native 4.3, threat G61).

AddressLimit stands before authentication and counts the client's address (IPv6 by /64), PrincipalLimit behind it the user or key.
Routes of the control plane count the global limits as well as their own. The data plane's limit is counted in the process.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from fluxbase.kernel.access import CONTROL_KEY, CONTROL_PLANE, CONTROL_USER, SERVICE_ROLE, Limit, Subject
from fluxbase.kernel.ids import ANON
from fluxbase.kernel.ids import SERVICE_ROLE as SERVICE_ROLE_NAME
from fluxbase.web.context import KEY
from fluxbase.web.rate_limit_fields import fields

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from fluxbase.config.limits import Limits
    from fluxbase.kernel.principal import Principal
    from fluxbase.limits.limiter import RateLimiter
    from fluxbase.limits.rules import Rule
    from fluxbase.web.context import App, Receive, RequestContext, Scope, Send
    from fluxbase.web.routing import Route

BEHIND = frozenset({Subject.PRINCIPAL, Subject.TENANT, Subject.ROUTE})
"""Whom only PrincipalLimit can count."""
BY_SERVICE = frozenset({Subject.SESSION, Subject.ACCOUNT})
"""Whom the service counts that reads the body (``auth/``)."""


def limit_key(address: str) -> str:
    """The address a limit counts: IPv6 by /64, because one user owns all of it."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.split("%", 1)[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))


class AddressLimit:
    """The route's limit, by client address, before any credential is looked at."""

    def __init__(self, app: App, limiter: RateLimiter, settings: Limits) -> None:
        self._app = app
        self._limiter = limiter
        self._settings = settings
        self._exempt = [ipaddress.ip_network(text, strict=False) for text in settings.exempt_networks]
        self._rules: dict[str, tuple[Rule, ...]] = {}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self._limiter.is_enabled:
            context: RequestContext = scope[KEY]
            route = context.route
            if route is not None and not (self._exempt and self._is_exempt(context.address)):
                rules = self._rules.get(route.name) or self._rules_of(route)
                address = context.address
                key = limit_key(address) if ":" in address else address
                if len(rules) != 1 or not rules[0].is_local:
                    return self._counted(scope, receive, send, context, rules, key)
                if not self._limiter.passes_here(rules[0], key):
                    raise self._limiter.refusal_here(rules[0], key)
        return self._app(scope, receive, send)

    async def _counted(
        self, scope: Scope, receive: Receive, send: Send, context: RequestContext, rules: tuple[Rule, ...], key: str
    ) -> None:  # fmt: skip
        quotas = await self._limiter.admit_all([(rule, (key,)) for rule in rules])
        context.response_headers.update(fields(quotas, with_x=self._settings.x_fields))
        await self._app(scope, receive, send)

    def _rules_of(self, route: Route) -> tuple[Rule, ...]:
        own = self._limiter.rule(route.limit, route.name)
        # A ticket stands in the body, which nobody has read yet, and any ticket can be tried: such a route is counted by address.
        rules = [] if route.limit.by in BEHIND | BY_SERVICE else [own]
        if self._settings.has_global and not own.is_local and route.limit is not CONTROL_PLANE and not route.is_data_plane:
            rules.append(self._limiter.rule(CONTROL_PLANE))
        self._rules[route.name] = tuple(rules)
        return self._rules[route.name]

    def _is_exempt(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._exempt)


class PrincipalLimit:
    """What a user or key may do, behind authentication.

    Control plane: the route's own limit by principal, tenant or route, and the global one of users and keys. The anon key is everybody's,
    so its callers are counted by address alone. Data plane: the service role, and roles that have a rule ``data.<role>``.
    Both: an issued key's own limit.
    """

    def __init__(self, app: App, limiter: RateLimiter, settings: Limits) -> None:
        self._app = app
        self._limiter = limiter
        self._settings = settings
        self._data_rules: dict[str, Rule | None] = {}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self._limiter.is_enabled:
            context: RequestContext = scope[KEY]
            route, principal = context.route, context.principal
            if route is not None and principal is not None:
                rules = self._data_rules
                rule = rules[principal.role] if principal.role in rules else self._data_rule(principal.role)
                if rule is not None or not route.is_data_plane or principal.rate_per_minute is not None:
                    return self._counted(scope, receive, send, context, route, principal)
        return self._app(scope, receive, send)

    async def _counted(
        self, scope: Scope, receive: Receive, send: Send, context: RequestContext, route: Route, principal: Principal
    ) -> None:  # fmt: skip
        if principal.rate_per_minute is not None:
            limit = Limit(f"key.{principal.rate_per_minute}", principal.rate_per_minute, 60, 0, Subject.PRINCIPAL)
            await self._limiter.admit_all([(self._limiter.rule(limit), (principal.tenant, "key", principal.credential_id or ""))])
        rule = self._data_rules[principal.role]
        if not route.is_data_plane:
            await self._control(route, principal, context)
        elif rule is not None:
            await self._limiter.admit_all([(rule, _subject(principal, context))])
        await self._app(scope, receive, send)

    def _data_rule(self, role: str) -> Rule | None:
        limit = SERVICE_ROLE if role == SERVICE_ROLE_NAME and self._settings.has_global else None
        self._data_rules[role] = self._limiter.configured(f"data.{role}") or (self._limiter.rule(limit) if limit else None)
        return self._data_rules[role]

    async def _control(self, route: Route, principal: Principal, context: RequestContext) -> None:
        asked: list[tuple[Rule, tuple[str, ...]]] = []
        if route.limit.by in BEHIND:
            whose = {
                Subject.ROUTE: (route.name,),
                Subject.TENANT: (principal.tenant,),
            }.get(route.limit.by) or _subject(principal, context)
            asked.append((self._limiter.rule(route.limit, route.name), whose))
        if self._settings.has_global and not route.limit.is_local:
            limit = _global_of(principal)
            if limit is not None:
                asked.append((self._limiter.rule(limit), _subject(principal, context)))
        if asked:
            headers = context.response_headers
            for name, value in fields(await self._limiter.admit_all(asked), with_x=self._settings.x_fields).items():
                is_list = name in headers and not name.startswith(b"x-")
                headers[name] = headers[name] + b", " + value if is_list else value


def _global_of(principal: Principal) -> Limit | None:
    if principal.role == SERVICE_ROLE_NAME:
        return SERVICE_ROLE
    if principal.user_id is not None:
        return CONTROL_USER
    return CONTROL_KEY if principal.credential_id is not None and principal.role != ANON else None


def _subject(principal: Principal, context: RequestContext) -> tuple[str, ...]:
    """Who it is, within the tenant: a user by id, a key by id; the anon key is everybody's, so its callers are told apart by address."""
    if principal.user_id is not None:
        return principal.tenant, "user", principal.user_id
    if principal.role == ANON or principal.credential_id is None:
        return principal.tenant, principal.role, limit_key(context.address)
    return principal.tenant, "key", principal.credential_id
