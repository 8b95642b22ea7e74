"""Controls of platform administrators, each with what stands in its place while a twin's request names it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fluxbase.auth import platform, platform_store
from fluxbase.auth.factors import enforcement
from fluxbase.auth.factors import store as factor_store


def _no(_: Any) -> Any:
    def answer(*_arguments: Any, **_options: Any) -> bool:
        return False

    return answer


def _takes_any_token(original: Any) -> Any:
    async def use(tx: Any, digest: bytes) -> bool:
        await original(tx, digest)
        return True

    return use


def _never_accepted(original: Any) -> Any:
    async def use(tx: Any, digest: bytes) -> Any:
        found = await original(tx, digest)
        await tx.fetch(
            "update platform.invitations set accepted_at = null where token_hash = decode($1::text, 'hex') returning 1", digest.hex()
        )
        return found

    return use


def _everybodys(original: Any) -> Any:
    async def standing(*arguments: Any) -> Any:
        found = await original(*arguments)
        return None if found is None else replace(found, is_assigned=True)

    return standing


def _for_ever(_: Any) -> Any:
    async def standing(tx: Any, home: Any, user: str, *_more: Any) -> Any:
        rows = await tx.fetch("select role from auth.users where tenant_id = $1::text::uuid and id = $2::text::uuid", home, user)
        return platform_store.Standing(rows[0][0], True, "aal2", False) if rows else None

    return standing


def _reusable(_: Any) -> Any:
    async def use(*_arguments: Any) -> bool:
        return True

    return use


LIFTED: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "platform:ticket": (enforcement.FactorPolicy, "asks_at_sign_in", _no),
    "platform:debt": (platform.Platform, "owes_factor", _no),
    "factors:ticket-once": (factor_store, "use_ticket", _reusable),
    "platform:setup-token": (platform_store, "use_setup_token", _takes_any_token),
    "platform:invitation-once": (platform_store, "use_invitation", _never_accepted),
    "platform:assignment": (platform_store, "select_standing", _everybodys),
    "platform:session": (platform_store, "select_standing", _for_ever),
}
