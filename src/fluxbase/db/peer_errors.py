"""SQLSTATE → error for a database served as it is: PostgreSQL's own message, detail and hint, as PostgREST passes them on.

Row values and object names may leave with them: that is what users of such a database have now, and their tests compare it
(docs/byo.md). Never used for a managed database; ``db/errors.py`` is the default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.db.raised import raised_error
from fluxbase.kernel.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxbase.kernel.errors import FluxbaseError


def translate_verbatim(
    sqlstate: str,
    message: str,
    detail: str | None = None,
    hint: str | None = None,
    params: Sequence[str | bytes | None] = (),  # noqa: ARG001 - the Translate protocol
    *,
    is_raised: bool = False,  # noqa: ARG001 - the Translate protocol
) -> FluxbaseError:
    """Everything PostgreSQL says."""
    if sqlstate == "PGRST":
        return raised_error(message, detail)
    return DatabaseError(message, sqlstate=sqlstate, details=detail, hint=hint)
