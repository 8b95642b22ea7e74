"""Which representation answers a request: the Accept header against what exists for the target (contract 1.7). Pure.

Beside what is built in, a database may bring *handlers*: functions and aggregates whose result type is a domain named like a
media type. Types of PostgREST's own (``application/vnd.pgrst.…``) cannot be overridden.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from fluxbase.kernel.errors import NotAcceptable

if TYPE_CHECKING:
    from collections.abc import Mapping

ANY_TYPE = "*/*"
_JSON, _CSV, _GEOJSON = "application/json", "text/csv", "application/geo+json"
_IN_UTF8 = frozenset({_JSON, _CSV, _GEOJSON, "text/plain", "text/xml"})
_PLAN_OPTIONS = ("analyze", "verbose", "settings", "buffers", "wal")
_PLANS = {"application/vnd.pgrst.plan": "text", "application/vnd.pgrst.plan+text": "text", "application/vnd.pgrst.plan+json": "json"}
_OBJECTS = frozenset({"application/vnd.pgrst.object+json", "application/vnd.pgrst.object"})
_ENTRIES, _PIECES = re.compile(r'(?:[^,"]|"[^"]*")+'), re.compile(r'(?:[^;"]|"[^"]*")+')
"""Separators inside quotes separate nothing."""
_ARRAYS = frozenset({"application/vnd.pgrst.array+json", "application/vnd.pgrst.array"})


@dataclass(frozen=True, slots=True)
class Handler:
    """What makes a body of a media type: an aggregate over rows, or (without a name) the function's own result."""

    media: str
    schema: str = ""
    name: str = ""
    is_binary: bool = False
    row_type: tuple[str, str] | None = None
    """The relation whose rows the aggregate takes; None: any."""


@dataclass(frozen=True, slots=True)
class Plan:
    """EXPLAIN instead of the answer."""

    format: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Representation:
    """How the rows become a body."""

    form: Literal["json", "object", "csv", "geojson", "handler"]
    mime: str
    is_stripped: bool = False
    """Members that are null are left out."""
    handler: Handler | None = None
    schema: str = ""
    """Where PostGIS lives (GeoJSON)."""
    plan: Plan | None = None

    @property
    def content_type(self) -> bytes:
        """The Content-Type header; types of the database's own carry no charset."""
        is_utf8 = self.mime in _IN_UTF8 or self.mime.startswith("application/vnd.pgrst.")
        return f"{self.mime}; charset=utf-8".encode() if is_utf8 else self.mime.encode("latin-1", "replace")

    @property
    def is_object(self) -> bool:
        """Exactly one row is demanded."""
        return self.form == "object" and self.plan is None


JSON = Representation("json", _JSON)
OBJECT = Representation("object", "application/vnd.pgrst.object+json")


@dataclass(frozen=True, slots=True)
class Offers:
    """What a target can be shown as. ``own`` and ``general``: media type → handler, of the target and of any row."""

    own: Mapping[str, Handler]
    general: Mapping[str, Handler]
    geojson_schema: str | None
    has_plans: bool


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One entry of an Accept header, without its quality."""

    name: str
    text: str
    parameters: tuple[tuple[str, str], ...]

    def parameter(self, name: str) -> str:
        """The value of a parameter, empty when absent."""
        return next((value for key, value in self.parameters if key == name), "")

    @property
    def is_stripped(self) -> bool:
        """``nulls=stripped``."""
        return self.parameter("nulls") == "stripped"


def parse_range(text: str) -> tuple[MediaRange, float]:
    """A media range and its quality; a quality that is no number counts as 1."""
    name, *pieces = _PIECES.findall(text) or [""]
    parameters: list[tuple[str, str]] = []
    quality, kept = 1.0, [name.strip()]
    for piece in pieces:
        key, _, value = piece.partition("=")
        key, value = key.strip().lower(), value.strip().strip('"')
        if key == "q":
            try:
                quality = float(value)
            except ValueError:
                quality = 1.0
        elif key:
            parameters.append((key, value))
            kept.append(piece.strip())
    return MediaRange(name.strip().lower(), ";".join(kept), tuple(parameters)), quality


@lru_cache(maxsize=512)
def parse_accept(accept: str) -> tuple[MediaRange, ...]:
    """Best first: by quality, then the more specific, then as written. Quality 0 is no offer."""
    ranges: list[tuple[float, int, int, MediaRange]] = []
    for index, text in enumerate(filter(str.strip, _ENTRIES.findall(accept))):
        media, quality = parse_range(text)
        if quality > 0:
            ranges.append((-quality, media.name.count("*") - len(media.parameters), index, media))
    return tuple(media for *_, media in sorted(ranges, key=lambda each: each[:3]))


def choose(accept: str, offers: Offers, *, is_whole: bool) -> Representation:
    """The representation. ``is_whole``: the rows have all their columns, so a handler of the target fits. Raises PGRST107."""
    if accept in ("", ANY_TYPE, _JSON) and not offers.own and not offers.general:
        return JSON
    ranges = parse_accept(accept or ANY_TYPE)
    for media in ranges:
        found = _match(media, offers, is_whole=is_whole)
        if found is not None:
            return found
    shown = ", ".join(_mime(media) for media in ranges) or accept.strip()
    raise NotAcceptable(f"None of these media types are available: {shown}", pgrst="PGRST107", code="media_type")


def _match(media: MediaRange, offers: Offers, *, is_whole: bool) -> Representation | None:
    if media.name in _OBJECTS:
        return Representation("object", _mime(media), is_stripped=media.is_stripped)
    if media.name in _ARRAYS and media.is_stripped:
        return Representation("json", _mime(media), is_stripped=True)
    if media.name in _PLANS:
        if not offers.has_plans:
            return None
        inner = _match(_planned(media), offers, is_whole=is_whole)
        return None if inner is None or inner.plan else replace(inner, mime=_mime(media), plan=_plan(media))
    name = _JSON if media.name in _ARRAYS else ANY_TYPE if media.name == "application/*" else media.name
    return _handled(name, offers, is_whole=is_whole) or _built_in(name, offers)


def _handled(name: str, offers: Offers, *, is_whole: bool) -> Representation | None:
    handler = (offers.own.get(ANY_TYPE) or offers.own.get(name)) if is_whole else None
    handler = handler or offers.general.get(name)
    if handler is None:
        return None
    return Representation("handler", "application/octet-stream" if handler.media == ANY_TYPE else handler.media, handler=handler)


def _built_in(name: str, offers: Offers) -> Representation | None:
    if name in (_JSON, ANY_TYPE):
        return JSON
    if name == _CSV:
        return Representation("csv", _CSV)
    if name == _GEOJSON and offers.geojson_schema is not None:
        return Representation("geojson", _GEOJSON, schema=offers.geojson_schema)
    return None


def _planned(media: MediaRange) -> MediaRange:
    return parse_range(media.parameter("for") or _JSON)[0]


def _plan(media: MediaRange) -> Plan:
    wanted = media.parameter("options").split("|")
    return Plan(_PLANS[media.name], tuple(option for option in _PLAN_OPTIONS if option in wanted))


def _mime(media: MediaRange) -> str:
    """The type as an answer or a refusal names it."""
    stripped = ";nulls=stripped" if media.is_stripped else ""
    if media.name in _OBJECTS:
        return f"application/vnd.pgrst.object+json{stripped}"
    if media.name in _ARRAYS:
        return f"application/vnd.pgrst.array+json{stripped}" if stripped else _JSON
    if media.name in _PLANS:
        plan = _plan(media)
        options = f"; options={'|'.join(plan.options)}" if plan.options else ""
        return f'application/vnd.pgrst.plan+{plan.format}; for="{_mime(_planned(media))}"{options}'
    return media.name if media.name in _IN_UTF8 or media.name == ANY_TYPE else media.text
