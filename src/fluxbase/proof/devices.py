"""What a user has at hand: an authenticator app (RFC 6238) and a passkey (WebAuthn level 3), worked out without asking anybody.

Each function takes a call's values and gives further ones (``call.Computed``). A passkey is the same private key from its making to
its use; what it answers is written by hand, because it is a few fixed bytes of CBOR and nothing here reads any.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import struct
import time
from typing import TYPE_CHECKING

import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from pyotp.totp import TOTP

if TYPE_CHECKING:
    from collections.abc import Mapping

RELYING_PARTY = "proof.invalid"
ORIGIN = f"https://{RELYING_PARTY}"
_STEP_SECONDS = 30
_PRESENT_AND_VERIFIED, _ATTESTED = 0x05, 0x40
_CURVE = ec.SECP256R1()


def code(values: Mapping[str, str]) -> Mapping[str, str]:
    """The app's code of now, and the next one, which is good after it."""
    app, now = TOTP(values["secret"]), int(time.time())
    return {"code": app.at(now), "next_code": app.at(now + _STEP_SECONDS)}


def made_passkey(values: Mapping[str, str]) -> Mapping[str, str]:
    """``navigator.credentials.create``: a new key and its attestation of kind ``none``."""
    private = ec.generate_private_key(_CURVE)
    numbers, credential = private.public_key().public_numbers(), secrets.token_bytes(16)
    x, y = (number.to_bytes(32) for number in (numbers.x, numbers.y))
    cose_key = b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20" + x + b"\x22\x58\x20" + y  # {1: 2, 3: -7, -1: 1, -2: x, -3: y}
    data = _authenticator_data(_ATTESTED, 0) + bytes(16) + struct.pack(">H", len(credential)) + credential + cose_key
    statement = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58" + bytes([len(data)]) + data
    return {
        "private_key": format(private.private_numbers().private_value, "x"),
        "credential_id": _encoded(credential),
        "user_handle": values["handle"],
        "client_data": _encoded(_client_data("webauthn.create", values)),
        "attestation": _encoded(statement),
    }


def shown_passkey(values: Mapping[str, str]) -> Mapping[str, str]:
    """``navigator.credentials.get``: the challenge, signed by the key made before."""
    data, client = _authenticator_data(0, 1), _client_data("webauthn.get", values)
    private = ec.derive_private_key(int(values["private_key"], 16), _CURVE)
    signature = private.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
    return {"client_data": _encoded(client), "authenticator_data": _encoded(data), "signature": _encoded(signature)}


def solved(values: Mapping[str, str]) -> Mapping[str, str]:
    """The number that solves a captcha of the built-in kind."""
    challenge, bits, number = values["captcha"], int(values["difficulty"]), 0
    while int.from_bytes(hashlib.sha256(f"{challenge}.{number}".encode()).digest()) >> (256 - bits):
        number += 1
    return {"solution": str(number)}


def _authenticator_data(flags: int, counter: int) -> bytes:
    return hashlib.sha256(RELYING_PARTY.encode()).digest() + bytes([_PRESENT_AND_VERIFIED | flags]) + struct.pack(">I", counter)


def _client_data(kind: str, values: Mapping[str, str]) -> bytes:
    return orjson.dumps({"type": kind, "challenge": values["challenge"], "origin": ORIGIN, "crossOrigin": False})


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
