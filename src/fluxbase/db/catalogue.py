"""Reads the schema for planning: two queries, each one JSON value (``sql/catalog/``)."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxbase.db.session import SystemTx


async def read_epoch(tx: SystemTx) -> int:
    """The schema epoch of a database we manage.

    Read it before the catalogue: a catalogue newer than its epoch is only read once more, an older one would be believed.
    """
    ((epoch,),) = await tx.fetch("select schema_epoch from fluxbase.epoch")
    return int(epoch)


async def read_lineage(tx: SystemTx) -> tuple[int, str | None, bool]:
    """The schema epoch; the template it is an unchanged copy of (``db/tenant_database.py``); whether every change moves the epoch."""
    ((epoch, template, is_watched),) = await tx.fetch(
        "select e.schema_epoch, (select p.template::text from fluxbase.provisioned p where p.template_epoch = e.schema_epoch), "
        "exists (select from pg_catalog.pg_event_trigger where evtname = 'fluxbase_ddl' and evtenabled <> 'D') from fluxbase.epoch e"
    )
    return int(epoch), template, bool(is_watched)


async def read_catalogue(tx: SystemTx, schemas: Sequence[str], roles: Sequence[str], extra_path: Sequence[str]) -> tuple[bytes, bytes]:
    """Relations and functions of the schemas with what the roles may do, and what relates them.

    ``extra_path``: schemas whose functions of one row and whose types count too.
    """
    ((raw,),) = await tx.fetch(_sql("snapshot"), list(schemas), list(roles))
    ((related,),) = await tx.fetch(_sql("relationships"), list(schemas), list(roles), list(extra_path))
    return raw.encode(), related.encode()


async def read_documentation(tx: SystemTx, schemas: Sequence[str], role: str | None) -> bytes:
    """What the OpenAPI documents say beyond that, with the column rights of a role."""
    ((raw,),) = await tx.fetch(_sql("documentation"), list(schemas), role)
    return raw.encode()


def _sql(name: str) -> str:
    return (files("fluxbase") / "sql" / "catalog" / f"{name}.sql").read_text(encoding="utf-8")
