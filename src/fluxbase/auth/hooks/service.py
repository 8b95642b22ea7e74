"""Runs hooks: a function in the tenant's database, or a signed HTTPS call.

A hook is given one JSON object and answers one. ``before_…`` may refuse with ``{"decision": "reject", "message": …}`` and fails
closed: no answer, a slow one or one that is no JSON object refuses too. ``after_…`` may fail; that is logged and changes nothing.
A function runs as the tenant's ``service_role`` on a connection of its own, never with the rights of the server itself.
An HTTPS call carries ``X-Fluxbase-Signature: t=<unix>,v1=<hex HMAC-SHA-256 of "t.body">``.
"""

from __future__ import annotations

import asyncio
import hmac
import time
import uuid
from typing import TYPE_CHECKING, Any, cast

import orjson
import structlog

from fluxbase.auth.minter import RESERVED
from fluxbase.kernel.errors import AuthError, DatabaseError, FluxbaseError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxbase.auth.ports import CallFunction, HttpPost
    from fluxbase.auth.users import Device, Session, User
    from fluxbase.kernel.ids import TenantId
    from fluxbase.tenancy.registry import Tenant

MOST_TOLD = 200
"""after_… hooks under way in a worker; further ones are dropped and logged."""
_OURS = RESERVED | {"email", "factor_ids", "factor_required"}
_LONGEST_ANSWER = 65_536
_LONGEST_MESSAGE = 200


class HookService:
    """The hooks of this instance."""

    def __init__(
        self, call: CallFunction, post: HttpPost, *, home: TenantId | None = None, clock: Callable[[], float] = time.time
    ) -> None:  # fmt: skip
        self._call = call
        self._post = post
        self._clock = clock
        self._home = home
        """Whose users are the platform's administrators: an application's code neither sees nor refuses those."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def before_sign_up(self, tenant: Tenant, account: dict[str, Any]) -> None:
        """Raises AuthError ``hook_rejected`` or ``hook_failed``: then no account is made."""
        await self._ask("before_sign_up", tenant.settings.hooks.before_sign_up, tenant, {"user": account})

    def after_sign_up(self, tenant: Tenant, user: User) -> None:
        """Tells, in the background; never raises."""
        self._tell("after_sign_up", tenant.settings.hooks.after_sign_up, tenant, {"user": described(user)})

    async def before_sign_in(self, tenant: Tenant, user: User, *, method: str, device: Device) -> None:
        """Raises AuthError ``hook_rejected`` or ``hook_failed``: then no session begins."""
        await self._ask(
            "before_sign_in", tenant.settings.hooks.before_sign_in, tenant, {"user": described(user), "method": method, **_device(device)}
        )

    def after_sign_in(self, tenant: Tenant, user: User, *, method: str, device: Device) -> None:
        """Tells, in the background; never raises."""
        self._tell(
            "after_sign_in", tenant.settings.hooks.after_sign_in, tenant, {"user": described(user), "method": method, **_device(device)}
        )

    async def issue_token(self, tenant: Tenant, user: User, session: Session, claims: dict[str, object]) -> dict[str, object]:
        """Further claims of a token; what the server says itself cannot be replaced. Raises AuthError ``hook_failed``."""
        answer = await self._ask(
            "token_issue", tenant.settings.hooks.token_issue, tenant, {"user": described(user), "session_id": session.id, "claims": claims}
        )
        more = answer.get("claims")
        if more is None:
            return claims
        if not isinstance(more, dict):
            raise _failed("token_issue")
        return {**{name: value for name, value in cast("dict[str, object]", more).items() if name not in _OURS}, **claims}

    async def _ask(self, name: str, uri: str, tenant: Tenant, content: dict[str, Any]) -> dict[str, Any]:
        if not uri or tenant.id == self._home:
            return {}
        try:
            answer = await self._run(uri, name, tenant, content)
        except DatabaseError as error:
            if error.sqlstate == "P0001":  # RAISE: the function's author refuses, in his own words
                raise _rejected(error.message) from error
            raise _failed(name) from error
        except FluxbaseError as error:
            raise _failed(name) from error
        if answer.get("decision") == "reject" or "error" in answer:
            problem = answer.get("error")
            message = cast("dict[str, Any]", problem if isinstance(problem, dict) else answer).get("message")
            raise _rejected(message if isinstance(message, str) else "")
        return answer

    def _tell(self, name: str, uri: str, tenant: Tenant, content: dict[str, Any]) -> None:
        if not uri or tenant.id == self._home:
            return
        if len(self._tasks) >= MOST_TOLD:
            structlog.get_logger("fluxbase.auth.hooks").warning("hook_dropped", hook=name)
            return
        task = asyncio.create_task(self._tell_quietly(uri, name, tenant, content))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell_quietly(self, uri: str, name: str, tenant: Tenant, content: dict[str, Any]) -> None:
        try:
            await self._run(uri, name, tenant, content)
        except FluxbaseError as error:
            structlog.get_logger("fluxbase.auth.hooks").warning("hook_failed", hook=name, error=error.code)

    async def close(self) -> None:
        """Wait for what is being told; each has its timeout."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, uri: str, name: str, tenant: Tenant, content: dict[str, Any]) -> dict[str, Any]:
        event = {"hook": name, "id": str(uuid.uuid4()), "tenant_id": tenant.id, **content}
        body = orjson.dumps(event)
        raw: bytes | None
        if uri.startswith("sql:"):
            schema, _, function = uri.removeprefix("sql:").partition(".")
            raw = await self._call(tenant, schema, function, body, timeout_seconds=tenant.settings.hooks.timeout_seconds)
        else:
            headers = {"content-type": "application/json", "x-fluxbase-signature": self._signature(tenant, body)}
            status, raw = await self._post(uri, body, headers, timeout_seconds=tenant.settings.hooks.timeout_seconds)
            if not 200 <= status < 300:
                raise _failed(name)
        return _object(raw, name)

    def _signature(self, tenant: Tenant, body: bytes) -> str:
        secret = tenant.settings.hooks.secret
        moment = int(self._clock())
        key = secret.reveal().encode() if secret else b""
        return f"t={moment},v1={hmac.digest(key, str(moment).encode() + b'.' + body, 'sha256').hex()}"


def described(user: User) -> dict[str, Any]:
    """What a hook is told of a user: nothing that signs in."""
    return {
        "id": user.id, "email": user.email, "role": user.role, "app_metadata": user.app_metadata, "user_metadata": user.user_metadata,
        "is_anonymous": user.is_anonymous, "created_at": user.created_at,
    }  # fmt: skip


def _device(device: Device) -> dict[str, Any]:
    return {"ip_address": device.address, "user_agent": device.user_agent}


def _object(raw: bytes | None, name: str) -> dict[str, Any]:
    """No answer at all means yes."""
    if not raw or raw.strip() in (b"", b"null"):
        return {}
    try:
        answer = orjson.loads(raw) if len(raw) <= _LONGEST_ANSWER else None
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        raise _failed(name)
    return cast("dict[str, Any]", answer)


def _rejected(message: str) -> AuthError:
    return AuthError(message[:_LONGEST_MESSAGE] or "The application refused this.", code="hook_rejected")


def _failed(name: str) -> AuthError:
    return AuthError(f"The hook {name} did not answer as it must, so this was refused.", code="hook_failed")
