"""What mails need of their neighbours, passed in by ``parts/mail.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager
    from email.message import EmailMessage

    from fluxbase.config import Config
    from fluxbase.kernel.ids import TenantId

    Send = Callable[[EmailMessage], Awaitable[None]]


class Tenant(Protocol):
    """Whose mails they are (``tenancy/registry.py``)."""

    @property
    def id(self) -> TenantId:
        """Its UUID."""
        ...

    @property
    def settings(self) -> Config:
        """In force for this tenant."""
        ...


class SystemTx(Protocol):
    """One transaction of ``fluxbase_system`` in one tenant's database (``db/session.py``)."""

    async def fetch(self, sql: Any, *params: Any) -> list[tuple[Any, ...]]:
        """Rows of a statement with ``$1`` parameters."""
        ...


class SystemSessions(Protocol):
    """Opens such transactions; commits when the block ends well."""

    def __call__(self, tenant: Any, *, reason: str) -> AbstractAsyncContextManager[Any]:
        """``async with sessions(tenant, reason="…") as tx``."""
        ...


class Sealer(Protocol):
    """Encrypts what a stolen database must not tell (``crypto/master.py``)."""

    def seal(self, plaintext: bytes, associated: str) -> bytes:
        """Encrypt, bound to a place."""
        ...

    def open(self, sealed: bytes, associated: str) -> bytes:
        """Undo it; raises for another place and any changed byte."""
        ...


class Transport(Protocol):
    """The way to a mail server (``smtp.py``)."""

    def connect(self) -> AbstractAsyncContextManager[Send]:
        """One connection for several mails. Raises DeliveryFailed, and so does what it gives."""
        ...


class DeliveryFailed(Exception):
    """A mail server did not take a mail. ``is_final``: it never will."""

    def __init__(self, reason: str, *, is_final: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_final = is_final
