"""Tokens that are mailed and work once: made, mailed with a six-digit code beside the link, redeemed (threats B16, B20, B21, B22).

The link begins with the configured public URL, whatever a request says of its host. For an address nobody has the same rows
are written by the same statements, and the mail is a decoy.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from fluxbase.auth import one_time_store as store
from fluxbase.auth.redirects import with_parameters
from fluxbase.crypto.opaque import ONE_TIME, format_opaque, parse_opaque
from fluxbase.kernel.errors import RateLimited

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxbase.auth.one_time_store import Redeemed
    from fluxbase.auth.ports import MailLetters, SystemTx
    from fluxbase.auth.users import User
    from fluxbase.tenancy.registry import Tenant

LINK_TYPES = {
    "signup": "signup", "invite": "invite", "magiclink": "magiclink", "recovery": "recovery", "email_change_current": "email_change",
    "email_change_new": "email_change",
}  # fmt: skip
"""Purpose → the type in the link. What has no link has a code only."""
PURPOSES = {
    "signup": ("signup",), "invite": ("invite",), "magiclink": ("magiclink",), "recovery": ("recovery",),
    "email_change": ("email_change_current", "email_change_new"), "email": ("signup", "magiclink", "invite"),
}  # fmt: skip
"""Type of a link or code → the purposes it stands for; ``email`` is GoTrue's word for a code of either kind."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A mail that somebody asked for. ``user`` None: nobody has the address."""

    purpose: str
    email: str
    user: User | None
    redirect_to: str | None = None
    """A configured URL."""
    code_challenge: str | None = None
    payload: dict[str, Any] = field(default_factory=dict[str, Any])
    values: dict[str, object] = field(default_factory=dict[str, object])
    """Further values of the template."""
    template: str | None = None
    """Another mail than the purpose's."""
    is_app_link: bool = False
    """The link leads to ``redirect_to`` with the token, and the app redeems it; else to our page."""
    has_limit: bool = True


@dataclass(frozen=True, slots=True)
class Made:
    """What only the mail, or an administrator, gets to see."""

    token: str = field(repr=False)
    code: str = field(repr=False)
    url: str = field(repr=False)


class OneTimeTokens:
    """Makes, mails and redeems them."""

    def __init__(self, letters: MailLetters, *, public_url: str, code_key: bytes) -> None:
        self._letters = letters
        self._public_url = public_url
        self._code_key = code_key

    async def send(self, tx: SystemTx, tenant: Tenant, asked: Asked) -> None:
        """Make one and mail it, in the caller's transaction. Raises RateLimited when the last one is too young."""
        email = normalised(asked.email)
        wait = await store.seconds_to_wait(tx, tenant.id, email, asked.purpose, interval_seconds=tenant.settings.auth.mail_interval_seconds)
        if wait and asked.has_limit:
            error = RateLimited(f"For security purposes, you can only request this after {wait} seconds.", retry_after_seconds=wait)
            error.code = "over_email_send_rate_limit"
            raise error
        made = await self.make(tx, tenant, asked)
        await store.note_mail(tx, tenant.id, email, asked.purpose)
        seconds = _lives_seconds(tenant, asked.purpose)
        values: dict[str, object] = {"valid_for": _words(seconds), "code": made.code, **asked.values}
        if asked.purpose in LINK_TYPES:
            values["url"] = made.url
        template = asked.template or asked.purpose
        if asked.template is not None:
            values = dict(asked.values)
        is_decoy = asked.user is None and asked.template is None and "create" not in asked.payload
        await self._letters(tx, tenant, template, asked.email, values, seconds, is_decoy=is_decoy)

    async def tell(self, tx: SystemTx, tenant: Tenant, template: str, email: str, values: dict[str, object]) -> None:
        """A notice without link and code."""
        await self._letters(tx, tenant, template, email, values, 86_400.0, is_decoy=False)

    async def make(self, tx: SystemTx, tenant: Tenant, asked: Asked) -> Made:
        """Make and store one without mailing it."""
        token = format_opaque(ONE_TIME, tenant.locator, secrets.token_bytes(32))
        code = f"{secrets.randbelow(1_000_000):06d}"
        email = normalised(asked.email)
        new = store.NewToken(
            asked.purpose, email, _hash(token), self._code_hash(tenant, email, code), _lives_seconds(tenant, asked.purpose),
            tenant.settings.auth.code_attempts, None if asked.user is None else asked.user.id,
            None if asked.user is None else asked.user.epoch, asked.payload, asked.redirect_to, asked.code_challenge,
        )  # fmt: skip
        await store.insert_token(tx, tenant.id, new)
        return Made(token, code, self._url(asked, token))

    async def redeem_token(self, tx: SystemTx, tenant: Tenant, raw_token: str, purposes: Sequence[str]) -> Redeemed | None:
        """Use a token; None when it is not good."""
        parsed = parse_opaque(raw_token, (ONE_TIME,))
        if parsed is None or parsed.locator != tenant.locator:
            return None
        return await store.redeem_token(tx, tenant.id, parsed.digest, purposes)

    async def redeem_code(self, tx: SystemTx, tenant: Tenant, email: str, raw_code: str, purposes: Sequence[str]) -> Redeemed | None:
        """Use a code; None when it is not good. Commit then too: the attempt counts."""
        address = normalised(email)
        return await store.redeem_code(tx, tenant.id, address, self._code_hash(tenant, address, raw_code.strip()), purposes)

    async def state_of(self, tx: SystemTx, tenant: Tenant, raw_token: str, purposes: Sequence[str]) -> str:
        """``good``, ``used``, ``expired`` or ``unknown``, without using it."""
        parsed = parse_opaque(raw_token, (ONE_TIME,))
        if parsed is None or parsed.locator != tenant.locator:
            return "unknown"
        return await store.state_of(tx, tenant.id, parsed.digest, purposes)

    def _url(self, asked: Asked, token: str) -> str:
        kind = LINK_TYPES.get(asked.purpose, asked.purpose)
        if asked.is_app_link and asked.redirect_to:
            return with_parameters(asked.redirect_to, {"token": token, "type": kind})
        more = {"redirect_to": asked.redirect_to} if asked.redirect_to else {}
        return f"{self._public_url}/auth/v1/verify?{urlencode({'token': token, 'type': kind, **more})}"

    def _code_hash(self, tenant: Tenant, email: str, code: str) -> bytes:
        return hmac.digest(self._code_key, f"{tenant.id}\n{email}\n{code}".encode(), hashlib.sha256)


def _lives_seconds(tenant: Tenant, purpose: str) -> int:
    settings = tenant.settings.auth
    return {
        "signup": settings.confirmation_seconds, "invite": settings.invitation_seconds, "magiclink": settings.magic_link_seconds,
        "recovery": settings.recovery_seconds, "email_change_current": settings.confirmation_seconds,
        "email_change_new": settings.confirmation_seconds, "reauthentication": settings.reauthentication_seconds, "pkce_code": 300,
    }[purpose]  # fmt: skip


def normalised(email: str) -> str:
    """As ``auth.users.email_normalised`` has it."""
    return unicodedata.normalize("NFKC", email.strip().replace("\0", "")).lower()[:320]


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _words(seconds: int) -> str:
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} seconds"
