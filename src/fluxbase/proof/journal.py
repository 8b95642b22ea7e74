"""What two tenants were like before a proof, on disk before it begins: a proof that was killed is undone by the next one.

The file ``unfinished-proof.json`` of the data directory is locked while a proof runs, so that two do not undo each other.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

import orjson

from fluxbase.kernel.errors import Conflict

if TYPE_CHECKING:
    from pathlib import Path

NAME = "unfinished-proof.json"


@dataclass(frozen=True, slots=True)
class Before:
    """One tenant, and the canary it gets."""

    tenant: str
    canary: str
    name: str
    metadata: dict[str, Any]
    settings: dict[str, Any]
    """Keys that calls change → the tenant's own value; None: it has none."""


@dataclass(frozen=True, slots=True)
class Planted:
    """What one run of the proof leaves until it is taken back."""

    agent: str
    """The ``User-Agent`` of its requests, by which its anonymous users are known."""
    scratch: str
    """How the slugs of tenants that it made begin."""
    tenants: list[Before] = field(default_factory=list[Before])


class Journal:
    """The file. Raises Conflict on entry while another proof of the instance runs."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._descriptor = -1

    def __enter__(self) -> Self:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise Conflict("A proof is running.", code="proof_running", hint="Wait until it ends.") from None
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def read(self) -> Planted | None:
        """What a proof that did not end left behind."""
        text = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        if not text:
            return None
        found = orjson.loads(text)
        return Planted(found["agent"], found["scratch"], [Before(**before) for before in found["tenants"]])

    def write(self, planted: Planted) -> None:
        """Before anything is planted."""
        text = orjson.dumps(asdict(planted))
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text, 0)
        os.fsync(self._descriptor)

    def clear(self) -> None:
        """After everything was taken back."""
        os.ftruncate(self._descriptor, 0)
