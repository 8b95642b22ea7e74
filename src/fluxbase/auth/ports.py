"""What auth needs of its neighbours, passed in by ``app.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from fluxbase.auth.users import Device, SecondFactorRequired, Session, User
    from fluxbase.crypto.opaque import OpaqueKey
    from fluxbase.kernel.access import Limit
    from fluxbase.kernel.ids import TenantId
    from fluxbase.kernel.principal import Principal
    from fluxbase.tenancy.registry import Tenant


class SystemTx(Protocol):
    """One transaction of ``fluxbase_system`` in one tenant's database (``db/session.py``)."""

    async def fetch(self, sql: Any, *params: Any) -> list[tuple[Any, ...]]:
        """Rows of a statement with ``$1`` parameters."""
        ...

    def on_commit(self, call: Callable[[], None]) -> None:
        """Call this when the transaction is committed, and not at all when it is not."""
        ...


class SystemSessions(Protocol):
    """Opens such transactions; commits when the block ends well."""

    def __call__(
        self, tenant: Tenant, *, reason: str, is_single: bool = False, caller: Principal | None = None, deadline: float | None = None
    ) -> AbstractAsyncContextManager[Any]:
        """``async with sessions(tenant, reason="…") as tx``. ``caller``: nothing runs unless his credential still holds."""
        ...


class RateLimits(Protocol):
    """Counts what a route cannot know: attempts by account, ticket or session (``limits/limiter.py``; limits in kernel/access.py)."""

    async def admit(self, limit: Limit, *key: str) -> None:
        """Count one request; ``key`` is the tenant's id, then e-mail, ticket or session. Raises RateLimited, Unavailable."""
        ...

    async def forgive(self, limit: Limit, *key: str) -> None:
        """Give the whole quota back, after a success that proves who it was."""
        ...


class AuditRecorder(Protocol):
    """Writes one row of ``audit.entries`` in the caller's transaction (``audit/store.py``)."""

    async def __call__(self, tx: Any, *, action: str, actor: str, resource: str, details: dict[str, object]) -> Any:
        """Record that ``actor`` did ``action`` to ``resource``."""
        ...


class HttpPost(Protocol):
    """One POST to a server that the administrator named, through the guard of ``outbound``."""

    async def __call__(self, url: str, content: bytes, headers: dict[str, str], *, timeout_seconds: float) -> tuple[int, bytes]:
        """Status and body. Raises Unavailable when there is no usable answer in time."""
        ...


class HttpGet(Protocol):
    """One GET to a server that the administrator named, through the guard of ``outbound``."""

    async def __call__(self, url: str, headers: dict[str, str], *, timeout_seconds: float) -> tuple[int, bytes]:
        """Status and body. Raises Unavailable when there is no usable answer in time."""
        ...


class LeakCheck(Protocol):
    """Whether a password is in a published leak (``auth/leaked_passwords.py``)."""

    async def has(self, password: str) -> bool:
        """True: it is refused."""
        ...


class CallFunction(Protocol):
    """Calls a function of the tenant's database with one JSON argument, as its ``service_role``."""

    async def __call__(self, tenant: Tenant, schema: str, function: str, argument: bytes, *, timeout_seconds: float) -> bytes | None:
        """The JSON it returns; None for SQL NULL. Raises FluxbaseError."""
        ...


class IssuedKeys(Protocol):
    """Looks up keys that users and administrators made (``auth/api_keys.py``)."""

    async def principal(self, tenant: TenantId, key: OpaqueKey, now: float) -> Principal:
        """Who presents it. Raises Unauthenticated or Revoked."""
        ...


class FactorCheck(Protocol):
    """Which second factors a user must still show. Implemented by the factors' service."""

    async def required(self, tx: Any, tenant: Tenant, user: User, *, method: str, device: Device, aal: str) -> SecondFactorRequired | None:
        """None: the session may begin; else the ticket of the second step."""
        ...


class FactorDebt(Protocol):
    """Whether a session still owes a second factor; then its tokens open nothing else."""

    def is_pending(self, tenant: Tenant, user: User, session: Session) -> bool:
        """Asked for every token that is signed."""
        ...


class AccountHooks(Protocol):
    """The application's own code in sign-up and sign-in (``auth/hooks``)."""

    async def before_sign_up(self, tenant: Tenant, account: dict[str, Any]) -> None:
        """Raises AuthError: then no account is made."""
        ...

    def after_sign_up(self, tenant: Tenant, user: User) -> None:
        """Told; never raises."""
        ...

    async def before_sign_in(self, tenant: Tenant, user: User, *, method: str, device: Device) -> None:
        """Raises AuthError: then no session begins."""
        ...

    def after_sign_in(self, tenant: Tenant, user: User, *, method: str, device: Device) -> None:
        """Told; never raises."""
        ...


class ClaimsHook(Protocol):
    """May add claims to an access token (``token issue``)."""

    async def __call__(self, tenant: Tenant, user: User, session: Session, claims: dict[str, object]) -> dict[str, object]:
        """The claims to sign; ours cannot be replaced."""
        ...


class AccountMails(Protocol):
    """Mails about an account, written in the caller's transaction."""

    async def confirm(self, tx: Any, tenant: Tenant, user: User, *, redirect_to: str | None, code_challenge: str | None) -> None:
        """The link and code that confirm the address of a new account."""
        ...

    async def already_registered(self, tx: Any, tenant: Tenant, user: User) -> None:
        """Tells the owner of an address that somebody tried to sign up with it."""
        ...

    async def change_email(self, tx: Any, tenant: Tenant, user: User, new_email: str, *, redirect_to: str | None) -> None:
        """Links to the old and the new address; the change happens when both were followed."""
        ...


class ReauthenticationCheck(Protocol):
    """Whether a nonce that was mailed to the user is good; consumes it."""

    async def __call__(self, tx: Any, tenant: Tenant, user: User, nonce: str) -> bool:
        """True once."""
        ...


class MailLetters(Protocol):
    """Puts a mail into the queue, in the caller's transaction (``mail/queue.py``)."""

    async def __call__(
        self, tx: Any, tenant: Tenant, template: str, recipient: str, values: dict[str, object], lives_seconds: float, *, is_decoy: bool
    ) -> None:
        """``is_decoy``: written like any other and never sent."""
        ...
