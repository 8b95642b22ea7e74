"""How a connection or a statement ends when it does not end well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import pq

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

_FIELD = pq.DiagnosticField


class ConnectionBroken(Exception):
    """The connection ended."""

    def __init__(self, why: str, *, was_sent: bool = True) -> None:
        super().__init__(why)
        self.was_sent = was_sent
        """False when nothing can have been committed: the Sync never left."""


class LoginSpoilt(ConnectionBroken):
    """The login is not as it was made. Every role may change its own password and defaults, and RESET ROLE makes a client its login."""


class DeadlinePassed(Exception):
    """The statement outlived its time and must be cancelled."""


class StatementError(Exception):
    """PostgreSQL refused a statement."""

    def __init__(self, index: int, result: PGresult) -> None:
        self.index = index
        """Which statement of the batch; -1 for the Sync itself (a deferred constraint)."""
        self.sqlstate = text_of(result, _FIELD.SQLSTATE) or "XX000"
        self.message = text_of(result, _FIELD.MESSAGE_PRIMARY) or ""
        self.detail = text_of(result, _FIELD.MESSAGE_DETAIL)
        self.hint = text_of(result, _FIELD.MESSAGE_HINT)
        self.is_raised = text_of(result, _FIELD.SOURCE_FUNCTION) == "exec_stmt_raise"
        """RAISE of PL/pgSQL: whoever wrote the function chose the text."""
        super().__init__(f"{self.sqlstate} in statement {index}")


def text_of(result: PGresult, field: pq.DiagnosticField) -> str | None:
    """One field of an error, as text."""
    value = result.error_field(field)
    return None if value is None else value.decode("utf-8", "replace")
