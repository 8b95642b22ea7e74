"""Snapshots: loads are shared, none is older than asked for, equal schemas of tenants are one."""

from __future__ import annotations

import asyncio

import pytest

from fluxbase.data.snapshot import Snapshot
from fluxbase.data.snapshot_store import SnapshotStore
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


class Fleet(Catalogue):
    """Databases made of one template; each has an epoch of its own, and its schema is the template's as long as that is 1."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: dict[str, int] = {}

    async def lineage_of(self, tenant: str) -> tuple[int, str | None]:
        """What the database says of itself."""
        epoch = self.epochs.get(tenant, 1)
        return epoch, "template" if epoch == 1 else None

    async def load_of(self, tenant: str) -> Snapshot:
        """Reads the catalogue."""
        self.epoch = self.epochs.get(tenant, 1)
        return await self.load(tenant)


def test_the_schema_of_unchanged_copies_is_read_once() -> None:
    """A thousand tenants of one template: one load, one set of plans; who changed his is read, and back again shares by its content."""

    async def scenario() -> None:
        fleet = Fleet()
        store = SnapshotStore(fleet.load_of, fleet.lineage_of)
        found = [await store.get(f"t{number}") for number in range(1_000)]
        assert fleet.loads == 1
        assert len({id(each.plans) for each in found}) == 1
        fleet.epochs["t1"], fleet.fingerprint = 2, "g"
        assert (await store.newer("t1", 1)).fingerprint == "g"
        assert (await store.get("t2")).fingerprint == "f"
        fleet.fingerprint = "f"
        fleet.epochs["t3"] = 2
        assert (await store.newer("t3", 1)).plans is found[0].plans

    asyncio.run(scenario())


def test_a_schema_that_changed_while_it_was_read_speaks_for_nobody() -> None:
    """The catalogue may be newer than the epoch read before it: such a load must not be taken for the template's."""

    async def scenario() -> None:
        fleet = Fleet()

        async def changed_meanwhile(tenant: str) -> Snapshot:
            read = await fleet.load_of(tenant)
            if tenant == "early":
                fleet.epochs["early"] = 2
                read.fingerprint = "newer"
            return read

        store = SnapshotStore(changed_meanwhile, fleet.lineage_of)
        await store.get("early")
        assert (await store.get("other")).fingerprint == "f"
        assert fleet.loads == 2

    asyncio.run(scenario())


def test_changed_roles_are_read_again_although_no_epoch_moved() -> None:
    """``reload`` reads whatever the lineage says, and the other tenants' are read when they are asked for."""

    async def scenario() -> None:
        fleet = Fleet()
        store = SnapshotStore(fleet.load_of, fleet.lineage_of)
        await store.get("a")
        await store.get("b")
        fleet.fingerprint = "g"
        store.forget_all_but("a")
        assert (await store.reload("a")).fingerprint == "g"
        assert store.held("b") is None
        assert (await store.get("b")).fingerprint == "g"

    asyncio.run(scenario())
