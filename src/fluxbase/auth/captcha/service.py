"""Whether a flow asks for a captcha, and whether the answer holds (contract-native 1.1, 4.4).

Fails closed: a provider that is away, slow or answers nonsense refuses the flow (``captcha_unavailable``, 503), because an attacker
could otherwise switch it off by filling its quota.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

import orjson

from fluxbase.auth.captcha.proof_of_work import ProofOfWork, Work, is_solved, solution_digest, split_solution
from fluxbase.auth.captcha.store import spend
from fluxbase.kernel.errors import AuthError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxbase.auth.ports import HttpPost, SystemSessions
    from fluxbase.tenancy.registry import Tenant

FLOWS = ("signup", "login", "password_reset", "magic_link")
VERIFY_URLS = {
    "hcaptcha": "https://api.hcaptcha.com/siteverify",
    "recaptcha_v3": "https://www.google.com/recaptcha/api/siteverify",
    "turnstile": "https://challenges.cloudflare.com/turnstile/v0/siteverify",
}
_LONGEST_TOKEN = 8192


class CaptchaService:
    """Asks for a captcha where the settings say so."""

    def __init__(self, transactions: SystemSessions, post: HttpPost, key: bytes, *, clock: Callable[[], float] = time.time) -> None:
        self._transactions = transactions
        self._post = post
        self._work = ProofOfWork(key)
        self._clock = clock

    @staticmethod
    def asks(tenant: Tenant, flow: str) -> bool:
        """Whether this flow wants one."""
        return tenant.settings.captcha.enabled and flow in tenant.settings.captcha.endpoints

    @staticmethod
    def public_settings(tenant: Tenant) -> dict[str, Any]:
        """What a page needs to show it."""
        if not tenant.settings.captcha.enabled:
            return {"enabled": False}
        return {
            "enabled": True, "provider": tenant.settings.captcha.provider, "site_key": tenant.settings.captcha.site_key,
            "endpoints": list(tenant.settings.captcha.endpoints),
        }  # fmt: skip

    def challenge(self, tenant: Tenant, flow: str) -> dict[str, Any]:
        """What ``captcha/check`` answers; with the built-in provider, a challenge to work on. Raises AuthError ``invalid_endpoint``."""
        if flow not in FLOWS:
            raise AuthError(f"endpoint must be one of {', '.join(FLOWS)}", code="invalid_endpoint")
        ends_at = int(self._clock()) + tenant.settings.captcha.challenge_seconds
        answer: dict[str, Any] = {
            "captcha_required": self.asks(tenant, flow),
            "reason": "configured" if self.asks(tenant, flow) else "not required for this flow",
            "trust_score": 0,
            "provider": tenant.settings.captcha.provider if tenant.settings.captcha.enabled else None,
            "site_key": tenant.settings.captcha.site_key,
            "challenge_id": None,
            "expires_at": None,
        }
        if self.asks(tenant, flow) and tenant.settings.captcha.provider == "proof_of_work":
            difficulty = tenant.settings.captcha.difficulty_bits
            text = self._work.challenge(Work(tenant.id, flow, difficulty, ends_at))
            answer |= {"challenge_id": text, "expires_at": _iso(ends_at), "difficulty": difficulty, "algorithm": "sha256-leading-zero-bits"}
        return answer

    async def check(self, tenant: Tenant, flow: str, raw_token: str | None, *, address: str) -> None:
        """Let the flow go on. Raises AuthError ``captcha_required`` or ``captcha_failed``, Unavailable ``captcha_unavailable``."""
        if not self.asks(tenant, flow):
            return
        if not raw_token:
            raise AuthError("captcha protection: request disallowed (no captcha_token found)", code="captcha_required")
        if len(raw_token) > _LONGEST_TOKEN:
            raise _failed("the token is too long")
        if tenant.settings.captcha.provider == "proof_of_work":
            await self._check_work(tenant, flow, raw_token)
        else:
            await self._ask_provider(tenant, flow, raw_token, address)

    async def _check_work(self, tenant: Tenant, flow: str, solution: str) -> None:
        parts = split_solution(solution)
        work = self._work.read(parts[0]) if parts else None
        if parts is None or work is None or (work.tenant, work.flow) != (tenant.id, flow):
            raise _failed("it is not a solution of a challenge for this flow")
        if work.ends_at < self._clock():
            raise AuthError("captcha protection: the challenge has expired; ask for another", code="captcha_expired")
        if not is_solved(*parts, work.difficulty):
            raise _failed("the work was not done")
        async with self._transactions(tenant, reason="use a captcha solution") as tx:
            is_first = await spend(tx, tenant.id, solution_digest(parts[0]), work.ends_at)
        if not is_first:
            raise AuthError("captcha protection: this solution was used already", code="captcha_used")

    async def _ask_provider(self, tenant: Tenant, flow: str, token: str, address: str) -> None:
        secret = tenant.settings.captcha.secret_key
        form = {
            "secret": secret.reveal() if secret else "",
            "response": token,
            "remoteip": address,
            "sitekey": tenant.settings.captcha.site_key,
        }
        url = tenant.settings.captcha.verify_url or VERIFY_URLS[tenant.settings.captcha.provider]
        status, body = await self._post(
            url,
            urlencode(form).encode(),
            {"content-type": "application/x-www-form-urlencoded"},
            timeout_seconds=tenant.settings.captcha.timeout_seconds,
        )
        try:
            parsed = orjson.loads(body)
        except orjson.JSONDecodeError:
            parsed = None
        answer = cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}
        if status != 200 or not isinstance(answer.get("success"), bool):
            raise Unavailable("The captcha provider does not answer. Try again in a moment.", code="captcha_unavailable")
        if not answer["success"]:
            raise _failed("the provider refused the token")
        self._check_answer(tenant, flow, answer)

    def _check_answer(self, tenant: Tenant, flow: str, answer: dict[str, Any]) -> None:
        """A token of another page or another action proves nothing here."""
        if tenant.settings.captcha.hostnames and answer.get("hostname") not in tenant.settings.captcha.hostnames:
            raise _failed("the token is of another page")
        if tenant.settings.captcha.provider != "recaptcha_v3":
            return
        score = answer.get("score")
        if isinstance(score, bool) or not isinstance(score, int | float) or score < tenant.settings.captcha.score_threshold:
            raise _failed("the score is too low")
        if answer.get("action") not in (None, "", flow):
            raise _failed("the token is of another action")


def _failed(why: str) -> AuthError:
    return AuthError(f"captcha protection: request disallowed ({why})", code="captcha_failed")


def _iso(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
