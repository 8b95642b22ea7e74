"""What happens before the first worker: data directory, PostgreSQL, kernel, migrations, keys. Each step says what it did."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxbase import __version__
from fluxbase.app import EMBEDDED_DATABASE, Target, open_program, public_url, target_of
from fluxbase.config import Config, ConfigError, load_config
from fluxbase.crypto.master import MasterKey, MasterKeyError
from fluxbase.db.cluster import Cluster, ClusterError
from fluxbase.db.instance import Instance
from fluxbase.db.provision import ProvisionError, ensure_database, provision
from fluxbase.db.seeds import load_seeds
from fluxbase.db.user_migrations import MigrationError, apply_pending
from fluxbase.kernel.errors import FluxbaseError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class PrepareError(Exception):
    """The start cannot go on; one line that says what to do."""


@dataclass(slots=True)
class Prepared:
    """What ``start`` holds until the end."""

    config: Config
    instance: Instance
    cluster: Cluster | None
    keys: dict[str, str]

    def close(self) -> None:
        """Stop PostgreSQL, give the directory free."""
        if self.cluster is not None:
            self.cluster.stop()
        self.instance.release()


def prepare(*, example: Path | None, say: Callable[[str], None]) -> Prepared:
    """Bring everything up to the point where workers may start. Raises PrepareError."""
    try:
        config = load_config()
    except ConfigError as error:
        raise PrepareError(str(error)) from None
    instance = Instance(config.data_dir)
    cluster: Cluster | None = None
    try:
        instance.acquire()
        master = MasterKey.load_or_create(config.data_dir / "master.key", config.master_key)
        if config.database.url is None:
            cluster = Cluster(config.data_dir)
            info = cluster.start()
            ensure_database(info.conninfo(info.superuser, info.superuser_password, "postgres"), EMBEDDED_DATABASE)
        target = target_of(config, master)
        _provision(config, target, say)
        _migrate(config, target, example, say)
        keys = asyncio.run(_ensure_keys(config))
        instance.write_state({"pid": os.getpid(), "url": public_url(config), "port": config.server.port, "version": __version__})
        return Prepared(config, instance, cluster, keys)
    except (ClusterError, MasterKeyError, ProvisionError, MigrationError, FluxbaseError) as error:
        if cluster is not None:
            cluster.stop()
        instance.release()
        raise PrepareError(str(error)) from error
    except BaseException:
        if cluster is not None:
            cluster.stop()
        instance.release()
        raise


def _provision(config: Config, target: Target, say: Callable[[str], None]) -> None:
    report = provision(
        target.admin_conninfo,
        exposed_schemas=config.data.schemas,
        open_relations=config.data.open_relations,
        custom_roles=config.data.custom_roles,
        login_secret=target.login_secret,
    )
    for weakness in report.weaker:
        say(f"weaker: {weakness}")


def _migrate(config: Config, target: Target, example: Path | None, say: Callable[[str], None]) -> None:
    from pathlib import Path as FilePath

    folders = [example / "migrations"] if example is not None else []
    own = FilePath(config.database.migrations_path)
    if own.is_dir():
        folders.append(own)
    for folder in folders:
        applied = apply_pending(target.owner_conninfo, folder)
        if applied:
            say(f"applied {len(applied)} migration(s) from {folder}")
    if example is not None and (example / "seeds").is_dir():
        load_seeds(target.owner_conninfo, example / "seeds")


async def _ensure_keys(config: Config) -> dict[str, str]:
    async with open_program(config.data_dir, config=config) as program:
        await program.keys.ensure_keys(program.registry.default)
        return (await program.keys.show(program.registry.default)).revealed()
