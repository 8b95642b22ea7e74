"""What leaves of a platform administrator (contract-native 2.4), member by member."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxbase.auth.users import IssuedSession, SecondFactorRequired
from fluxbase.web.native.auth.shapes import tokens_body

if TYPE_CHECKING:
    from fluxbase.auth.platform import Platform
    from fluxbase.auth.users import User

NO_STORE = {"cache-control": "no-store"}


def admin_body(user: User) -> dict[str, Any]:
    """A platform user; the name as the server and as the SDK call it."""
    name = user.user_metadata.get("name", "")
    return {
        "id": user.id, "email": user.email, "role": user.role, "name": name, "full_name": name,
        "avatar_url": user.user_metadata.get("avatar_url"), "totp_enabled": user.has_second_factor,
        "email_verified": user.email_confirmed_at is not None, "is_active": not user.is_banned, "is_locked": user.is_locked,
        "locked_until": user.locked_until, "last_login_at": user.last_sign_in_at, "created_at": user.created_at,
        "updated_at": user.updated_at,
    }  # fmt: skip


def entered(found: IssuedSession | SecondFactorRequired, platform: Platform) -> dict[str, Any]:
    """A session, or the second step; ``requires_2fa_setup``: the session opens nothing but setting a second factor up."""
    if isinstance(found, SecondFactorRequired):
        return {
            "requires_2fa": True, "user_id": found.ticket, "ticket": found.ticket, "factors": list(found.factors),
            "message": "Enter the code of your second factor.",
        }  # fmt: skip
    owes = platform.owes_factor(found.session.aal, has_factor=found.user.has_second_factor)
    return {"user": admin_body(found.user), **tokens_body(found), **({"requires_2fa_setup": True} if owes else {})}
