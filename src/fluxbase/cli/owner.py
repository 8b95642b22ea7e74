"""Finds the database of an instance by its data directory and opens the way to it as ``fluxbase_owner``, for one command."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


class OwnerConnectionError(Exception):
    """There is no database to talk to; one line that says what to do."""


@contextmanager
def owner_connection(data: Path | None) -> Generator[str]:
    """libpq parameters of the administrator ``fluxbase_owner``.

    An embedded PostgreSQL that is not running is started for the command and stopped after it. Raises :class:`OwnerConnectionError`,
    ConfigError.
    """
    from fluxbase.crypto.master import MasterKey, MasterKeyError
    from fluxbase.db.cluster import Cluster, ClusterError
    from fluxbase.db.instance import Instance, running_config
    from fluxbase.parts.target import target_of

    config = running_config(data)
    if config.database.url is None and not (config.data_dir / "postgres").exists():
        raise OwnerConnectionError(f"there is no instance in {config.data_dir}; start one: fluxbase start --data {config.data_dir}")
    instance = Instance(config.data_dir)
    cluster = Cluster(config.data_dir) if config.database.url is None else None
    is_ours = False
    try:
        if cluster is not None and not cluster.is_running():
            instance.acquire()
            is_ours = True
            cluster.start()
        master = MasterKey.load(config.data_dir / "master.key", config.master_key)
        yield target_of(config, master).owner_conninfo
    except (ClusterError, MasterKeyError) as error:
        raise OwnerConnectionError(str(error)) from error
    finally:
        if is_ours and cluster is not None:
            cluster.stop()
            instance.release()
