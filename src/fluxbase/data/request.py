"""What the data plane is asked and what it answers; neutral between the dialects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fluxbase.data.grammar import Query
    from fluxbase.data.shape import Shape
    from fluxbase.db.executor import RequestSettings

    Params = Sequence[bytes | str | None]
    Wrap = Callable[[str, Params], tuple[str, Params]]


@dataclass(frozen=True, slots=True)
class Parsed:
    """A query in another language than the REST one, read by its dialect: shape for the memory of statements, and the query itself."""

    shape: Shape
    query: Query
    may_aggregate: bool = False
    """Aggregates are part of the dialect for this caller, whatever ``data.aggregates_enabled`` says."""
    unites_keys: bool = False
    """Rows of a write may have different keys; together they name the columns."""
    is_by_key: bool = False
    """Each row of an update names its own row by primary key."""


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
    parsed: Parsed | None = None
    """Instead of ``query``."""
    max_batch: int | None = None
    """Most rows of one write."""
    wrap: Wrap | None = None
    """Makes the statement part of a larger one (a background call that records its own end)."""


@dataclass(slots=True)
class DataReply:
    """One answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    rows: int | None = None
    """How many rows the body has or the write changed."""
