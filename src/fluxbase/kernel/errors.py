"""Every error that may reach a client, declared once.

FluxbaseError
    InvalidInput  Unauthenticated  Forbidden  NotFound  Conflict  Ambiguous  NotAcceptable  MethodNotAllowed
    RangeNotSatisfiable  TooLarge  UnsupportedMedia  RateLimited  Unavailable  DeadlineExceeded  Internal

Only ``message``, ``details``, ``hint`` and ``fields`` leave the process, and only through one renderer per
dialect; HTTP status is decided in ``web/errors.py`` from ``kind`` (or from ``sqlstate`` in the data plane).
``code`` is ours (snake_case, never reused); ``pgrst`` names the wire code of the REST dialect where one exists.
"""

from enum import StrEnum
from typing import ClassVar


class Kind(StrEnum):
    """Families of errors; one HTTP status each (``web/errors.py``)."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    AMBIGUOUS = "ambiguous"
    NOT_ACCEPTABLE = "not_acceptable"
    METHOD = "method"
    RANGE = "range"
    TOO_LARGE = "too_large"
    UNSUPPORTED_MEDIA = "unsupported_media"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    DEADLINE = "deadline"
    INTERNAL = "internal"


class FluxbaseError(Exception):
    """Base of every declared error. ``message``, ``details`` and ``hint`` are public by declaration."""

    kind: ClassVar[Kind] = Kind.INTERNAL
    code: str = "internal"
    pgrst: str | None = None
    sqlstate: str | None = None

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        pgrst: str | None = None,
        sqlstate: str | None = None,
        details: object = None,
        hint: str | None = None,
        status: int | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.hint = hint
        self.status = status
        """An exact HTTP status where the wire contract names one that ``kind`` does not give."""
        self.headers = headers
        if code is not None:
            self.code = code
        if pgrst is not None:
            self.pgrst = pgrst
        if sqlstate is not None:
            self.sqlstate = sqlstate


class InvalidInput(FluxbaseError):
    """The request is malformed or names something that does not exist inside a resource."""

    kind = Kind.INVALID
    code = "invalid_input"


class Unauthenticated(FluxbaseError):
    """No credential where one is needed, or one that does not verify."""

    kind = Kind.UNAUTHENTICATED
    code = "unauthenticated"


class Forbidden(FluxbaseError):
    """A valid credential that may not do this."""

    kind = Kind.FORBIDDEN
    code = "forbidden"


class NotFound(FluxbaseError):
    """Absent, or hidden: the answer is the same."""

    kind = Kind.NOT_FOUND
    code = "not_found"


class Conflict(FluxbaseError):
    """A unique or foreign key violation, or a concurrent change."""

    kind = Kind.CONFLICT
    code = "conflict"


class Ambiguous(FluxbaseError):
    """More than one relationship or function fits (300 on the REST surface)."""

    kind = Kind.AMBIGUOUS
    code = "ambiguous"


class NotAcceptable(FluxbaseError):
    """No representation the client accepts, or not exactly one row where one was demanded."""

    kind = Kind.NOT_ACCEPTABLE
    code = "not_acceptable"


class MethodNotAllowed(FluxbaseError):
    """The resource exists, the verb does not."""

    kind = Kind.METHOD
    code = "method_not_allowed"


class RangeNotSatisfiable(FluxbaseError):
    """An offset or range beyond the rows."""

    kind = Kind.RANGE
    code = "range_not_satisfiable"


class TooLarge(FluxbaseError):
    """Body, header, URL or nesting over its limit."""

    kind = Kind.TOO_LARGE
    code = "too_large"


class UnsupportedMedia(FluxbaseError):
    """A content type or encoding that is not accepted."""

    kind = Kind.UNSUPPORTED_MEDIA
    code = "unsupported_media"


class RateLimited(FluxbaseError):
    """Too many requests; ``retry_after_seconds`` says when to come back."""

    kind = Kind.RATE_LIMITED
    code = "rate_limited"

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message, headers=(("retry-after", str(retry_after_seconds)),))
        self.retry_after_seconds = retry_after_seconds


class Unavailable(FluxbaseError):
    """The database is away, the pool is exhausted or the schema is still loading. Try again."""

    kind = Kind.UNAVAILABLE
    code = "unavailable"


class DeadlineExceeded(FluxbaseError):
    """The request's time budget is used up."""

    kind = Kind.DEADLINE
    code = "deadline_exceeded"


class Internal(FluxbaseError):
    """Ours to mend. Constant body; the detail is in the log under the request id."""

    kind = Kind.INTERNAL
    code = "internal"


class DatabaseError(FluxbaseError):
    """PostgreSQL refused the statement; ``sqlstate`` decides the status. Built in ``db/errors.py`` only."""

    kind = Kind.INVALID
    code = "database_error"


class StalePlan(FluxbaseError):
    """The schema moved after the plan was made: plan again, once. Never reaches a client."""

    kind = Kind.UNAVAILABLE
    code = "stale_plan"


class Revoked(Unauthenticated):
    """The session, key or user of a valid credential is on the denylist."""

    code = "revoked"
