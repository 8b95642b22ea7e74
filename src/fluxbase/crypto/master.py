"""The master key: the one secret everything else of an installation is derived from or sealed with.

Decides where it comes from (``FLUXBASE_MASTER_KEY[_FILE]``, else ``<data>/master.key``, made at first start), who may
read the file (its owner only), and how it is used: never directly, only through HKDF-SHA256 sub-keys with a stated
purpose (RFC 5869) or AES-256-GCM envelopes bound to what they belong to (associated data). So a stolen database
gives no signing key, and a sealed value copied to another row does not open there.

Raises :class:`MasterKeyError`, whose one-line message names the place and never the value.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import stat
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fluxbase.kernel.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

KEY_BYTES = 32
_SALT = b"fluxbase"
_FORMAT = b"\x01"
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12
_HEADER_BYTES = len(_FORMAT) + _KEY_ID_BYTES + _NONCE_BYTES


class MasterKeyError(Exception):
    """The master key is missing, unreadable, exposed or not the one a value was sealed with."""


class MasterKey:
    """Derives sub-keys and seals values. Holds 32 bytes that are never printed, compared or handed out."""

    __slots__ = ("_aead", "_material", "key_id")

    def __init__(self, material: bytes) -> None:
        if len(material) != KEY_BYTES:
            raise MasterKeyError(f"the master key must be {KEY_BYTES} bytes, base64 encoded")
        if len(set(material)) < 8:  # "AAAA…"; 32 random bytes never repeat like this
            raise MasterKeyError("the master key is not random: make one with `openssl rand -base64 32`")
        self._material = material
        self.key_id = self.derive("key-id")[:_KEY_ID_BYTES].hex()
        """Public fingerprint: says which master key sealed a value, nothing about the key."""
        self._aead = AESGCM(self.derive("seal"))

    def __repr__(self) -> str:
        return f"MasterKey({self.key_id})"

    @classmethod
    def load_or_create(cls, path: Path, configured: Secret | None = None) -> MasterKey:
        """The configured key, else the one in ``path``, else a new one written to ``path``.

        The file appears whole or not at all (written beside, synced, then linked: a link never replaces), so two
        processes starting together agree on one key and a crash leaves no half a key.
        """
        if configured is not None:
            return cls(_decode(configured.reveal(), "FLUXBASE_MASTER_KEY"))
        try:
            return cls(_read(path))
        except FileNotFoundError:
            _create(path)
            return cls(_read(path))

    @classmethod
    def load(cls, path: Path, configured: Secret | None = None) -> MasterKey:
        """Like :meth:`load_or_create`, but a missing file is an error (for commands on an existing installation)."""
        if configured is None and not path.exists():
            raise MasterKeyError(f"{path} does not exist: start the instance once, or give FLUXBASE_MASTER_KEY")
        return cls.load_or_create(path, configured)

    def derive(self, purpose: str, length: int = KEY_BYTES) -> bytes:
        """A sub-key for one purpose. The same purpose gives the same bytes; two purposes tell nothing of each other."""
        return HKDF(algorithm=hashes.SHA256(), length=length, salt=_SALT, info=purpose.encode()).derive(self._material)

    def derive_secret(self, purpose: str) -> Secret:
        """A sub-key as URL-safe text, e.g. the password of a database login (``login:<name>``)."""
        return Secret(base64.urlsafe_b64encode(self.derive(purpose)).rstrip(b"=").decode())

    def seal(self, plaintext: bytes, associated: str) -> bytes:
        """Encrypt with AES-256-GCM under a random nonce, bound to ``associated`` (what row and column it belongs to)."""
        header = _FORMAT + bytes.fromhex(self.key_id)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return header + nonce + self._aead.encrypt(nonce, plaintext, header + associated.encode())

    def open(self, sealed: bytes, associated: str) -> bytes:
        """Undo :meth:`seal`; refuses another master key, another place, and any changed byte."""
        if len(sealed) <= _HEADER_BYTES or sealed[:1] != _FORMAT:
            raise MasterKeyError("a sealed value in the database is damaged or of an unknown format")
        header = sealed[: 1 + _KEY_ID_BYTES]
        if header[1:].hex() != self.key_id:
            raise MasterKeyError(
                f"this database was sealed with master key {header[1:].hex()}, but the one in use is {self.key_id}: "
                "bring back the master.key file (or FLUXBASE_MASTER_KEY) that belongs to this data"
            )
        try:
            return self._aead.decrypt(sealed[1 + _KEY_ID_BYTES : _HEADER_BYTES], sealed[_HEADER_BYTES:], header + associated.encode())
        except InvalidTag:
            raise MasterKeyError("a sealed value in the database was changed or moved: it does not open") from None


def _decode(text: str, origin: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise MasterKeyError(f"{origin} is not base64 of {KEY_BYTES} bytes: make one with `openssl rand -base64 32`") from None


def _read(path: Path) -> bytes:
    """Read the key file; refuses links, foreign owners and anything a group or the world can touch."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise MasterKeyError(f"{path} cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise MasterKeyError(f"{path} is not a regular file")
        if status.st_mode & 0o077:
            raise MasterKeyError(f"{path} can be read by others (mode {status.st_mode & 0o777:04o}): chmod 600 {path}")
        if status.st_uid not in (os.geteuid(), 0):
            raise MasterKeyError(f"{path} belongs to another user (uid {status.st_uid}): chown it to the user that runs fluxbase")
        try:
            text = file.read(4096).decode("ascii")
        except UnicodeDecodeError:
            raise MasterKeyError(f"{path} is not base64 of {KEY_BYTES} bytes") from None
    return _decode(text, str(path))


def _create(path: Path) -> None:
    """Write a new key. A concurrent winner keeps its file; ours is thrown away."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(draft, path)
            except FileExistsError:
                return
        finally:
            draft.unlink(missing_ok=True)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise MasterKeyError(f"{path} cannot be written: {error.strerror}") from None
