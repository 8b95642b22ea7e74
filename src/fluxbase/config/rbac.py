"""Settings of roles, organisations and keys."""

from __future__ import annotations

from pydantic import Field

from fluxbase.config.section import Section


class Rbac(Section):
    """Roles, organisations and teams of a tenant."""

    organisations_per_user: int = Field(
        default=20, ge=0, description="Organisations a user may make himself; 0: only administrators make them."
    )
