"""How many of a worker's connections one tenant may hold: as many as are left for all others.

So a tenant whose statements all hang, wait for a lock or cannot connect takes half of them, a second one a quarter, and
whoever comes next still finds some (the dynamic threshold of Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2),
1998). A fixed share each would leave most connections idle in fleets where few tenants are busy at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fluxbase.kernel.ids import TenantId


class Shares:
    """Connections in use or being opened, by tenant."""

    __slots__ = ("_held", "_left")

    def __init__(self, total: int) -> None:
        self._left = total
        self._held: dict[TenantId, int] = {}

    def may_take(self, tenant: TenantId, *, is_first: bool) -> bool:
        """Whether a tenant may hold one more; ``is_first``: it has none of this role yet, for which anything that is left will do."""
        return self._left > 0 and (is_first or self._held.get(tenant, 0) < self._left)

    def take(self, tenant: TenantId) -> None:
        """It holds one more."""
        self._left -= 1
        self._held[tenant] = self._held.get(tenant, 0) + 1

    def give_back(self, tenant: TenantId) -> None:
        """It holds one less."""
        self._left += 1
        held = self._held[tenant] - 1
        if held:
            self._held[tenant] = held
        else:
            del self._held[tenant]
