"""AddressLimit and PrincipalLimit: how often a route may be called (contract-native 4.3, threat G61).

AddressLimit stands before authentication and counts the client's address (IPv6 by /64), PrincipalLimit behind it the user or key.
Routes of the control plane count the global limits as well as their own. The data plane's limit is counted in the process.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from fluxbase.kernel.access import CONTROL_KEY, CONTROL_PLANE, CONTROL_USER, SERVICE_ROLE, Subject
from fluxbase.kernel.ids import SERVICE_ROLE as SERVICE_ROLE_NAME
from fluxbase.kernel.principal import CredentialKind
from fluxbase.web.context import context_of
from fluxbase.web.rate_limit_fields import fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxbase.kernel.principal import Principal
    from fluxbase.limits.limiter import RateLimiter
    from fluxbase.limits.rules import Rule
    from fluxbase.web.context import App, Receive, RequestContext, Scope, Send
    from fluxbase.web.routing import Route

BEHIND = frozenset({Subject.PRINCIPAL, Subject.TENANT, Subject.ROUTE})
"""Whom only PrincipalLimit can count."""


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

    def __init__(
        self, app: App, limiter: RateLimiter, *, has_global: bool = True, exempt: Sequence[str] = (), has_x_fields: bool = False
    ) -> None:
        self._app = app
        self._limiter = limiter
        self._has_global = has_global
        self._exempt = [ipaddress.ip_network(text, strict=False) for text in exempt]
        self._has_x_fields = has_x_fields
        self._rules: dict[str, tuple[Rule, ...]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._limiter.is_enabled and scope["type"] != "lifespan":
            context = context_of(scope)
            route = context.route
            if route is not None and not (self._exempt and self._is_exempt(context.address)):
                rules = self._rules.get(route.name) or self._rules_of(route)
                key = limit_key(context.address)
                if len(rules) == 1 and rules[0].is_local:
                    if not self._limiter.passes_here(rules[0], key):
                        raise self._limiter.refusal_here(rules[0], key)
                else:
                    quotas = await self._limiter.admit_all([(rule, (key,)) for rule in rules])
                    context.response_headers.update(fields(quotas, with_x=self._has_x_fields))
        await self._app(scope, receive, send)

    def _rules_of(self, route: Route) -> tuple[Rule, ...]:
        own = self._limiter.rule(route.limit, route.name)
        rules = [own] if route.limit.by is Subject.ADDRESS else []
        if self._has_global and not own.is_local and route.limit is not CONTROL_PLANE and not route.is_data_plane:
            rules.append(self._limiter.rule(CONTROL_PLANE))
        self._rules[route.name] = tuple(rules)
        return self._rules[route.name]

    def _is_exempt(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._exempt)
