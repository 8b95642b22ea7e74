"""What a resource allows: the ``Allow`` header of OPTIONS (contract 1.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.data.functions import find_function
from fluxbase.data.plan import find_relation
from fluxbase.data.request import DataReply

if TYPE_CHECKING:
    from fluxbase.data.engine import Work


def allowing(verbs: bytes) -> DataReply:
    """The answer of OPTIONS."""
    return DataReply(200, [(b"allow", verbs), (b"content-length", b"0")], b"")


def table_options(work: Work) -> DataReply:
    """Verbs of a table or view. Raises PGRST205."""
    relation = find_relation(work.snapshot, work.schema, work.request.target, work.principal.role)
    is_table = relation.kind in "rp"
    verbs = ["OPTIONS", "GET", "HEAD"]
    verbs += ["POST"] if is_table or relation.updatable & 8 else []
    verbs += ["PUT"] if (is_table or relation.updatable & 12 == 12) and relation.primary_key else []
    verbs += ["PATCH"] if is_table or relation.updatable & 4 else []
    verbs += ["DELETE"] if is_table or relation.updatable & 16 else []
    return allowing(",".join(verbs).encode())


def call_options(work: Work) -> DataReply:
    """Verbs of a function the role may call. Raises PGRST202."""
    snapshot, schema, request, principal = work.snapshot, work.schema, work.request, work.principal
    found = [each for each in snapshot.functions.get((schema, request.target), ()) if principal.role in each.roles]
    if not found:
        found = [find_function(snapshot, schema, request.target, (), principal.role, content_type=None)]
    allow = b"OPTIONS,POST" if all(each.volatility == "v" for each in found) else b"OPTIONS,GET,HEAD,POST"
    return allowing(allow)
