"""Bodies as client libraries send them."""

from __future__ import annotations

from typing import Any, cast

from pydantic import BaseModel, ConfigDict, model_validator


class ClientBody(BaseModel):
    """A member that is null counts as left out, and members of steps that do not concern a route are ignored."""

    model_config = ConfigDict(extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        return {name: value for name, value in cast("dict[str, Any]", raw).items() if value is not None}
