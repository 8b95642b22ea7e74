"""The idempotency ledger: a request is carried out once for each key, and its answer given again (contract-native 4.8).

Decides who may carry a request out: the first with its key takes a claim in the tenant's database, in one round trip. Whoever
comes later gets the stored answer, 409 while it is not there yet, or 422 when it is another request. An attempt that died holds
its claim until its lease ends. Whether it had committed is known, because ``fluxbase.carry_out`` writes so in the transaction of the
change: if not, the next one carries it out; if so, the answer is lost and the change is not made twice.

Answers may hold secrets: they are sealed under the master key and bound to tenant, owner, key and request. What is compared is
a keyed digest, so nobody who reads the table can try passwords against it.
"""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from typing import TYPE_CHECKING, NamedTuple

import orjson
import structlog

from fluxbase.crypto.master import MasterKeyError
from fluxbase.kernel.errors import Conflict, FluxbaseError, InvalidInput
from fluxbase.limits import idempotency_store as store
from fluxbase.limits.idempotency_store import Entry

if TYPE_CHECKING:
    from fluxbase.crypto.master import MasterKey
    from fluxbase.db.session import SystemSessions
    from fluxbase.kernel.ids import TenantId

KEEP_SECONDS = 86_400.0
MOST_BYTES = 262_144
"""Larger answers are not kept; that the request was carried out is."""
RETRY_SECONDS = 1
_log = structlog.get_logger("fluxbase.limits")


class Answer(NamedTuple):
    """What is given again."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Ledger:
    """Claims, stores and finds answers."""

    def __init__(self, sessions: SystemSessions, master: MasterKey, *, lease_seconds: float) -> None:
        self._sessions = sessions
        self._master = master
        self._digest_key = master.derive("idempotency")
        self._lease_seconds = lease_seconds

    def entry(self, tenant: TenantId, owner: tuple[str, ...], key: tuple[str, ...], request: tuple[bytes, ...]) -> Entry:
        """An attempt: who asks, the key and the place it is sent to, and everything that makes it this request."""
        return Entry(
            tenant, self._digest(b"owner", *_encoded(owner)), self._digest(b"key", *_encoded(key)), self._digest(b"request", *request),
            str(uuid.uuid4()),
        )  # fmt: skip

    def _digest(self, *parts: bytes) -> bytes:
        digest = hashlib.blake2b(key=self._digest_key, digest_size=32)
        for part in parts:
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.digest()

    async def begin(self, entry: Entry) -> Answer | None:
        """None: carry it out, then ``complete`` or ``release``. Otherwise its answer.

        Raises InvalidInput (422) for another request under the key, Conflict (409) while it is being carried out and when its
        answer was not kept; Unavailable.
        """
        async with self._sessions(entry.tenant, reason="claim an idempotency key", is_single=True) as tx:
            held = await store.claim(tx, entry, lease_seconds=self._lease_seconds, keep_seconds=KEEP_SECONDS)
        if held is not None and held.is_ours:
            return None
        if held is not None and held.request != entry.request:
            raise _reused()
        if held is None or (held.answer is None and not held.is_overdue):
            raise _in_use()
        sealed = b"" if held.answer is None else held.answer
        try:
            return _unpacked(self._master.open(sealed, _associated(entry)))
        except (MasterKeyError, ValueError):  # never stored, too large, or sealed with a key that was replaced
            raise _lost() from None

    async def complete(self, entry: Entry, answer: Answer) -> None:
        """Store the answer. What cannot be stored is logged: the change was made, and whoever made it gets his answer."""
        packed = _packed(answer) if len(answer.body) <= MOST_BYTES else b""
        with _logged("idempotency_answer_not_stored"):
            async with self._sessions(entry.tenant, reason="store an idempotent answer", is_single=True) as tx:
                await store.complete(tx, entry, self._master.seal(packed, _associated(entry)))

    async def release(self, entry: Entry) -> None:
        """Give the key back after an error; when that fails its lease ends it."""
        with _logged("idempotency_key_not_released"):
            async with self._sessions(entry.tenant, reason="release an idempotency key", is_single=True) as tx:
                await store.release(tx, entry)

    async def forget_expired(self, tenant: TenantId) -> None:
        """Delete what is older than a day in the tenant's database. Raises Unavailable."""
        async with self._sessions(tenant, reason="forget idempotent answers") as tx:
            await store.forget_expired(tx)

    async def close(self) -> None:
        """End connections."""
        await self._sessions.close()


@contextlib.contextmanager
def _logged(event: str):  # noqa: ANN202 - a context manager of ours alone
    try:
        yield
    except FluxbaseError as error:
        _log.warning(event, code=error.code)


def _encoded(parts: tuple[str, ...]) -> list[bytes]:
    return [part.encode("utf-8", "surrogatepass") for part in parts]


def _associated(entry: Entry) -> str:
    return f"idempotency {entry.tenant} {entry.owner.hex()} {entry.key.hex()} {entry.request.hex()}"


def _packed(answer: Answer) -> bytes:
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in answer.headers]
    return orjson.dumps([answer.status, headers]) + b"\n" + answer.body


def _unpacked(packed: bytes) -> Answer:
    head, _, body = packed.partition(b"\n")
    status, headers = orjson.loads(head)
    return Answer(status, [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers], body)


def _reused() -> InvalidInput:
    return InvalidInput(
        "This Idempotency-Key was sent with another request.", code="idempotency_key_reused", pgrst="FB422", status=422,
        hint="Send the first request again unchanged, or use a new key for a new request.",
    )  # fmt: skip


def _in_use() -> Conflict:
    return Conflict(
        "The request with this Idempotency-Key is still being carried out.", code="idempotency_key_in_use", pgrst="FB409", status=409,
        hint="Send it again in a moment to get its answer.", headers=(("retry-after", str(RETRY_SECONDS)),),
    )  # fmt: skip


def _lost() -> Conflict:
    return Conflict(
        "The request with this Idempotency-Key was carried out, but its answer was not kept.", code="idempotency_answer_lost",
        pgrst="FB409", status=409, hint="Read what it changed; for a new request use a new key.",
    )  # fmt: skip
