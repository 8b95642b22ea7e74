"""Controls of the mailed flows, each with what stands in its place while a twin's request names it."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from fluxbase.auth import one_time, one_time_store, redirects, verification

HOST: ContextVar[str] = ContextVar("HOST", default="")
"""The Host of the request that is served."""


def _never_used_up(original: Any) -> Any:
    async def look(tx: Any, tenant: Any, token_hash: bytes, purposes: Any) -> Any:
        found = await original(tx, tenant, token_hash, purposes)
        await tx.fetch(
            "update auth.one_time_tokens set used_at = null where tenant_id = $1::text::uuid and token_hash = decode($2::text, 'hex') returning 1",
            tenant, token_hash.hex(),
        )  # fmt: skip
        return found

    return look


def _guessed_for_ever(original: Any) -> Any:
    async def redeem(tx: Any, tenant: Any, email: str, code_hash: bytes, purposes: Any) -> Any:
        await tx.fetch(
            "update auth.one_time_tokens set attempts = 0 where tenant_id = $1::text::uuid and email = $2::text returning 1", tenant, email
        )
        return await original(tx, tenant, email, code_hash, purposes)

    return redeem


def _any_epoch(original: Any) -> Any:
    async def redeem(tx: Any, tenant: Any, token_hash: bytes, purposes: Any) -> Any:
        await tx.fetch(
            """update auth.one_time_tokens t set epoch = u.epoch, email = u.email_normalised from auth.users u
                where t.tenant_id = $1::text::uuid and t.token_hash = decode($2::text, 'hex') and u.id = t.user_id returning 1""",
            tenant, token_hash.hex(),
        )  # fmt: skip
        return await original(tx, tenant, token_hash, purposes)

    return redeem


def _only_for_accounts(original: Any) -> Any:
    async def send(self: Any, tx: Any, tenant: Any, asked: Any) -> None:
        if asked.user is not None or asked.payload:
            await original(self, tx, tenant, asked)

    return send


def _by_host(original: Any) -> Any:
    def url(self: Any, asked: Any, token: str) -> str:
        return str(original(self, asked, token)).replace(self._public_url, f"http://{HOST.get()}")

    return url


LIFTED: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "mailed:once": (one_time_store, "redeem_token", _never_used_up),
    "mailed:attempts": (one_time_store, "redeem_code", _guessed_for_ever),
    "mailed:current": (one_time_store, "redeem_token", _any_epoch),
    "mailed:decoy": (one_time.OneTimeTokens, "send", _only_for_accounts),
    "mailed:base-url": (one_time.OneTimeTokens, "_url", _by_host),
    "mailed:take-over": (verification, "_takes_over", lambda _: lambda *_: False),
    "mailed:redirects": (redirects.RedirectRule, "allows", lambda _: lambda _rule, _tenant, _url: True),
}
