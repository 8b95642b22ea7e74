"""One cluster a module for the tests of the executor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.db.executor_database import Database
from tests.support.cluster import TempCluster


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    """A provisioned database with the diary schema."""
    cluster = TempCluster()
    try:
        yield Database(cluster, "app")
    finally:
        cluster.stop()
