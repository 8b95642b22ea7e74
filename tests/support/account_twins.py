"""Controls of sessions, impersonation and the end of accounts, each with what stands in its place while a twin's request names it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fluxbase.auth import api_key_store, session_store
from fluxbase.auth.factors import step_up
from fluxbase.kernel import permissions


def _open(_: Any) -> Any:
    def answer(*_arguments: Any) -> bool:
        return True

    return answer


def _as_the_user(original: Any) -> Any:
    async def caller(self: Any, tenant: Any, principal: Any) -> Any:
        return await original(self, tenant, replace(principal, impersonated_by=None))

    return caller


def _denies_nothing(original: Any) -> Any:
    async def end(tx: Any, tenant: Any, user: Any, *, prefix: str, **options: Any) -> Any:
        ended = await original(tx, tenant, user, prefix=prefix, **options)
        await tx.fetch(
            "delete from auth.denylist d using auth.sessions s where s.tenant_id = $1::text::uuid and s.user_id = $2::text::uuid "
            "and d.key = $3::text || 'session:' || s.id returning 1",
            tenant, user, prefix,
        )  # fmt: skip
        return ended

    return end


def _keeps_keys(_: Any) -> Any:
    async def delete(*_arguments: Any) -> None:
        return None

    return delete


def _raises_every_token(original: Any) -> Any:
    async def raise_session(tx: Any, tenant: Any, user: Any, session: Any, *arguments: Any, **options: Any) -> Any:
        raised = await original(tx, tenant, user, session, *arguments, **options)
        await tx.fetch("update auth.refresh_tokens set aal = 'aal2' where session_id = $1::text::uuid returning 1", session)
        return raised

    return raise_session


def _counts_without_turns(_: Any) -> Any:
    async def count(tx: Any, tenant: Any, user: str) -> int:
        sql = "select count(*)::text, pg_sleep(0.7)::text from auth.api_keys where tenant_id = $1::text::uuid and user_id = $2::text::uuid"
        return int((await tx.fetch(sql, tenant, user))[0][0])

    return count


LIFTED: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "impersonation:scope": (permissions, "is_open_to_impersonators", _open),
    "impersonation:step-up": (step_up.StepUp, "caller", _as_the_user),
    "sessions:denied": (session_store, "end_sessions", _denies_nothing),
    "sessions:token-level": (session_store, "raise_session", _raises_every_token),
    "keys:cap": (api_key_store, "count_keys", _counts_without_turns),
    "keys:owner": (api_key_store, "delete_keys_of", _keeps_keys),
}
