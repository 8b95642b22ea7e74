"""What a user holds in his tenant, in the claims of his requests (docs/rbac.md).

A user nobody knows anything of is taken for one who holds nothing, under epoch 0; when that is wrong ``fluxbase.admit``
says so (FB004), what he holds is read, and the statement is sent again with new claims. So those who hold nothing cost no
query, and a change acts on the next request on every node: it denies the epoch before it in its own transaction
(threat B20). What is held here is only ever a guess that the database checks.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from fluxbase.auth.rbac_store import select_grants

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxbase.auth.ports import SystemSessions
    from fluxbase.kernel.ids import TenantId, UserId
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant

HELD_SECONDS = 3600.0
"""Less than what an outdated epoch stays denied for."""
MOST_USERS = 50_000
MOST_ORGANISATIONS = 100
"""With more the claims would be too long: the functions look them up."""


@dataclass(frozen=True, slots=True)
class Held:
    """What one user holds."""

    epoch: int
    claims: dict[str, Any]
    permissions: frozenset[str]
    read_at: float = 0.0


NOTHING = Held(0, {}, frozenset())


class Grants:
    """Holds what was read of the users who hold something."""

    def __init__(
        self, sessions: SystemSessions, tenant_of: Callable[[TenantId], Tenant], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sessions = sessions
        self._tenant_of = tenant_of
        self._clock = clock
        self._held: OrderedDict[tuple[TenantId, UserId], Held] = OrderedDict()
        self._applied: OrderedDict[str, tuple[Held, Principal, Principal]] = OrderedDict()

    def apply(self, principal: Principal) -> Principal:
        """The caller with the grants at hand in his claims; no waiting, this is the hot path."""
        if principal.user_id is None or principal.platform_role is not None:
            return principal
        held = self._of((principal.tenant, principal.user_id))
        known = self._applied.get(principal.claims_json)
        if known is not None and known[0] is held and known[1] is principal:
            return known[2]
        applied = _with(principal, principal.user_id, held)
        self._applied[principal.claims_json] = (held, principal, applied)
        while len(self._applied) > MOST_USERS:
            self._applied.popitem(last=False)
        return applied

    async def renew(self, outdated: Principal) -> Principal:
        """The same caller with claims of now, after the database refused those of ``outdated``."""
        if outdated.user_id is None:
            return outdated
        key = (outdated.tenant, outdated.user_id)
        held = self._of(key)
        if _epoch_key(outdated, outdated.user_id, held.epoch) in outdated.deny_keys:
            tenant = self._tenant_of(outdated.tenant)
            async with self._sessions(tenant, reason="read what a user holds") as tx:
                grants = await select_grants(tx, tenant.id, outdated.user_id)
            held = Held(grants["epoch"], _as_claims(grants), frozenset(grants["permissions"]), self._clock())
            self._held[key] = held
            self._held.move_to_end(key)
            while len(self._held) > MOST_USERS:
                self._held.popitem(last=False)
        return _with(outdated, outdated.user_id, held)

    def _of(self, key: tuple[TenantId, UserId]) -> Held:
        held = self._held.get(key)
        return NOTHING if held is None or self._clock() - held.read_at > HELD_SECONDS else held


def _with(principal: Principal, user: UserId, held: Held) -> Principal:
    claims: dict[str, Any] = orjson.loads(principal.claims_json)
    claims.pop("grants", None)
    if held.claims:
        claims["grants"] = held.claims
    own = f"claims:{principal.tenant}/"
    others = tuple(key for key in principal.deny_keys if not key.startswith(own))
    return replace(
        principal,
        claims_json=orjson.dumps(claims).decode(),
        deny_keys=(*others, _epoch_key(principal, user, held.epoch)),
        permissions=held.permissions,
    )


def _epoch_key(principal: Principal, user: UserId, epoch: int) -> str:
    return f"claims:{principal.tenant}/{user}:{epoch}"


def _as_claims(grants: dict[str, Any]) -> dict[str, Any]:
    claims = {name: value for name, value in grants.items() if name != "epoch"}
    if len(claims["orgs"]) > MOST_ORGANISATIONS:
        del claims["orgs"]
        claims["is_partial"] = True
    return claims
