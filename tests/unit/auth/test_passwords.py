"""Hashing and judging of passwords, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import argon2
import bcrypt
import pytest

from fluxbase.auth.passwords import Passwords, is_common, is_hash
from fluxbase.config.auth import Auth
from fluxbase.kernel.errors import Unavailable

CHEAP = {"argon2_memory_kib": 7168, "argon2_passes": 1, "hash_workers": 2}


RULES = Auth()


@pytest.fixture
def argon() -> Iterator[Passwords]:
    """Cheap Argon2id."""
    made = Passwords(Auth(**CHEAP))  # type: ignore[arg-type]
    yield made
    made.close()


@pytest.fixture
def blowfish() -> Iterator[Passwords]:
    """bcrypt, chosen."""
    made = Passwords(Auth(hash_algorithm="bcrypt", bcrypt_cost=10, hash_workers=2))
    yield made
    made.close()


PAIRS = {
    "300 bytes that differ in the last": ("x" * 299 + "a", "x" * 299 + "b"),
    "a NUL byte inside": ("before\0after", "before\0other"),
    "what comes after a NUL byte": ("before\0after", "before"),
    "128 code points of four bytes": ("\U0001f600" * 128, "\U0001f600" * 127 + "\U0001f601"),
    "case": ("Violet tunnel 93", "violet tunnel 93"),
    "a space at the end": ("violet tunnel 93 ", "violet tunnel 93"),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("kind", ["argon", "blowfish"])
def test_every_character_counts(name: str, kind: str, request: pytest.FixtureRequest) -> None:
    """Nothing is truncated or folded (threat B27), with either algorithm."""
    passwords: Passwords = request.getfixturevalue(kind)
    right, wrong = PAIRS[name]
    stored = asyncio.run(passwords.hash(right))
    assert asyncio.run(passwords.verify(stored, right))
    assert not asyncio.run(passwords.verify(stored, wrong))


@pytest.mark.parametrize("kind", ["argon", "blowfish"])
def test_two_spellings_of_one_text_are_one_password(kind: str, request: pytest.FixtureRequest) -> None:
    """NFC, NFD and full-width letters are normalised to NFKC."""
    passwords: Passwords = request.getfixturevalue(kind)
    stored = asyncio.run(passwords.hash("se\u0301same \uff56iolet 93"))
    assert asyncio.run(passwords.verify(stored, "s\u00e9same violet 93"))


def test_imported_hashes_verify_and_are_renewed(argon: Passwords) -> None:
    """Plain bcrypt in all its spellings and other Argon2 parameters; each asks to be hashed anew, ours does not."""
    raw = b"an imported password"
    made = bcrypt.hashpw(raw, bcrypt.gensalt(4)).decode()
    imported = [made, made.replace("$2b$", "$2a$"), made.replace("$2b$", "$2y$"), argon2.PasswordHasher(memory_cost=8192).hash(raw)]
    for stored in imported:
        assert is_hash(stored)
        assert asyncio.run(argon.verify(stored, raw.decode()))
        assert not asyncio.run(argon.verify(stored, "another"))
        assert argon.needs_rehash(stored)
    assert not argon.needs_rehash(asyncio.run(argon.hash("x")))


def test_plain_bcrypt_takes_no_truncated_password(argon: Passwords) -> None:
    """An imported hash of 72 bytes is not opened by those and one more (the Okta bug)."""
    stored = bcrypt.hashpw(b"y" * 72, bcrypt.gensalt(4)).decode()
    assert asyncio.run(argon.verify(stored, "y" * 72))
    assert not asyncio.run(argon.verify(stored, "y" * 73))


def test_a_change_of_settings_asks_for_new_hashes(argon: Passwords, blowfish: Passwords) -> None:
    """Each algorithm renews the other's hashes, and bcrypt its own of another cost."""
    assert argon.needs_rehash(asyncio.run(blowfish.hash("x")))
    assert blowfish.needs_rehash(asyncio.run(argon.hash("x")))
    dearer = Passwords(Auth(hash_algorithm="bcrypt", bcrypt_cost=11, hash_workers=1))
    assert dearer.needs_rehash(asyncio.run(blowfish.hash("x")))
    dearer.close()


@pytest.mark.parametrize(
    "stored", ["", "x", "$argon2id$v=19$m=99999999,t=2,p=1$YWFhYWFhYWE$YWFh", "$2b$12$short", "plain text", "$1$abc$def"]
)
def test_what_is_no_hash_of_ours_opens_to_nothing(argon: Passwords, stored: str) -> None:
    """Also one that would take 95 gigabytes; it costs what a real one costs."""
    assert not is_hash(stored)
    before = argon.hashes
    assert not asyncio.run(argon.verify(stored, "x"))
    assert argon.hashes == before + 1


def test_a_storm_is_told_to_come_back() -> None:
    """Beyond workers and queue, sign-ins are refused at once; those before them are served."""

    async def storm() -> list[bool]:
        passwords = Passwords(Auth(**CHEAP | {"hash_queue": 6}))  # type: ignore[arg-type]
        answers = await asyncio.gather(*(passwords.verify(None, "x") for _ in range(20)), return_exceptions=True)
        passwords.close()
        return [isinstance(answer, Unavailable) for answer in answers]

    assert asyncio.run(storm()) == [False] * 8 + [True] * 12


COMMON = (
    "password1234", "P@ssw0rdP@ssw0rd", "123456789012", "qwertyuiop12", "qwerty123456", "aaaaaaaaaaaa", "abcabcabcabc",
    "iloveyou1234", "Liverpool2023!", "monkeydragon1", "letmeinletmein", "1qaz2wsx3edc", "welcome2024!!", "Summer2024!!!", "adminadmin123",
    "correcthorsebatterystaple", "ada.lovelace1815", "example12345",
)  # fmt: skip
FINE = (
    "violet tunnel 93 cup",
    "granite lamp 41 fern",
    "Zr7kQm2xVb9t",
    "my cat eats 4 mice",
    "jtzbnwqhxkfd",
    "drei chinesen mit dem bass",
    "11820436-4f99-4211-9300-86517012c034",
)


@pytest.mark.parametrize("text", COMMON)
def test_guessable_passwords_are_refused(argon: Passwords, text: str) -> None:
    """Known words, walks, repetitions, years and the own address, alone or together."""
    assert argon.check(RULES, text, "ada.lovelace@example.test") == ["common"]


@pytest.mark.parametrize("text", FINE)
def test_other_passwords_are_not(argon: Passwords, text: str) -> None:
    """No composition rule refuses what is merely simple to type."""
    assert not is_common(text, "ada.lovelace@example.test")
    assert argon.check(RULES, text, "ada.lovelace@example.test") == []


def test_length_is_counted_in_characters(argon: Passwords) -> None:
    """12 to 128, after normalising; kinds of characters only when configured."""
    assert argon.check(RULES, "Zr7kQm2xVb9") == ["length"]
    assert "length" in argon.check(RULES, "Zr7k" * 32 + "x")
    assert argon.check(RULES, "\u00e9\u00fcxkqzvwjhtm") == []
    strict = Auth(password_required=["lower", "upper", "digit", "symbol"])
    assert argon.check(strict, "zrkqmxvbtwhj") == ["characters"]
    assert argon.check(strict, "Zr7kQm2xVb9t!") == []


def test_a_long_password_is_judged_at_once(argon: Passwords) -> None:
    """Four thousand characters cost no more than those that count."""
    assert "length" in argon.check(RULES, "ab" * 2000)
