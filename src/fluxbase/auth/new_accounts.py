"""How every account comes into being: by sign-up, by a mailed proof, through a provider, by an administrator.

One place, so that no way round the application's hook is left: what it refuses at sign-up it refuses to a magic link, an invitation
and a provider as well. An administrator who makes an account himself is not asked about it, his hook is told (docs/auth-factors.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxbase.auth import user_store

if TYPE_CHECKING:
    from fluxbase.auth.ports import AccountHooks, AuditRecorder, SystemTx
    from fluxbase.auth.users import User
    from fluxbase.tenancy.registry import Tenant

_TOLD = ("email", "user_metadata", "is_anonymous")
"""What the hook before a sign-up is told of a new account."""


class NewAccounts:
    """Makes accounts. ``hooks`` is set by ``parts/factors.py``."""

    def __init__(self, record: AuditRecorder) -> None:
        self._record = record
        self.hooks: AccountHooks | None = None

    async def make(
        self, tx: SystemTx, tenant: Tenant, values: dict[str, Any], *, by: str, actor: str | None = None, is_asked: bool = True,
        is_proven: bool = False, has_email_identity: bool = True,
    ) -> User | None:  # fmt: skip
        """The account of these columns (``user_store.insert_user``), told to the hook once it is committed; None when the address is taken.

        ``is_proven``: somebody vouches for the address; an address that was merely typed is not proven, even where it needs no
        confirmation. Raises AuthError ``hook_rejected`` or ``hook_failed``.
        """
        hooks = self.hooks
        if hooks is not None and is_asked:
            await hooks.before_sign_up(tenant, {name: value for name, value in values.items() if name in _TOLD})
        user_id = await user_store.insert_user(tx, tenant.id, values)
        if user_id is None:
            return None
        if values.get("email") and has_email_identity:
            await user_store.put_email_identity(tx, tenant.id, user_id, values["email"], is_verified=is_proven)
        await self._record(tx, action="auth.user.created", actor=actor or f"user:{user_id}", resource=f"user:{user_id}", details={"by": by})
        made = await user_store.select_user(tx, tenant.id, user_id)
        if hooks is not None and made is not None:
            tx.on_commit(lambda: hooks.after_sign_up(tenant, made))
        return made
