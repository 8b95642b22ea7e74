"""Handlers of ``/rest/v1/``, ``/api/v1/openapi.json`` and ``/docs``, with their routes.

A document shows what the caller's credential may use, and no more: who asks twice with two keys gets two documents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from fluxbase import __version__
from fluxbase.data.openapi import QUERY_SCHEMA, native_document
from fluxbase.data.swagger import swagger
from fluxbase.kernel.access import CONTROL_PLANE, DATA_PLANE, Access
from fluxbase.kernel.errors import MethodNotAllowed, NotAcceptable, Unauthenticated
from fluxbase.kernel.ids import SERVICE_ROLE
from fluxbase.web.context import context_of
from fluxbase.web.data_plane import open_to_all, settings_of, text_of
from fluxbase.web.documents import control, page
from fluxbase.web.routing import ANY_METHOD, Route, route

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxbase.data.documentation import Description
    from fluxbase.data.documents import Documents
    from fluxbase.kernel.ids import TenantId
    from fluxbase.kernel.principal import Principal
    from fluxbase.web.context import Receive, RequestContext, Scope, Send
    from fluxbase.web.control import ControlPlane

_SWAGGER_TYPE = b"application/openapi+json; charset=utf-8"
_ACCEPTED = ("application/openapi+json", "application/json", "application/*", "*/*")
_VARY = (b"vary", b"Accept, Accept-Profile, Authorization, apikey, X-Client-Key, X-Service-Key")


class DocumentSurface:
    """Who asks gets their document."""

    def __init__(self, documents: Documents, control_plane: ControlPlane, *, public_url: str, instance: TenantId) -> None:
        self._documents = documents
        self._control = control_plane
        self._public_url = public_url
        self._instance = instance

    def routes(self) -> list[Route]:
        """The three routes."""
        return [
            route(
                "/rest/v1", ANY_METHOD, self.root, access=Access.OPTIONAL, limit=DATA_PLANE, name="rest.root", permission="docs:schema:read"
            ),
            route(
                "/api/v1/openapi.json",
                ("GET", "HEAD"),
                self.openapi,
                access=Access.OPTIONAL,
                limit=CONTROL_PLANE,
                name="openapi",
                permission="docs:schema:read",
            ),
            route("/docs", ("GET", "HEAD"), self.page, access=Access.PUBLIC, limit=CONTROL_PLANE, name="docs"),
        ]

    async def root(self, scope: Scope, receive: Receive, send: Send) -> None:
        """``/rest/v1/``: Swagger 2.0 of one schema. Raises PGRST106, PGRST107, PGRST117, PGRST126."""
        context, method = context_of(scope), scope["method"]
        if method == "OPTIONS":
            await _send(scope, send, [(b"allow", b"OPTIONS,GET,HEAD"), *open_to_all(context)], b"")
            return
        if method not in {"GET", "HEAD"}:
            raise MethodNotAllowed(f"Unsupported HTTP method: {method}", pgrst="PGRST117", headers=(("allow", "OPTIONS, GET, HEAD"),))
        accept = text_of(context.headers, b"accept")
        if accept and not any(part.split(";", 1)[0].strip().lower() in _ACCEPTED for part in accept.split(",")):
            raise NotAcceptable(f"None of these media types are available: {accept[:200]}", pgrst="PGRST107", code="media_type")
        profile = text_of(context.headers, b"accept-profile")

        def write(descriptions: list[Description]) -> bytes:
            return orjson.dumps(swagger(descriptions[0], public_url=f"{self._public_url}/rest/v1", version=__version__))

        document, schema, is_one_of_several = await self._render(scope, context, "swagger", profile, write)
        headers = [(b"content-type", _SWAGGER_TYPE), _VARY]
        if profile or is_one_of_several:
            headers.append((b"content-profile", schema.encode()))
        await _send(scope, send, headers, document)

    async def openapi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """``/api/v1/openapi.json``: OpenAPI 3.1 of everything the caller may use, in one document."""
        context = context_of(scope)
        principal = _principal(context)
        kind = f"openapi:{principal.role == SERVICE_ROLE}:{principal.user_id is not None}"
        paths, schemas = control.control_document(self._control.app, self._control.routes, principal, self._instance)

        def write(descriptions: list[Description]) -> bytes:
            tables, rows = native_document(descriptions)
            document = {
                "openapi": "3.1.0",
                "info": {"title": descriptions[0].summary or "Fluxbase", "version": __version__},
                "servers": [{"url": self._public_url}],
                "security": control.security_of(Access.OPTIONAL),
                "paths": {**control.with_key_parameter({**tables, **control.own_paths()}), **paths},
                "components": {
                    "schemas": {**schemas, **rows, **control.ERROR_SCHEMAS, "Query": QUERY_SCHEMA},
                    "responses": control.RESPONSES,
                    "parameters": control.PARAMETERS,
                    "securitySchemes": control.SECURITY_SCHEMES,
                },
            }
            if descriptions[0].description:
                document["info"]["description"] = descriptions[0].description  # type: ignore[index]
            return orjson.dumps(document)

        document, _, _ = await self._render(scope, context, kind, None, write)
        await _send(scope, send, [(b"content-type", b"application/json; charset=utf-8"), _VARY], document)

    async def page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """``/docs``."""
        await send({"type": "http.response.start", "status": 200, "headers": page.HEADERS})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else page.PAGE})

    async def _render(
        self, scope: Scope, context: RequestContext, kind: str, schema: str | None, write: Callable[[list[Description]], bytes]
    ) -> tuple[bytes, str, bool]:
        settings = settings_of(scope["method"], "/", context)
        return await self._documents.render(_principal(context), settings, context.deadline, kind=kind, schema=schema, write=write)


def _principal(context: RequestContext) -> Principal:
    if context.principal is None:
        raise Unauthenticated("No credential was checked for this request.")
    return context.principal


async def _send(scope: Scope, send: Send, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [*headers, (b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
