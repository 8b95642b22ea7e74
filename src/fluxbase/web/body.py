"""Bodies as client libraries send them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, cast

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
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


class StrictRequest(Request):
    """Reads JSON as RFC 8259 has it: half a surrogate pair is no text, and no column of PostgreSQL would keep it."""

    async def json(self) -> Any:
        """Raises json.JSONDecodeError."""
        return orjson.loads(await self.body())


class StrictRoute(APIRoute):
    """A route whose body is read so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own, on our request."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(StrictRequest(request.scope, request.receive))

        return strict
