"""The control plane: FastAPI for everything that is not a table. ``control_route`` is the only way in.

Each endpoint is registered once, in FastAPI and in our route table, with ``access`` and ``limit`` spelled out.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from fluxbase import __version__
from fluxbase.kernel.access import ADMIN, CONTROL_PLANE, PROBE, Access, Limit
from fluxbase.kernel.errors import FluxbaseError, InvalidInput
from fluxbase.web.body import StrictRoute
from fluxbase.web.captcha import FLOW_OF_PATH
from fluxbase.web.context import context_of
from fluxbase.web.direct import direct_endpoint
from fluxbase.web.errors import constant_internal, limit_of, render
from fluxbase.web.routing import Route, route

if TYPE_CHECKING:
    from fluxbase.web.captcha import CaptchaDemand
    from fluxbase.web.context import Receive, Scope, Send
    from fluxbase.web.errors import Renderer
    from fluxbase.web.ports import ControlPorts


class ControlApp(FastAPI):
    """FastAPI, by the path that our route table matched: it takes one slash at the end; a redirect would name the request's host."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path: str = scope["path"]
        await super().__call__({**scope, "path": path[:-1]} if path.endswith("/") and path != "/" else scope, receive, send)


class ControlPlane:
    """The FastAPI application and the routes that lead to it."""

    def __init__(self, ports: ControlPorts, renderer: Renderer = render) -> None:
        self.app = ControlApp(title="Fluxbase", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
        self.app.router.route_class = StrictRoute
        self.routes: list[Route] = []
        self.captcha: CaptchaDemand | None = None
        """Set before the routes are registered, where captcha is switched on."""
        self._ports = ports
        self._renderer = renderer
        self.app.add_exception_handler(FluxbaseError, self._declared)
        self.app.add_exception_handler(RequestValidationError, self._malformed)
        self.app.add_exception_handler(HTTPException, self._unreadable)
        self.app.add_exception_handler(Exception, self._undeclared)
        self._started_at = time.time()
        self._register()

    def add(
        self, method: str, path: str, endpoint: Callable[..., Awaitable[Any]], *, access: Access, limit: Limit, name: str,
        permission: str = "", checks_standing: bool = False,
    ) -> None:  # fmt: skip
        """Register one endpoint. ``permission`` is a name of kernel/permissions.py; a route for administrators must have one.

        ``checks_standing``: it asks itself, in its own transaction, whether the credential still holds (``Route.checks_standing``).
        """
        flow = FLOW_OF_PATH.get(path) if method == "POST" and self.captcha is not None else None
        demands = [Depends(self.captcha.of(flow))] if self.captcha is not None and flow is not None else []
        self.app.add_api_route(path, endpoint, methods=[method], name=name, dependencies=demands)
        methods = {method, "HEAD"} if method == "GET" else {method}
        made = self.app.router.routes[-1]
        if "HEAD" in methods:
            self.app.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
        pattern = re.sub(r"\{\w+\}", "{}", path)
        handler = direct_endpoint(made, self.app, self._declared) or self.app
        self.routes.append(
            route(pattern, methods, handler, access=access, limit=limit, name=name, permission=permission, checks_standing=checks_standing)
        )

    def _register(self) -> None:
        self.add("GET", "/health", self._health, access=Access.PUBLIC, limit=PROBE, name="health")
        self.add("GET", "/ready", self._ready, access=Access.PUBLIC, limit=PROBE, name="ready")
        self.add("GET", "/", self._health, access=Access.PUBLIC, limit=PROBE, name="root")
        for path in ("/.well-known/jwks.json", "/auth/v1/.well-known/jwks.json"):
            self.add("GET", path, self._jwks, access=Access.PUBLIC, limit=CONTROL_PLANE, name=f"jwks:{path}")

        self.add(
            "GET", "/api/v1/admin/status", self._status, access=Access.INSTANCE, limit=ADMIN, name="admin.status",
            permission="instance:status:read",
        )  # fmt: skip

    async def _declared(self, request: Request, error: Exception) -> Response:
        """A declared error inside FastAPI, worded by the same renderer as everywhere."""
        assert isinstance(error, FluxbaseError)  # noqa: S101 - registered for this class
        context = context_of(request.scope)
        context.error_code = error.code
        context.refused_by = limit_of(error)
        status, headers, body = self._renderer(error, context.dialect, context.principal, context.request_id)
        return Response(body, status, {name.decode("latin-1"): value.decode("latin-1") for name, value in headers})

    async def _malformed(self, request: Request, error: Exception) -> Response:
        """Which members are wrong and why; never the values that were sent."""
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
        details = [{"member": ".".join(str(part) for part in item["loc"]), "problem": item["msg"]} for item in error.errors()]
        return await self._declared(request, InvalidInput("The request is not valid.", code="invalid_request_body", details=details))

    async def _unreadable(self, request: Request, error: Exception) -> Response:
        """What the framework itself refuses (a body that is no form, no text), in our words."""
        del error
        return await self._declared(request, InvalidInput("The request is not valid.", code="invalid_request_body"))

    async def _undeclared(self, request: Request, error: Exception) -> Response:
        """An exception nobody declared: the constant body. The framework raises it again, and ErrorBoundary logs it."""
        del error
        return await self._declared(request, constant_internal())

    async def _status(self) -> JSONResponse:
        """Version, up-time and the schema this worker plans on; for the service key."""
        return JSONResponse({"version": __version__, "uptime_seconds": round(time.time() - self._started_at), **await self._ports.status()})

    async def _health(self) -> JSONResponse:
        """Alive, and whether the database answers."""
        is_up = await self._ports.is_database_up()
        body = {"status": "ok" if is_up else "degraded", "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        return JSONResponse(body, status_code=200 if is_up else 503)

    async def _ready(self) -> JSONResponse:
        """Ready to serve: database up and a schema snapshot loaded."""
        is_ready = await self._ports.is_ready()
        return JSONResponse({"status": "ready" if is_ready else "starting"}, status_code=200 if is_ready else 503)

    async def _jwks(self, request: Request) -> JSONResponse:
        """Public keys that verify the tokens of the tenant which host name or X-FB-Tenant names; symmetric ones are never listed."""
        named = context_of(request.scope).tenant
        keys = await self._ports.jwks(None if named is None else named.id)
        return JSONResponse(keys, headers={"cache-control": "public, max-age=600", "vary": "X-FB-Tenant"})
