"""A captcha without a third party: the client finds a number whose hash with our challenge begins with enough zero bits.

The challenge is signed (HMAC-SHA-256) and says its flow, its difficulty and its end, so nothing is stored until a solution comes;
then its digest is, and the same solution is not taken again. A solution is ``<challenge>.<number>`` where
SHA-256(challenge + "." + number) has ``difficulty`` leading zero bits.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass

import orjson

PREFIX = "ch_"
_LONGEST = 600
_NUMBER_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Work:
    """A challenge whose signature holds."""

    tenant: str
    flow: str
    difficulty: int
    ends_at: int


class ProofOfWork:
    """Makes challenges and checks solutions. ``key`` is derived from the master key for this purpose alone."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def challenge(self, work: Work) -> str:
        """The challenge as text."""
        content = [work.tenant, work.flow, work.difficulty, work.ends_at, secrets.token_hex(12)]
        body = _encode(orjson.dumps(content))
        return f"{PREFIX}{body}.{self._tag(body)}"

    def read(self, challenge: str) -> Work | None:
        """What a challenge says; None when it is not ours."""
        body, separator, tag = challenge.removeprefix(PREFIX).partition(".")
        if not challenge.startswith(PREFIX) or not separator or len(challenge) > _LONGEST or not challenge.isascii():
            return None
        if not hmac.compare_digest(tag, self._tag(body)):
            return None
        tenant, flow, difficulty, ends_at, _ = orjson.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return Work(tenant, flow, difficulty, ends_at)

    def _tag(self, body: str) -> str:
        return _encode(hmac.digest(self._key, body.encode(), "sha256"))


def split_solution(solution: str) -> tuple[str, str] | None:
    """Challenge and number of a solution."""
    challenge, separator, number = solution.rpartition(".")
    is_number = 0 < len(number) <= _NUMBER_DIGITS and number.isascii() and number.isdigit()
    return (challenge, number) if separator and is_number else None


def is_solved(challenge: str, number: str, difficulty: int) -> bool:
    """Whether the hash has enough leading zero bits."""
    digest = hashlib.sha256(f"{challenge}.{number}".encode()).digest()
    return int.from_bytes(digest) >> (256 - difficulty) == 0


def solution_digest(challenge: str) -> bytes:
    """What is remembered of a challenge that was used."""
    return hashlib.sha256(challenge.encode()).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
