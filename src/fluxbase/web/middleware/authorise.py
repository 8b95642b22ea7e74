"""Authorise: may this caller, with this kind of credential, use this route, and is the credential still good.

The table is in ``kernel/permissions.py``. On the data plane revocation is checked inside the request's own transaction; a
route of the control plane has none as the caller, so it is asked here, before the handler runs (DESIGN invariant 5), unless the route
says that its handler asks in its own transaction.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from fluxbase.kernel.access import Access
from fluxbase.kernel.errors import Forbidden, Unavailable
from fluxbase.kernel.ids import SERVICE_ROLE, TENANT_SERVICE
from fluxbase.kernel.permissions import authorise
from fluxbase.kernel.principal import CredentialKind
from fluxbase.web.context import KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import TenantRegistry
    from fluxbase.web.context import App, Receive, RequestContext, Scope, Send

    Standing = Callable[[Principal, float], Awaitable[Principal]]
    """The principal as it stands now, before the deadline. Raises Revoked, or Unavailable when its tenant is frozen."""


class Authorise:
    """The route's access and permission against the principal."""

    def __init__(
        self, app: App, registry: TenantRegistry, standing: Standing | None = None, used: Callable[[Principal, str], None] | None = None
    ) -> None:
        self._app = app
        self._instance = registry.default.id
        self._standing = standing
        self._used = used

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        context: RequestContext = scope[KEY]
        route = context.route
        access = Access.SERVICE if route is None else route.access
        if access is not _PUBLIC:
            check_place(context)
            is_asked_there = route is None or route.is_data_plane or route.checks_standing
            if self._standing is not None and not is_asked_there:
                return self._asked(scope, receive, send, context, access, self._standing)
            self._decide(scope, context, access)
        return self._app(scope, receive, send)

    async def _asked(
        self, scope: Scope, receive: Receive, send: Send, context: RequestContext, access: Access, standing: Standing
    ) -> None:  # fmt: skip
        await check_standing(context, access, standing)
        self._decide(scope, context, access)
        await self._app(scope, receive, send)

    def _decide(self, scope: Scope, context: RequestContext, access: Access) -> None:
        permission = None if context.route is None else context.route.permissions.get(scope.get("method", "GET"))
        principal = context.principal
        authorise(access, permission, principal, address=context.address, instance=self._instance)
        if self._used is not None and principal is not None and principal.credential in ISSUED:
            self._used(principal, context.address)


_PUBLIC = Access.PUBLIC  # Python 3.11 looks an enumeration's member up in Python
ISSUED = frozenset({CredentialKind.CLIENT_KEY, CredentialKind.SERVICE_KEY})
SECRETS = frozenset({CredentialKind.KEY, CredentialKind.SERVICE_KEY})
_FROM_BROWSER = (b"origin", b"sec-fetch-site", b"sec-fetch-dest")
"""Sent by browsers and by nothing else; ``sec-fetch-mode`` is sent by Node's own client too."""


def check_place(context: RequestContext) -> None:
    """Raises Forbidden for a key outside its networks, and for a secret key that a browser sends: there it can be read by anybody."""
    principal = context.principal
    if principal is None:
        return
    if principal.networks and not _is_within(context.address, principal.networks):
        raise Forbidden("The key may not be used from this address.", code="key_network")
    is_secret = principal.credential in SECRETS and principal.role in (SERVICE_ROLE, TENANT_SERVICE)
    if is_secret and any(name in context.headers for name in _FROM_BROWSER):
        raise Forbidden(
            "A secret key was sent by a browser.", code="secret_key_in_browser",
            hint="Use the publishable key or a signed-in user's token there, and rotate this one: whoever loads the page can read it.",
        )  # fmt: skip


def _is_within(address: str, networks: tuple[str, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address.split("%", 1)[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in ipaddress.ip_network(network) for network in networks)


async def check_standing(context: RequestContext, access: Access, standing: Standing) -> None:
    """Whether the credential still holds: Revoked when not. Who thaws a tenant may be of the frozen one."""
    if context.principal is None or not (context.principal.deny_keys or access is Access.ENTRY):
        return
    try:
        context.principal = await standing(context.principal, context.deadline)
    except Unavailable as error:
        if error.code != "frozen" or access is not Access.INSTANCE:
            raise
    except Forbidden as error:  # a factor of this token is gone, and another must be shown: that is done on these routes
        if error.code != "insufficient_aal" or access is not Access.PENDING:
            raise
