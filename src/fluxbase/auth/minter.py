"""Makes the tokens that ``auth/verify.py`` accepts. The one place that signs."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from fluxbase.auth.rules import ACCESS_TYPE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxbase.auth.keyring import KeyRings
    from fluxbase.auth.rules import TokenRules
    from fluxbase.kernel.ids import TenantId

RESERVED = frozenset({"iss", "aud", "sub", "user_id", "role", "session_id", "token_type", "iat", "nbf", "exp", "jti", "tenant_id"})


class TokenMinter:
    """Signs access tokens with the tenant's current key."""

    def __init__(self, rings: KeyRings, rules: TokenRules) -> None:
        self._rings = rings
        self._rules = rules

    async def access_token(
        self,
        tenant: TenantId,
        user_id: str,
        role: str = "authenticated",
        session_id: str | None = None,
        email: str | None = None,
        extra: Mapping[str, object] | None = None,
        *,
        now: float | None = None,
        seconds: int | None = None,
    ) -> str:
        """A signed-in user's token, for the instance's ``access_token_seconds`` when no ``seconds`` are given.

        ``extra`` claims cannot replace ours (ValueError).
        """
        if extra and (taken := RESERVED & extra.keys()):
            raise ValueError(f"these claims are ours: {', '.join(sorted(taken))}")
        issued_at = int(time.time() if now is None else now)
        claims: dict[str, object] = dict(extra or {})
        if email is not None:
            claims["email"] = email
        if session_id is not None:
            claims["session_id"] = session_id
        claims |= {
            "iss": self._rules.issuer,
            "aud": self._rules.audience,
            "sub": user_id,
            "user_id": user_id,
            "role": role,
            "token_type": "access",
            "tenant_id": tenant,
            "iat": issued_at,
            "nbf": issued_at,
            "exp": issued_at + (self._rules.access_token_seconds if seconds is None else seconds),
            "jti": str(uuid.uuid4()),
        }
        return (await self._rings.get(tenant)).ring.signer.sign(claims, ACCESS_TYPE)
