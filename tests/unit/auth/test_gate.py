"""The gate of sign-ins is closed until somebody asks for second factors."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from fluxbase.auth.gate import SignInGate
from fluxbase.kernel.errors import Internal


class Begun:
    """Stands for the sessions; says that one began."""

    async def begin(self, *_: Any, **__: Any) -> str:
        """A session."""
        return "begun"


def admit(gate: SignInGate) -> Any:
    """A user whom nothing else keeps out."""
    user: Any = SimpleNamespace(deleted_at=None, is_banned=False, banned_until=None, email=None, email_confirmed_at=None)
    anything: Any = None
    tenant: Any = SimpleNamespace(settings=SimpleNamespace(auth=SimpleNamespace(require_email_verification=False)))
    return asyncio.run(gate.admit(anything, tenant, user, method="password", device=anything))


def test_a_gate_without_second_factors_lets_nobody_in() -> None:
    """A composition that forgot them refuses every sign-in instead of asking for less; connected, the same user comes in."""
    sessions: Any = Begun()
    gate = SignInGate(sessions)
    with pytest.raises(Internal):
        admit(gate)

    class NoDebt:
        async def required(self, *_: Any, **__: Any) -> None:
            return None

    gate.factors = NoDebt()
    assert admit(gate) == "begun"
