"""Controls of what is proven before a change, each with what stands in its place while a twin's request names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fluxbase.auth import api_keys
from fluxbase.auth.accounts import Accounts
from fluxbase.kernel.errors import AuthError


def _nothing(_: Any) -> Any:
    def answer(*_arguments: Any) -> None:
        return None

    return answer


def _with_the_change(_: Any) -> Any:
    """The proof shares the fate of the change: what a refusal undoes was not counted and not used up."""

    async def prove(self: Any, tenant: Any, user: Any, session: Any, nonce: str | None) -> None:
        async with self._transactions(tenant, reason="twin") as tx:
            if nonce is None:
                await self.require_fresh(tx, tenant, session)
            elif not await self.check_nonce(tx, tenant, user, nonce):
                raise AuthError("Nonce has expired or is invalid", code="reauthentication_not_valid")

    return prove


def _compares_first(original: Any) -> Any:
    async def update(self: Any, tenant: Any, principal: Any, change: Any) -> Any:
        user, _ = await self.current(tenant, principal)
        if change.password is not None and await self._passwords.verify(user.password_hash, change.password):
            raise AuthError("New password should be different from the old password.", code="same_password")
        return await original(self, tenant, principal, change)

    return update


LIFTED: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "keys:narrow": (api_keys, "_refuse_wider", _nothing),
    "reauthentication:committed": (Accounts, "_prove", _with_the_change),
    "reauthentication:first": (Accounts, "update", _compares_first),
}
