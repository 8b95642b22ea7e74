"""Snapshots: loads are shared, none is older than asked for, equal schemas of tenants are one."""

from __future__ import annotations

import asyncio

import pytest

from fluxbase.data.snapshot import Snapshot, SnapshotStore
from fluxbase.kernel.errors import Unavailable


def snapshot(epoch: int, fingerprint: str = "f") -> Snapshot:
    """An empty schema."""
    return Snapshot(epoch, fingerprint, ("public",), {}, {}, [], {}, frozenset())


class Catalogue:
    """A database whose epoch and schema the test moves."""

    def __init__(self) -> None:
        self.epoch, self.fingerprint, self.loads, self.is_away = 1, "f", 0, False

    async def load(self, tenant: str) -> Snapshot:
        """Reads first, answers later, as a slow catalogue query does."""
        self.loads += 1
        read = snapshot(self.epoch, self.fingerprint)
        await asyncio.sleep(0.01)
        if self.is_away:
            raise Unavailable("away")
        return read


def test_a_hundred_callers_share_one_load() -> None:
    """Who asks while a load is under way waits for it."""

    async def scenario() -> None:
        catalogue = Catalogue()
        store = SnapshotStore(catalogue.load)
        found = await asyncio.gather(*[store.get("a") for _ in range(100)])
        assert len({id(each) for each in found}) == catalogue.loads == 1

    asyncio.run(scenario())


def test_a_load_that_began_too_early_is_not_enough() -> None:
    """The schema moves while a load is under way: who was refused for the old epoch gets the new one, not the load's."""

    async def scenario() -> None:
        catalogue = Catalogue()
        store = SnapshotStore(catalogue.load)
        await store.get("a")
        early = asyncio.create_task(store.newer("a", 1))
        await asyncio.sleep(0.001)
        catalogue.epoch, catalogue.fingerprint = 2, "g"
        assert (await store.newer("a", 1)).epoch == 2
        await early

    asyncio.run(scenario())


def test_what_others_loaded_meanwhile_is_good_enough() -> None:
    """A thousand requests refused for the same epoch cost one load, whenever they hear of it."""

    async def scenario() -> None:
        catalogue = Catalogue()
        store = SnapshotStore(catalogue.load)
        await store.get("a")
        catalogue.epoch, catalogue.fingerprint = 2, "g"
        for _ in range(10):
            await asyncio.gather(*[store.newer("a", 1) for _ in range(100)])
        assert catalogue.loads == 2

    asyncio.run(scenario())


def test_a_notification_during_a_load_makes_another() -> None:
    """``reload`` is answered by a load that began after it."""

    async def scenario() -> None:
        catalogue = Catalogue()
        store = SnapshotStore(catalogue.load)
        first = asyncio.create_task(store.get("a"))
        await asyncio.sleep(0.001)
        catalogue.fingerprint = "g"
        assert (await store.reload("a")).fingerprint == "g"
        await first

    asyncio.run(scenario())


def test_an_unchanged_schema_keeps_its_compiled_statements() -> None:
    """A newer epoch of the same schema: same snapshot, same plans, the new epoch."""

    async def scenario() -> None:
        catalogue = Catalogue()
        store = SnapshotStore(catalogue.load)
        before = await store.get("a")
        before.plans["key"] = "statement"
        catalogue.epoch = 9
        after = await store.reload("a")
        assert after is before
        assert (after.epoch, after.plans) == (9, {"key": "statement"})

    asyncio.run(scenario())


def test_tenants_with_equal_schemas_share_all_but_the_epoch() -> None:
    """Two databases of one template: one set of relations and plans in memory, an epoch each."""

    async def scenario() -> None:
        catalogue = Catalogue()
        store = SnapshotStore(catalogue.load)
        one = await store.get("a")
        catalogue.epoch = 5
        two = await store.get("b")
        assert two.plans is one.plans
        assert (one.epoch, two.epoch) == (1, 5)

    asyncio.run(scenario())


def test_a_failed_load_leaves_the_old_snapshot_and_no_trace() -> None:
    """The database is away: those who ask hear it, the snapshot at hand stays, the next load works."""

    async def scenario() -> None:
        unhandled: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        catalogue = Catalogue()
        store = SnapshotStore(catalogue.load)
        before = await store.get("a")
        catalogue.is_away = True
        with pytest.raises(Unavailable):
            await store.reload("a")
        leaving = asyncio.create_task(store.reload("a"))
        await asyncio.sleep(0.001)
        leaving.cancel()
        await asyncio.sleep(0.05)
        assert store.held("a") is before
        catalogue.is_away, catalogue.epoch = False, 3
        assert (await store.reload("a")).epoch == 3
        assert unhandled == []

    asyncio.run(scenario())
