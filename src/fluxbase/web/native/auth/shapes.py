"""The native objects of auth (contract-native 2.4), member by member: what is not named here does not leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxbase.auth.sessions import app_metadata
from fluxbase.auth.users import IssuedSession, SecondFactorRequired, User

if TYPE_CHECKING:
    from fluxbase.auth.users import Session


def user_body(user: User) -> dict[str, Any]:
    """The user; metadata both as the server names it and as the SDK does."""
    return {
        "id": user.id,
        "email": user.email or "",
        "email_verified": user.has_proven_email,
        "role": user.role,
        "tenant_id": user.tenant,
        "user_metadata": user.user_metadata,
        "metadata": user.user_metadata,
        "app_metadata": app_metadata(user),
        "is_anonymous": user.is_anonymous,
        **({"pending_email": user.pending_email} if user.pending_email else {}),
        "created_at": user.created_at,
        "updated_at": user.updated_at,
        **({"last_sign_in_at": user.last_sign_in_at} if user.last_sign_in_at else {}),
    }


def tokens_body(issued: IssuedSession) -> dict[str, Any]:
    """What refresh answers."""
    return {
        "access_token": issued.access_token,
        "refresh_token": issued.refresh_token,
        "expires_in": issued.expires_in,
        "token_type": "bearer",
    }


def entered(found: User | IssuedSession | SecondFactorRequired) -> dict[str, Any]:
    """The answer to a way in: a session, a second step, or a user who must confirm his address."""
    match found:
        case IssuedSession():
            return {"user": user_body(found.user), **tokens_body(found)}
        case SecondFactorRequired():
            return {
                "requires_2fa": True, "user_id": found.ticket, "ticket": found.ticket, "factors": list(found.factors),
                "message": "Enter the code of your second factor.",
            }  # fmt: skip
        case User():
            return {"user": user_body(found), "requires_email_verification": True, "message": "Confirm your e-mail address."}


def session_body(session: Session, current: str | None) -> dict[str, Any]:
    """One line of the list of own sessions."""
    return {
        "id": session.id,
        "is_current": session.id == current,
        "user_agent": session.user_agent,
        "ip_address": session.address,
        "aal": session.aal,
        "created_at": session.created_at,
        "last_used_at": session.last_used_at,
        "expires_at": session.expires_at,
    }
