"""Which PostgreSQL a program works on, and its own logins there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxbase.config import ConfigError
from fluxbase.db.conninfo import admin_database, with_database
from fluxbase.db.provision import OWNER_LOGIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxbase.config import Config
    from fluxbase.crypto.master import MasterKey
    from fluxbase.kernel.secret import Secret

EMBEDDED_DATABASE = "fluxbase"
MAIN = "main"
"""In place of a tenant: the database that holds the register."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which PostgreSQL, and the passwords of our logins in it."""

    database: str
    admin_conninfo: str
    """For provisioning: the embedded superuser, or the configured URL."""
    conninfo_of: Callable[[str, Secret, str], str]
    login_secret: Callable[[str], Secret]

    def login_conninfo(self, login: str, database: str | None = None) -> str:
        """Connection string of one of our own logins."""
        return self.conninfo_of(login, self.login_secret(login), database or self.database)

    @property
    def owner_conninfo(self) -> str:
        """The administrator: migrations, seeds, psql, dump."""
        return self.login_conninfo(OWNER_LOGIN)


def target_of(config: Config, master: MasterKey) -> Target:
    """The embedded cluster of the data directory, or the configured database. Raises ConfigError for one that is not managed."""
    if not config.database.manage:
        raise ConfigError("database.manage is false: nothing of Fluxbase is in this database, so there is nothing to do here")

    def secret_of(login: str) -> Secret:
        return master.derive_secret(f"login:{login}")

    if config.database.url is None:
        from fluxbase.db.cluster import Cluster

        info = Cluster(config.data_dir).info()
        return Target(
            EMBEDDED_DATABASE, info.conninfo(info.superuser, info.superuser_password, EMBEDDED_DATABASE), info.conninfo, secret_of
        )

    from fluxbase.db.conninfo import with_login, with_tls

    admin = with_tls(config.database.url.reveal(), require=config.database.require_tls, ca_file=config.database.ca_file)
    return Target(
        admin_database(admin),
        admin,
        lambda user, password, database: with_database(with_login(admin, user, password.reveal()), database),
        secret_of,
    )
