"""Logs: JSON lines on standard output, secrets cut, one cheap line a request written in batches."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from typing import TYPE_CHECKING, Any

import orjson
import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

_SECRETS = re.compile(
    r"fb_(?:sk|rt|ot|mt|st|in|live|test|pk)_[A-Za-z0-9_\-]+|eyJ[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]*){0,2}|(?i:bearer)\s+\S+"
)
FLUSH_BYTES = 65_536
FLUSH_SECONDS = 0.05


def redact(text: str) -> str:
    """The text without anything that looks like one of our credentials."""
    return _SECRETS.sub("[secret]", text)


def _redact_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: redact(value) if isinstance(value, str) else value for name, value in event.items()}


def _to_json(value: object, **_: object) -> str:
    return orjson.dumps(value, default=str).decode()


def configure(level: str, form: str) -> None:
    """Set structlog up for this process."""
    renderer: Any = structlog.dev.ConsoleRenderer() if form == "console" else structlog.processors.JSONRenderer(serializer=_to_json)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", key="ts"),
            structlog.processors.format_exc_info,
            _redact_event,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )


class LineWriter:
    """Collects finished lines and writes them together; ``schedule`` is the loop's ``call_later``."""

    def __init__(self, schedule: Callable[[float, Callable[[], None]], Any], fd: int = 1) -> None:
        self._lines: list[bytes] = []
        self._size = 0
        self._schedule = schedule
        self._fd = fd
        self._is_due = False

    def write(self, fields: dict[str, Any]) -> None:
        """Add one JSON line."""
        line = orjson.dumps(fields)
        self._lines.append(line)
        self._size += len(line)
        if self._size >= FLUSH_BYTES:
            self.flush()
        elif not self._is_due:
            self._is_due = True
            self._schedule(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what is there."""
        self._is_due = False
        if self._lines:
            data = b"\n".join(self._lines) + b"\n"
            self._lines, self._size = [], 0
            try:
                os.write(self._fd, data)
            except OSError:
                return  # a full pipe or a closed terminal must not cost an answer


def access_fields(method: str, path: str, status: int, seconds: float, **more: Any) -> dict[str, Any]:
    """The members of an access line; query values are never among them."""
    return {
        "ts": round(time.time(), 3),
        "level": "info",
        "event": "request",
        "method": method,
        "path": path,
        "status": status,
        "ms": round(seconds * 1000, 2),
        **more,
    }
