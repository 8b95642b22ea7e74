"""The composition root: builds every part of one worker, the only place that does.

``create`` is what granian imports; ``open_program`` gives commands and tests the same parts without a listener.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluxbase.config import Config, load_config
from fluxbase.crypto.master import MasterKey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fluxbase.kernel.secret import Secret


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
        return self.login_conninfo("fluxbase_owner")
