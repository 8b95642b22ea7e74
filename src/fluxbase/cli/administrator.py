"""Who the command line is to a tenant (its administrator, by the right of whoever may read the data directory), and how it names users."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from fluxbase.kernel.errors import NotFound
from fluxbase.kernel.ids import SERVICE_ROLE
from fluxbase.kernel.principal import CredentialKind, Principal

if TYPE_CHECKING:
    from fluxbase.tenancy.registry import Tenant

TenantOption = Annotated[str, typer.Option("--tenant", help="Slug or id of the tenant.")]
UserArgument = Annotated[str, typer.Argument(metavar="USER", help="E-mail address or id of the user.")]
PAGE = 100


def administrator(tenant: Tenant) -> Principal:
    """The caller of a service; the audit names it ``key:cli:<user of the system>``."""
    claims = orjson.dumps({"role": SERVICE_ROLE}).decode()
    return Principal(tenant.id, SERVICE_ROLE, CredentialKind.KEY, claims, credential_id=f"cli:{os.geteuid()}")


async def user_id(program: Any, tenant: Tenant, text: str) -> str:
    """The id of a user named by e-mail address or id. Raises NotFound."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        found, _ = await program.auth.users.list(tenant, offset=0, limit=PAGE, search=text)
    for user in found:
        if (user.email or "").lower() == text.lower():
            return str(user.id)
    raise NotFound(f"There is no user {text}.", code="unknown_user")
