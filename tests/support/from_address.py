"""Requests from a loopback address of one's own: limits and blocks by address then disturb no other test."""

from __future__ import annotations

import itertools
from typing import Any

import httpx

from tests.support.server import Server

_numbers = itertools.count(2)


def fresh_address() -> str:
    """An address of 127.0.0.0/8 that this test process has not used; never 127.0.0.1, which the twin does not count."""
    number = next(_numbers)
    return f"127.77.{number // 250}.{number % 250 + 1}"


def client_from(server: Server, address: str | None = None, **options: Any) -> httpx.Client:
    """A client bound to that address."""
    transport = httpx.HTTPTransport(local_address=address or fresh_address())
    return httpx.Client(base_url=server.url, transport=transport, timeout=30, trust_env=False, **options)
