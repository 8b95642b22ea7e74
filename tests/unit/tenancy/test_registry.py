"""The registry: one query for a name at once, one for all tenants in use, and nothing stale beyond its second."""

from __future__ import annotations

import asyncio
from collections import Counter

from fluxbase.kernel.ids import DatabaseName, TenantId
from fluxbase.tenancy.registry import Entry, Key, Tenant, TenantRegistry

DEFAULT = Tenant(TenantId("d"), "default", DatabaseName("main"), "locator-d", is_default=True)


class Register:
    """``platform.tenants`` of a test, which counts what is asked."""

    def __init__(self, number: int) -> None:
        self.served = {f"id-{n}": Tenant(TenantId(f"id-{n}"), f"slug-{n}", DatabaseName(f"db-{n}"), f"locator-{n}") for n in range(number)}
        self.asked: Counter[str] = Counter()

    async def look_up(self, key: Key, value: str) -> Tenant | None:
        """One tenant by one of its names."""
        self.asked["one"] += 1
        await asyncio.sleep(0.001)
        return next((each for each in self.served.values() if value in (each.id, each.slug, each.locator)), None)

    async def look_up_again(self, tenants: list[TenantId]) -> dict[TenantId, tuple[Tenant, tuple[str, ...]]]:
        """Many by id."""
        self.asked["many"] += 1
        return {each: (self.served[each], ()) for each in tenants if each in self.served}


def expire(registry: TenantRegistry) -> None:
    """A second passes for every answer."""
    entries: list[Entry] = list(registry._found.values())
    for entry in entries:
        entry.holds_until -= 1.0


def test_a_hundred_who_ask_at_once_cost_one_query() -> None:
    """A tenant that becomes busy at once keeps nobody else waiting for the register."""

    async def scenario() -> None:
        register = Register(1)
        registry = TenantRegistry(DEFAULT, register.look_up)
        found = await asyncio.gather(*[registry.find("slug", "slug-0") for _ in range(100)])
        assert {each and each.id for each in found} == {"id-0"}
        assert register.asked["one"] == 1

    asyncio.run(scenario())


def test_a_thousand_tenants_in_use_are_looked_up_again_by_one_query() -> None:
    """What a refresh confirms holds for another second, so no request asks by itself."""

    async def scenario() -> None:
        register = Register(1_000)
        registry = TenantRegistry(DEFAULT, register.look_up)
        for number in range(1_000):
            await registry.find("locator", f"locator-{number}")
        await registry.refresh(register.look_up_again)
        assert register.asked == {"one": 1_000, "many": 1}
        expire(registry)
        assert registry.held("locator", "locator-7") is None

    asyncio.run(scenario())


def test_a_refresh_forgets_who_is_no_longer_served() -> None:
    """A deleted tenant's answer goes with the next refresh; the others' stay."""

    async def scenario() -> None:
        register = Register(2)
        registry = TenantRegistry(DEFAULT, register.look_up)
        for number in range(2):
            await registry.find("slug", f"slug-{number}")
        del register.served["id-0"]
        await registry.refresh(register.look_up_again)
        assert registry.held("slug", "slug-0") is None
        assert registry.held("slug", "slug-1") is not None
        assert await registry.find("slug", "slug-0") is None

    asyncio.run(scenario())


def test_forgetting_one_tenant_leaves_the_others() -> None:
    """Making a tenant in a busy fleet makes nobody else cold."""

    async def scenario() -> None:
        register = Register(2)
        registry = TenantRegistry(DEFAULT, register.look_up)
        for number in range(2):
            await registry.find("slug", f"slug-{number}")
        registry.forget("id-0", "slug-0")
        assert registry.held("slug", "slug-0") is None
        assert registry.held("slug", "slug-1") is not None

    asyncio.run(scenario())
