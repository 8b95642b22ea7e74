"""How one route is called: the knowledge that the proof needs of it, written as data (``calls/``).

Texts of ``path``, ``headers`` and ``body`` are templates over a tenant's planted values (``plant.py`` lists them): the proof
fills them with the caller's own values for the positive control, and with the other tenant's for the attack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

ANON = ("anon_key", "publishable_key")
USER = ("access_token",)
MEMBER = ("member",)
"""A user whom the call's own ``before`` makes and signs in (``members.py``): for what changes an account for good."""
SERVICE = ("service_key", "secret_key")
NOBODY = ("nobody",)
"""No credential: the tenant is named by header alone."""
INSTANCE = ("instance",)
"""The default tenant's service key, for what concerns every tenant."""
ANYONE = (*ANON, *USER, *SERVICE)


@dataclass(frozen=True, slots=True)
class Computed:
    """A step between two calls that asks nobody: what a user's own device works out (a code, a signature)."""

    of: Callable[[Mapping[str, str]], Mapping[str, str]]
    """The values so far → further ones."""


@dataclass(frozen=True, slots=True)
class Call:
    """One way to call a route that must work before any attack on it says something."""

    method: str
    path: str
    by: tuple[str, ...] = ANYONE
    """Kinds of a tenant's credentials; each must succeed."""
    body: object = None
    """Sent as JSON."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    status: tuple[int, ...] = (200,)
    shows: str = "canary"
    """The planted value that the answer must contain; empty only with ``because``."""
    because: str = ""
    """Why the answer can show nothing of the tenant's own."""
    shows_in: tuple[str, ...] = ("database", "schema", "row")
    """Isolations in which it shows it."""
    is_entry: bool = False
    """A way in: it reads the tenant's key in ``apikey`` alone (Access.ENTRY)."""
    is_secret: bool = False
    """Path or body name something that only its own tenant may use: for another's any answer but a refusal is a leak."""
    ends_session: bool = False
    """The access token is of no use after it."""
    before: tuple[Call | Computed, ...] = ()
    """Calls by the same credential that make what this one needs, anew each time."""
    keep: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of a ``before`` call: value → dotted path in its JSON answer."""
    signs_in: str = ""
    """Of a ``before`` call: the kind of credential that the access token in its answer is from then on."""

    def __post_init__(self) -> None:
        if not self.shows and not self.because:
            raise ValueError(f"{self.method} {self.path}: say why the answer shows nothing (because=)")


def filled(template: object, values: Mapping[str, str]) -> Any:
    """The template with every ``{name}`` replaced, in texts at any depth."""
    if isinstance(template, str):
        return template.format_map(values)
    if isinstance(template, Mapping):
        return {name: filled(value, values) for name, value in cast("Mapping[str, object]", template).items()}
    if isinstance(template, list | tuple):
        return [filled(value, values) for value in cast("list[object]", template)]
    return template


def picked(document: Any, path: str) -> str:
    """The text at a dotted path of a JSON answer. Raises KeyError, IndexError or TypeError when it is not there."""
    found: Any = document
    for part in path.split("."):
        found = cast("list[Any]", found)[int(part)] if isinstance(found, list) else found[part]
    return str(found)
