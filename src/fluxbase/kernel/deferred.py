"""Libraries that load when they are first used: most installations never ask for SAML or passkeys, and each costs memory and start time."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Deferred:
    """Stands for a module until one of its members is asked for (in any thread: the import system has the locks)."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, member: str) -> Any:
        return getattr(import_module(self._name), member)
