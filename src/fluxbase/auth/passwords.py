"""Passwords: how they are hashed, verified and judged.

Argon2id with OWASP's parameters by default, bcrypt when it is chosen and for accounts that were imported. A hash costs
tens of megabytes and milliseconds, so at most ``hash_workers`` run at a time and at most ``hash_queue`` wait: a login
storm cannot exhaust memory (threat G61). Nothing is truncated (threat B27): bcrypt reads 72 bytes, so ours hashes an
HMAC of the whole password. Text is normalised to NFKC first (RFC 8265's reason, NIST SP 800-63B 3.1.1.2), so that the
same password typed on two keyboards is one; hashes made elsewhere with plain bcrypt are verified with the text as sent.
An account without a hash costs one as well (invariant 11).
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import os
import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from hashlib import sha256
from importlib import resources
from typing import TYPE_CHECKING, TypeVar

import argon2
import bcrypt
from argon2.exceptions import InvalidHashError, VerificationError

from fluxbase.kernel.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxbase.auth.ports import LeakCheck
    from fluxbase.config.auth import Auth

_T = TypeVar("_T")
_ARGON2 = "$argon2"
_BCRYPT = ("$2a$", "$2b$", "$2x$", "$2y$")
_OURS = "$fb-bcrypt-hmac$"
_BCRYPT_BYTES = 72
_MOST_MEMORY_KIB = 262_144
"""Of a hash that was imported: more would let one account exhaust the machine."""


class Passwords:
    """The one place that touches a password."""

    def __init__(self, settings: Auth, leaks: LeakCheck | None = None) -> None:
        self._settings = settings
        self._leaks = leaks
        workers = settings.hash_workers or len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="password")
        self._most = workers + settings.hash_queue
        self._under_way = 0
        self.hashes = 0
        """How many hashes this process computed: tests compare what known and unknown accounts cost."""
        self._argon2 = argon2.PasswordHasher(
            time_cost=settings.argon2_passes, memory_cost=settings.argon2_memory_kib, parallelism=settings.argon2_lanes
        )
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """The hash to store. Raises Unavailable when too many wait."""
        return await self._run(partial(self._hash, normalise(password)))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password fits; None (no such account, or one without a password) costs the same and is False."""
        return await self._run(partial(self._verify, stored, password))

    def needs_rehash(self, stored: str) -> bool:
        """Whether a hash that just verified was made by other means than today's settings."""
        if self._settings.hash_algorithm == "bcrypt":
            return not stored.startswith(f"{_OURS}$2b${self._settings.bcrypt_cost:02}$")
        try:
            return not stored.startswith("$argon2id$") or self._argon2.check_needs_rehash(stored)
        except InvalidHashError:
            return True

    @staticmethod
    def check(settings: Auth, password: str, email: str | None = None) -> list[str]:
        """Why a tenant's rules refuse a new password: ``length``, ``characters``, ``common``. Empty: it may be used."""
        text = normalise(password)
        reasons: list[str] = []
        if not settings.password_min_length <= len(text) <= settings.password_max_length:
            reasons.append("length")
        if any(not any(map(_KINDS[kind], text)) for kind in settings.password_required):
            reasons.append("characters")
        if settings.password_refuse_common and is_common(text[: settings.password_max_length], email):
            reasons.append("common")
        return reasons

    async def judge(self, settings: Auth, password: str, email: str | None = None) -> list[str]:
        """The same, and ``pwned`` where published leaks are asked about (``auth.password_range_url``)."""
        reasons = self.check(settings, password, email)
        if not reasons and self._leaks is not None and await self._leaks.has(normalise(password)):
            reasons.append("pwned")
        return reasons

    def close(self) -> None:
        """End the worker threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], _T]) -> _T:
        if self._under_way >= self._most:
            raise Unavailable("Too many sign-ins wait. Try again in a moment.", code="sign_in_queue_full")
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._under_way -= 1

    def _hash(self, text: str) -> str:
        self.hashes += 1
        if self._settings.hash_algorithm == "argon2id":
            return self._argon2.hash(text)
        return _OURS + bcrypt.hashpw(_whole(text), bcrypt.gensalt(self._settings.bcrypt_cost)).decode()

    def _verify(self, stored: str | None, password: str) -> bool:
        is_known = stored is not None and is_hash(stored)
        if not is_known and self._nobody is None:
            self._nobody = self._hash(secrets.token_urlsafe())
            self.hashes -= 1
        self.hashes += 1
        fits = _fits(stored if is_known else self._nobody, password)
        return fits and is_known


def normalise(password: str) -> str:
    """NFKC: compatibility forms and combining accents become one spelling."""
    return unicodedata.normalize("NFKC", password)


def is_hash(text: str) -> bool:
    """Whether a stored or imported text is a hash we can verify, of bearable cost."""
    if text.startswith(_ARGON2):
        try:
            return argon2.extract_parameters(text).memory_cost <= _MOST_MEMORY_KIB
        except InvalidHashError:
            return False
    return text.removeprefix(_OURS).startswith(_BCRYPT) and len(text.removeprefix(_OURS)) == 60


def _fits(stored: str | None, password: str) -> bool:
    if stored is None:
        return False
    try:
        if stored.startswith(_ARGON2):
            return argon2.PasswordHasher().verify(stored, normalise(password))
        if stored.startswith(_OURS):
            return bcrypt.checkpw(_whole(normalise(password)), stored.removeprefix(_OURS).encode())
        raw = password.encode("utf-8", "surrogatepass")
        fits = bcrypt.checkpw(raw[:_BCRYPT_BYTES].replace(b"\0", b"\xff"), stored.encode())
        return fits and len(raw) <= _BCRYPT_BYTES and b"\0" not in raw
    except (VerificationError, InvalidHashError, ValueError):
        return False


def _whole(text: str) -> bytes:
    """43 letters that stand for the whole password, NUL bytes included."""
    digest = hmac.digest(b"fluxbase password", text.encode("utf-8", "surrogatepass"), sha256)
    return base64.b64encode(digest).rstrip(b"=")


_KINDS: dict[str, Callable[[str], bool]] = {
    "lower": str.islower,
    "upper": str.isupper,
    "digit": str.isdigit,
    "symbol": lambda letter: not letter.isalnum() and not letter.isspace(),
}
_LOOKALIKES = str.maketrans("@4831!05$79", "aabeiiosstg")
_WALKS = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "abcdefghijklmnopqrstuvwxyz", "qwertzuiop", "azertyuiop", "1234567890", "0123456789",
          "1qaz2wsx3edc4rfv5tgb6yhn7ujm", "qazwsxedcrfvtgbyhnujm", "!@#$%^&*()")  # fmt: skip
_SHORTEST_WALK = 3


_DECORATION = 12
"""So many digits and signs are a date and its dots. More are chance, as in a random UUID, and count like letters."""


def is_common(text: str, email: str | None = None) -> bool:
    """Whether guessing programs try it early: made only of known words, keyboard walks, repetitions, years and the address."""
    folded = text.casefold()
    own = [part for part in _words_of(email or "") if len(part) > 2]
    return any(_is_spent(form, own) for form in {folded, folded.translate(_LOOKALIKES)})


def _is_spent(text: str, own: list[str]) -> bool:
    """Nothing is left but a few letters when everything guessable is taken out."""
    left = len(text)
    decoration = _DECORATION
    at = 0
    while at < len(text):
        taken = max(_known_at(text, at, own), _walk_at(text, at), _run_at(text, at))
        if not taken and decoration and not text[at].isalpha():
            decoration -= 1
            left -= 1
        left -= taken
        at += max(taken, 1)
    return left <= len(text) // 6


def _known_at(text: str, at: int, own: list[str]) -> int:
    by_length = _common_words()
    lengths = [length for length, words in by_length.items() if text[at : at + length] in words and at + length <= len(text)]
    return max([*lengths, *(len(word) for word in own if text.startswith(word, at))], default=0)


def _walk_at(text: str, at: int) -> int:
    longest = 0
    for walk in _WALKS:
        for path in (walk, walk[::-1]):
            length = _SHORTEST_WALK
            while at + length <= len(text) and text[at : at + length] in path:
                longest = max(longest, length)
                length += 1
    return longest


def _run_at(text: str, at: int) -> int:
    """How far the same letter, or the same pair or triple of letters, goes on."""
    longest = 0
    for width in (1, 2, 3, 4):
        piece, end = text[at : at + width], at + width
        while piece and text.startswith(piece, end):
            end += width
        if end - at >= max(3, 2 * width):
            longest = max(longest, end - at)
    return longest


def _words_of(email: str) -> list[str]:
    name, _, host = email.casefold().partition("@")
    return [name, *name.replace("-", ".").replace("_", ".").split("."), *host.split(".")]


@cache
def _common_words() -> dict[int, frozenset[str]]:
    text = resources.files("fluxbase.auth").joinpath("common_words.txt").read_text(encoding="utf-8")
    words = {word for line in text.splitlines() if not line.startswith("#") for word in line.split()}
    return {length: frozenset(word for word in words if len(word) == length) for length in sorted({len(word) for word in words})}
