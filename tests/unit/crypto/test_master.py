"""The master key: where it comes from, who may read it, what it seals."""

from __future__ import annotations

import base64
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from fluxbase.crypto.master import MasterKey, MasterKeyError
from fluxbase.kernel.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path


def test_first_start_makes_a_file_only_its_owner_reads(tmp_path: Path) -> None:
    """The key file is made with mode 0600, holds 32 random bytes and is the same key the second time."""
    path = tmp_path / "data" / "master.key"
    first = MasterKey.load_or_create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(base64.b64decode(path.read_text())) == 32
    assert MasterKey.load_or_create(path).derive("x") == first.derive("x")
    assert [each.name for each in path.parent.iterdir()] == ["master.key"]


def test_umask_cannot_open_the_file(tmp_path: Path) -> None:
    """A permissive or strict umask changes nothing about the mode."""
    old = os.umask(0)
    try:
        MasterKey.load_or_create(tmp_path / "master.key")
    finally:
        os.umask(old)
    assert (tmp_path / "master.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o620, 0o610])
def test_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    """A key that a group or the world can touch stops the start with the command that mends it."""
    path = tmp_path / "master.key"
    MasterKey.load_or_create(path)
    path.chmod(mode)
    with pytest.raises(MasterKeyError, match="chmod 600"):
        MasterKey.load_or_create(path)


def test_link_is_refused(tmp_path: Path) -> None:
    """A symbolic link in the key's place is not followed, neither to read nor to create."""
    target = tmp_path / "elsewhere"
    (tmp_path / "master.key").symlink_to(target)
    with pytest.raises(MasterKeyError):
        MasterKey.load_or_create(tmp_path / "master.key")
    assert not target.exists()


def test_concurrent_starts_agree(tmp_path: Path) -> None:
    """Sixteen starts at once end with one key."""
    path = tmp_path / "master.key"
    with ThreadPoolExecutor(16) as pool:
        keys = list(pool.map(lambda _: MasterKey.load_or_create(path).key_id, range(16)))
    assert len(set(keys)) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["master.key"]


@pytest.mark.parametrize(
    "text",
    ["", "short", base64.b64encode(b"x" * 31).decode(), "A" * 43 + "=", "not base64!" * 4, base64.b64encode(b"0123456789" * 4).decode()],
)
def test_weak_or_broken_configured_key_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    """A configured key of the wrong size, encoding or without randomness is refused, and the message never has it."""
    with pytest.raises(MasterKeyError) as caught:
        MasterKey.load_or_create(tmp_path / "master.key", Secret(text))
    assert not text or text not in str(caught.value)
    assert not (tmp_path / "master.key").exists()


def test_configured_key_writes_no_file(tmp_path: Path) -> None:
    """A key from the environment leaves nothing on disk."""
    material = base64.b64encode(secrets.token_bytes(32)).decode()
    assert MasterKey.load_or_create(tmp_path / "master.key", Secret(material)).key_id
    assert list(tmp_path.iterdir()) == []


def test_load_does_not_create(tmp_path: Path) -> None:
    """Commands on an existing installation never make a second key."""
    with pytest.raises(MasterKeyError, match="start the instance once"):
        MasterKey.load(tmp_path / "master.key")


def test_purposes_are_independent_and_stable() -> None:
    """One purpose gives the same sub-key for ever (a fixed vector), another purpose another one."""
    key = MasterKey(bytes(range(32)))
    assert key.derive("login:a") == key.derive("login:a") != key.derive("login:b")
    assert key.derive("login:a").hex() == "1b3521e378d2e02f54d49f9944021860bb8c988354c497a71bf5d8424667bf0e"
    assert "=" not in key.derive_secret("login:a").reveal()
    assert bytes(range(32)).hex() not in repr(key)


def test_sealed_value_opens_only_unchanged_in_its_place_under_its_key() -> None:
    """Every flipped byte, another row, another master key: each refuses; the same text never seals alike."""
    key = MasterKey(bytes(range(32)))
    sealed = key.seal(b"private", "auth.signing_keys:a")
    assert key.open(sealed, "auth.signing_keys:a") == b"private"
    assert key.seal(b"private", "auth.signing_keys:a") != sealed
    with pytest.raises(MasterKeyError):
        key.open(sealed, "auth.signing_keys:b")
    with pytest.raises(MasterKeyError, match="sealed with master key"):
        MasterKey(bytes(range(1, 33))).open(sealed, "auth.signing_keys:a")
    for index in range(len(sealed)):
        broken = bytearray(sealed)
        broken[index] ^= 1
        with pytest.raises(MasterKeyError):
            key.open(bytes(broken), "auth.signing_keys:a")
    for length in range(len(sealed)):
        with pytest.raises(MasterKeyError):
            key.open(sealed[:length], "auth.signing_keys:a")
