"""An account and a session as the services see them. What of them leaves is decided by the dialects, field by field."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fluxbase.kernel.ids import SessionId, TenantId, UserId

SECOND_FACTORS = frozenset({"totp", "webauthn"})


def normalised_email(text: str) -> str:
    """One spelling of an address for counting, as the database compares addresses: NFKC, lower case."""
    return unicodedata.normalize("NFKC", text).lower()


@dataclass(frozen=True, slots=True)
class Device:
    """What a request says of the machine it comes from; shown to the user in the list of his sessions."""

    address: str = ""
    user_agent: str = ""
    steps_in_session: bool = False
    """Its program shows a second factor inside a session (GoTrue's clients), not with a ticket before one."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a user is elsewhere; the account's own e-mail address is one too (issuer ``email``)."""

    id: str
    user_id: UserId
    provider: str
    issuer: str
    subject: str
    data: dict[str, Any]
    email: str | None
    last_sign_in_at: str | None
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class User:
    """A row of ``auth.users`` with its identities; times are RFC 3339 text in UTC."""

    tenant: TenantId
    id: UserId
    role: str
    email: str | None
    email_confirmed_at: str | None
    password_hash: str | None = field(repr=False)
    user_metadata: dict[str, Any]
    app_metadata: dict[str, Any]
    is_anonymous: bool
    banned_until: str | None
    is_banned: bool
    failed_attempts: int
    locked_until: str | None
    is_locked: bool
    pending_email: str | None
    phone: str | None
    invited_at: str | None
    confirmation_sent_at: str | None
    recovery_sent_at: str | None
    email_change_sent_at: str | None
    reauthentication_sent_at: str | None
    created_at: str
    updated_at: str
    last_sign_in_at: str | None
    deleted_at: str | None
    epoch: int
    identities: tuple[Identity, ...] = ()
    factors: tuple[dict[str, Any], ...] = ()
    """Second factors, also those that wait for their first code; nothing secret."""

    @property
    def has_second_factor(self) -> bool:
        """Whether one was confirmed. Recovery codes stand in for one and are none."""
        return any(each["status"] == "verified" and each["factor_type"] in SECOND_FACTORS for each in self.factors)

    @property
    def has_proven_email(self) -> bool:
        """Whether somebody proved the account's address: its owner by mail, a provider, or an administrator's word. That it counts as
        confirmed is less: where sign-up asks for no proof, it is confirmed because nobody asked."""
        own = normalised_email(self.email or "")
        return bool(own) and any(
            each.data.get("email_verified") is True and normalised_email(str(each.data.get("email") or "")) == own
            for each in self.identities
        )

    @property
    def has_password(self) -> bool:
        """Whether a password can sign it in."""
        return bool(self.password_hash)


@dataclass(frozen=True, slots=True)
class Session:
    """A row of ``auth.sessions``."""

    id: SessionId
    user_id: UserId
    aal: str
    amr: tuple[dict[str, Any], ...]
    factor_ids: tuple[str, ...]
    user_agent: str | None
    address: str | None
    created_at: str
    last_used_at: str
    expires_at: str
    authenticated_at: str


@dataclass(frozen=True, slots=True)
class IssuedSession:
    """What a sign-in or refresh gives."""

    user: User
    session: Session
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class SecondFactorRequired:
    """The first step holds, but a second factor is asked; ``ticket`` is good for that step alone."""

    user: User
    ticket: str = field(repr=False)
    factors: tuple[dict[str, Any], ...] = ()


def utc(value: str | None) -> str | None:
    """PostgreSQL's text of a time as RFC 3339 in UTC."""
    if value is None:
        return None
    return datetime.fromisoformat(value).astimezone(UTC).isoformat().replace("+00:00", "Z")


def user_of(row: dict[str, Any]) -> User:
    """A user from ``user_store.USER``'s JSON."""
    return User(
        tenant=row["tenant_id"],
        id=row["id"],
        role=row["role"],
        email=row["email"] or None,
        email_confirmed_at=utc(row["email_confirmed_at"]),
        password_hash=row["encrypted_password"] or None,
        user_metadata=row["raw_user_meta_data"] or {},
        app_metadata=row["raw_app_meta_data"] or {},
        is_anonymous=row["is_anonymous"],
        banned_until=utc(row["banned_until"]),
        is_banned=bool(row["is_banned"]),
        failed_attempts=row["failed_attempts"],
        locked_until=utc(row["locked_until"]),
        is_locked=bool(row["is_locked"]),
        pending_email=row["pending_email"],
        phone=row["phone"],
        invited_at=utc(row["invited_at"]),
        confirmation_sent_at=utc(row["confirmation_sent_at"]),
        recovery_sent_at=utc(row["recovery_sent_at"]),
        email_change_sent_at=utc(row["email_change_sent_at"]),
        reauthentication_sent_at=utc(row["reauthentication_sent_at"]),
        created_at=utc(row["created_at"]) or "",
        updated_at=utc(row["updated_at"]) or "",
        last_sign_in_at=utc(row["last_sign_in_at"]),
        deleted_at=utc(row["deleted_at"]),
        epoch=row["epoch"],
        identities=tuple(_identity_of(each) for each in row["identities"] or ()),
        factors=tuple(_factor_of(each) for each in row.get("factors") or ()),
    )


def _identity_of(row: dict[str, Any]) -> Identity:
    return Identity(
        row["id"], row["user_id"], row["provider"], row["issuer"], row["subject"], row["identity_data"], row["email"],
        utc(row["last_sign_in_at"]), utc(row["created_at"]) or "", utc(row["updated_at"]) or "",
    )  # fmt: skip


def _factor_of(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, **{name: utc(row[name]) for name in ("created_at", "updated_at", "last_challenged_at")}}


def session_of(row: dict[str, Any]) -> Session:
    """A session from ``session_store``'s JSON."""
    return Session(
        row["id"], row["user_id"], row["aal"], tuple(row["amr"]), tuple(row["factor_ids"]), row["user_agent"], row["address"],
        utc(row["created_at"]) or "", utc(row["last_used_at"]) or "", utc(row["expires_at"]) or "", utc(row["authenticated_at"]) or "",
    )  # fmt: skip
