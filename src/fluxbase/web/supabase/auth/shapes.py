"""GoTrue's objects (contract-supabase 2.1), member by member: what is not named here does not leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxbase.auth.sessions import app_metadata

if TYPE_CHECKING:
    from fluxbase.auth.users import Identity, IssuedSession, User


def user_body(user: User) -> dict[str, Any]:
    """The user object; members that GoTrue leaves out when they are empty are left out."""
    optional = {
        "email_confirmed_at": user.email_confirmed_at, "confirmed_at": user.email_confirmed_at, "invited_at": user.invited_at,
        "confirmation_sent_at": user.confirmation_sent_at, "recovery_sent_at": user.recovery_sent_at, "new_email": user.pending_email,
        "email_change_sent_at": user.email_change_sent_at, "reauthentication_sent_at": user.reauthentication_sent_at,
        "last_sign_in_at": user.last_sign_in_at, "banned_until": user.banned_until, "deleted_at": user.deleted_at,
    }  # fmt: skip
    return {
        "id": user.id,
        "aud": "authenticated",
        "role": user.role,
        "email": user.email or "",
        "phone": user.phone or "",
        **{name: value for name, value in optional.items() if value},
        "app_metadata": app_metadata(user),
        "user_metadata": user_metadata(user),
        "identities": [identity_body(each) for each in user.identities],
        **({"factors": [factor_body(each) for each in user.factors]} if user.factors else {}),
        "created_at": user.created_at,
        "updated_at": user.updated_at,
        "is_anonymous": user.is_anonymous,
    }


def user_metadata(user: User) -> dict[str, Any]:
    """What the user wrote, with what GoTrue adds for an account with an address."""
    if user.email is None:
        return user.user_metadata
    is_verified = user.email_confirmed_at is not None
    return {"email": user.email, "email_verified": is_verified, "phone_verified": False, "sub": user.id, **user.user_metadata}


def identity_body(identity: Identity) -> dict[str, Any]:
    """An identity; ``id`` is the provider's, ``identity_id`` ours."""
    found = {
        "identity_id": identity.id, "id": identity.subject, "user_id": identity.user_id, "identity_data": identity.data,
        "provider": identity.provider, "last_sign_in_at": identity.last_sign_in_at, "created_at": identity.created_at,
        "updated_at": identity.updated_at, "email": identity.email,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value is not None}


def factor_body(factor: dict[str, Any]) -> dict[str, Any]:
    """A second factor, of any status."""
    found = {
        name: factor[name] for name in ("id", "status", "friendly_name", "factor_type", "last_challenged_at", "created_at", "updated_at")
    }
    return {name: value for name, value in found.items() if value}


def session_body(issued: IssuedSession) -> dict[str, Any]:
    """What sign-in and refresh answer."""
    return {
        "access_token": issued.access_token,
        "token_type": "bearer",
        "expires_in": issued.expires_in,
        "expires_at": issued.expires_at,
        "refresh_token": issued.refresh_token,
        "user": user_body(issued.user),
    }
