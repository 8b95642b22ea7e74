"""Every error that may reach a client, declared once.

FluxbaseError
    InvalidInput  AuthError  Unauthenticated  Forbidden  NotFound  Conflict  Ambiguous  NotAcceptable  MethodNotAllowed
    RangeNotSatisfiable  TooLarge  UnsupportedMedia  RateLimited  Unavailable  DeadlineExceeded  Internal

Only ``message``, ``details``, ``hint`` and ``fields`` leave the process, and only through one renderer per
dialect; HTTP status is decided in ``web/errors.py`` from ``kind`` (or from ``sqlstate`` in the data plane).
``code`` is ours (snake_case, never reused); ``pgrst`` names the wire code of the REST dialect where one exists.
"""

from enum import StrEnum
from typing import ClassVar

from fluxbase.kernel.access import Quota


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
    remedy: ClassVar[str] = ""
    """What the caller can do; printed in docs/errors.md."""
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
    remedy = "Mend the request; the message says which part. Sending it again unchanged gives the same answer."


class Unauthenticated(FluxbaseError):
    """No credential where one is needed, or one that does not verify."""

    kind = Kind.UNAUTHENTICATED
    code = "unauthenticated"
    remedy = "Send a valid key or token in `apikey` or `Authorization: Bearer`; when it has expired, sign in or refresh."


class Forbidden(FluxbaseError):
    """A valid credential that may not do this."""

    kind = Kind.FORBIDDEN
    code = "forbidden"
    remedy = "Use a credential that may do this, or have a grant or policy written."


class NotFound(FluxbaseError):
    """Absent, or hidden: the answer is the same."""

    kind = Kind.NOT_FOUND
    code = "not_found"
    remedy = "Check path and names. A row that no policy shows gives the same answer as one that is not there."


class UnknownRoute(NotFound):
    """No route has this path; ``path`` is the client's own."""

    code = "unknown_route"
    pgrst = "PGRST125"

    def __init__(self, path: str) -> None:
        super().__init__("Invalid path specified in request URL")
        self.path = path


class Conflict(FluxbaseError):
    """A unique or foreign key violation, or a concurrent change."""

    kind = Kind.CONFLICT
    code = "conflict"
    remedy = "Read the current state, then decide again: the row exists already, is still referred to, or changed meanwhile."


class Ambiguous(FluxbaseError):
    """More than one relationship or function fits (300 on the REST surface)."""

    kind = Kind.AMBIGUOUS
    code = "ambiguous"
    remedy = "Name the foreign key (`table!constraint`), or the function's arguments."


class NotAcceptable(FluxbaseError):
    """No representation the client accepts, or not exactly one row where one was demanded."""

    kind = Kind.NOT_ACCEPTABLE
    code = "not_acceptable"
    remedy = "Ask for a media type that is offered; with `vnd.pgrst.object` filter down to exactly one row."


class MethodNotAllowed(FluxbaseError):
    """The resource exists, the verb does not."""

    kind = Kind.METHOD
    code = "method_not_allowed"
    remedy = "Use a method of the `Allow` header."


class RangeNotSatisfiable(FluxbaseError):
    """An offset or range beyond the rows."""

    kind = Kind.RANGE
    code = "range_not_satisfiable"
    remedy = "Start at an offset below the count."


class TooLarge(FluxbaseError):
    """Body, header, URL or nesting over its limit."""

    kind = Kind.TOO_LARGE
    code = "too_large"
    remedy = "Send less at once, or raise the limit that the message names in the configuration."


class UnsupportedMedia(FluxbaseError):
    """A content type or encoding that is not accepted."""

    kind = Kind.UNSUPPORTED_MEDIA
    code = "unsupported_media"
    remedy = "Send `application/json`, `text/csv` or a form, uncompressed."


class RateLimited(FluxbaseError):
    """Too many requests; ``retry_after_seconds`` says when to come back."""

    kind = Kind.RATE_LIMITED
    code = "rate_limited"
    remedy = "Wait the seconds of `Retry-After`, then go on more slowly."

    def __init__(self, message: str, *, retry_after_seconds: int, quotas: tuple[Quota, ...] = (), has_x_fields: bool = False) -> None:
        super().__init__(message, headers=(("retry-after", str(retry_after_seconds)),))
        self.retry_after_seconds = retry_after_seconds
        self.quotas = quotas
        """The limits that were reached, for the RateLimit fields."""
        self.has_x_fields = has_x_fields
        """``limits.x_fields``: the older X-RateLimit fields are wanted too."""


class Unavailable(FluxbaseError):
    """The database is away, the pool is exhausted or the schema is still loading. Try again."""

    kind = Kind.UNAVAILABLE
    code = "unavailable"
    remedy = "Try again in a moment, with growing pauses. If it lasts, look at `/ready` and the log."


class DeadlineExceeded(FluxbaseError):
    """The request's time budget is used up."""

    kind = Kind.DEADLINE
    code = "deadline_exceeded"
    remedy = "Ask for less, add an index, or raise the role's statement timeout."


class AddressRefused(InvalidInput):
    """A URL that leads where our requests may not go (SSRF guard). Only the host that was asked for is told, never an address."""

    code = "address_refused"
    remedy = "Use a public http(s) address; an administrator can allow a private network with `outbound.allowed_networks`."

    def __init__(self, host: str) -> None:
        super().__init__(f"The address of {host!r} may not be called.")


class PeerUnavailable(Unavailable):
    """Another server (identity provider, captcha, hook) did not answer, or not with what it should."""

    code = "peer_unavailable"
    remedy = "Try again in a moment. If it lasts, see whether the other server is up and reachable from here; the log has the cause."

    def __init__(self, host: str) -> None:
        super().__init__(f"{host or 'The other server'} did not give a usable answer.")


class Internal(FluxbaseError):
    """Ours to mend. Constant body; the detail is in the log under the request id."""

    kind = Kind.INTERNAL
    code = "internal"
    remedy = "Give the request id to whoever runs the server: the log has the detail under it."


class DatabaseError(FluxbaseError):
    """PostgreSQL refused the statement; ``sqlstate`` decides the status. Built in ``db/errors.py`` only."""

    kind = Kind.INVALID
    code = "database_error"
    remedy = "The SQLSTATE says what PostgreSQL refused; the table below gives its status."


class StalePlan(FluxbaseError):
    """The schema moved after the plan was made: plan again, once. Never reaches a client."""

    kind = Kind.UNAVAILABLE
    code = "stale_plan"
    remedy = "None: the request is planned again."


class AuthError(FluxbaseError):
    """An account, session or sign-in refused. Status and native code by ``code``: the table in ``web/auth_errors.py``."""

    kind = Kind.INVALID
    code = "auth_error"
    remedy = "The code says what is wrong; for wrong credentials every reason has the same answer, on purpose."


class Revoked(Unauthenticated):
    """The session, key or user of a valid credential is on the denylist."""

    code = "revoked"
