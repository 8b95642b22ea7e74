"""What happens before the first worker: data directory, listener, PostgreSQL, kernel, migrations, keys."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fluxbase import __version__
from fluxbase.app import open_program
from fluxbase.cli.listener import bind, check_certificate
from fluxbase.cli.prepare_peer import check_peer
from fluxbase.config import Config
from fluxbase.crypto.master import MasterKey
from fluxbase.db.cluster import Cluster
from fluxbase.db.instance import ClusterError, Instance
from fluxbase.db.provision import ProvisionError, ensure_database, provision
from fluxbase.db.seeds import load_seeds
from fluxbase.db.user_migrations import apply_pending
from fluxbase.parts.target import EMBEDDED_DATABASE, Target, target_of
from fluxbase.worker import public_url

if TYPE_CHECKING:
    from fluxbase.cli.progress import Progress


@dataclass(slots=True)
class Prepared:
    """What ``start`` holds until the end."""

    config: Config
    instance: Instance
    cluster: Cluster | None
    listener: socket.socket | None
    keys: dict[str, str]
    setup_token: str | None = field(default=None, repr=False)
    """Makes the first platform administrator; None when there is one."""
    notes: list[str] = field(default_factory=list[str])
    """What to print about a database that is served as it is."""

    def close(self) -> None:
        """Stop PostgreSQL, give port and directory free."""
        if self.listener is not None:
            self.listener.close()
        if self.cluster is not None:
            self.cluster.stop()
        self.instance.release()


def prepare(config: Config, *, example: Path | None, progress: Progress) -> Prepared:
    """Bring everything up to the point where workers may start; on any failure what was started is stopped again.

    Raises ClusterError, MasterKeyError, MigrationError, FluxbaseError.
    """
    prepared = Prepared(config, Instance(config.data_dir), None, None, {})
    try:
        prepared.instance.acquire()
        check_certificate(config.server.tls)
        prepared.listener = bind(config.server.host, config.server.port, config.server.backlog)
        if config.server.port == 0:
            port = int(prepared.listener.getsockname()[1])
            os.environ["FLUXBASE_SERVER_PORT"] = str(port)  # the workers read it
            config = prepared.config = config.model_copy(update={"server": config.server.model_copy(update={"port": port})})
        if not config.database.manage:
            progress.step("Looking at the database")
            prepared.notes = check_peer(config)
            prepared.instance.write_state(_state(config))
            return prepared
        master = MasterKey.load_or_create(config.data_dir / "master.key", config.master_key)
        if config.database.url is None:
            progress.step("Starting PostgreSQL")
            prepared.cluster = Cluster(config.data_dir)
            info = prepared.cluster.start()
            ensure_database(info.conninfo(info.superuser, info.superuser_password, "postgres"), EMBEDDED_DATABASE)
        target = target_of(config, master)
        progress.step("Preparing the database")
        provision_database(config, target, progress)
        _migrate(config, target, example, progress)
        progress.step("Reading the keys")
        prepared.keys, prepared.setup_token = asyncio.run(_ensure_keys(config))
        prepared.instance.write_state(_state(config))
    except ProvisionError as error:
        prepared.close()
        raise ClusterError(str(error)) from error
    except BaseException:
        prepared.close()
        raise
    return prepared


def _state(config: Config) -> dict[str, object]:
    """What commands need in order to find this instance. No secrets."""
    file = Path(os.environ.get("FLUXBASE_CONFIG", "fluxbase.yaml"))
    return {
        "pid": os.getpid(),
        "url": public_url(config),
        "host": config.server.host,
        "port": config.server.port,
        "version": __version__,
        "config_file": str(file.absolute()) if file.exists() else None,
        "has_own_database": config.database.url is not None,
    }


def provision_database(config: Config, target: Target, progress: Progress) -> None:
    """Roles, kernel and exposed schemas; says what this PostgreSQL does not allow."""
    report = provision(
        target.admin_conninfo,
        exposed_schemas=config.data.schemas,
        open_relations=config.data.open_relations,
        custom_roles=config.data.custom_roles,
        login_secret=target.login_secret,
    )
    for weakness in report.weaker:
        progress.say(f"weaker: {weakness}")


def _migrate(config: Config, target: Target, example: Path | None, progress: Progress) -> None:
    folders = [example / "migrations"] if example is not None else []
    own = Path(config.database.migrations_path)
    if own.is_dir():
        folders.append(own)
    for folder in folders:
        apply_pending(target.owner_conninfo, folder, on_event=progress.migration)
    if example is not None:
        progress.step("Loading the example's rows")
        for seeded in load_seeds(target.owner_conninfo, example / "seeds"):
            progress.say(f"{seeded.rows} rows into {seeded.table}")


async def _ensure_keys(config: Config) -> tuple[dict[str, str], str | None]:
    async with open_program(config.data_dir, config=config) as program:
        await program.keys.ensure_keys(program.registry.default)
        await program.keys.ensure_keys(program.home)
        keys = (await program.keys.show(program.registry.default)).revealed()
        return keys, await program.platform.new_setup_token()
