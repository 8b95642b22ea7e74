"""The OpenAPI document says what each endpoint answers: the endpoints are read, and every answer they write is compared."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from fluxbase.web.documents.answers import ANSWERS, DEFAULT, HTML, JSON
from tests.meta.reference import running_routes

KINDS = {"JSONResponse": ("200", (JSON,)), "HTMLResponse": ("200", (HTML,)), "RedirectResponse": ("307", ()), "Response": ("200", ())}
"""What a response of each class is when nothing more is said."""


def endpoints() -> dict[str, Callable[..., Any]]:
    """Route name → the endpoint that FastAPI calls."""
    app: Any = next(route.handler for route in running_routes() if hasattr(route.handler, "openapi"))
    return {route.name: route.endpoint for route in app.routes if getattr(route, "include_in_schema", False) and hasattr(route, "endpoint")}


def written(function: Callable[..., Any], depth: int = 3) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Status and media type of every response that the source of a function makes, and of those that it calls."""
    plain: Any = getattr(inspect.unwrap(function), "__func__", inspect.unwrap(function))
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(plain)))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr if isinstance(node.func, ast.Attribute) else ""
        named = {keyword.arg: keyword.value for keyword in node.keywords}
        if name in KINDS:
            status, media_types = KINDS[name]
            said = named.get("status_code") or (node.args[1] if len(node.args) > 1 else None)
            media = ast.literal_eval(named["media_type"]) if "media_type" in named else None
            for each in _statuses(said, status):
                yield each, media_types if media is None else (media,)
        elif depth:
            target = _called(plain, node.func)
            if inspect.isfunction(target) and str(target.__annotations__.get("return", "")).endswith("Response"):
                yield from written(target, depth - 1)


def _statuses(node: ast.expr | None, default: str) -> list[str]:
    if node is None:
        return [default]
    # A name: handed in by the caller, who is read as well.
    return [str(part.value) for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, int)]


def _called(function: Any, node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return function.__globals__.get(node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        return getattr(function.__globals__.get(function.__qualname__.split(".")[0]), node.attr, None)
    return None


def test_every_answer_is_documented() -> None:
    """A status or media type that an endpoint writes and the document does not name goes into web/documents/answers.py."""
    missing: list[str] = []
    for name, endpoint in endpoints().items():
        documented = ANSWERS.get(name, DEFAULT)
        for status, media_types in sorted(set(written(endpoint))):
            if status not in documented or not set(media_types) <= set(documented[status]):
                missing.append(f"{name}: {status} {media_types}")
    assert missing == []


def test_nothing_is_documented_that_no_endpoint_answers() -> None:
    """A route that is gone, or a status that its endpoint does not write any more."""
    found = endpoints()
    assert sorted(ANSWERS.keys() - found.keys()) == []
    passed_on = {"gotrue.verify.post": {"403"}, "gotrue.verify.get": {"200"}}
    """Statuses handed to a function that writes the page."""
    raised = {"501"}
    stale = {
        name: set(statuses) - raised - {status for status, _ in written(found[name])} - passed_on.get(name, set())
        for name, statuses in ANSWERS.items()
    }
    assert {name: sorted(statuses) for name, statuses in stale.items() if statuses} == {}


def test_the_reader_sees_the_endpoints() -> None:
    """Over a hundred are read, and hardly one of them hides its answer."""
    found = endpoints()
    assert len(found) > 100
    assert len([name for name, endpoint in found.items() if not set(written(endpoint))]) < 12
