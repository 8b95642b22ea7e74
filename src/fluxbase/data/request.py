"""What the data plane is asked and what it answers; neutral between the dialects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fluxbase.db.executor import RequestSettings


@dataclass(slots=True)
class DataRequest:
    """One request, unvalidated."""

    method: str
    schema: str | None
    target: str
    is_rpc: bool
    query: str
    prefer: str
    accept: str
    content_type: str
    range_header: str | None
    body: bytes
    settings: RequestSettings
    deadline: float


@dataclass(slots=True)
class DataReply:
    """One answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
