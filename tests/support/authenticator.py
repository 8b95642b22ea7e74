"""A passkey authenticator in software: ``soft-webauthn`` with user verification, speaking the JSON of browsers."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor
from soft_webauthn import SoftWebauthnDevice

USER_PRESENT, USER_VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def encode(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The other way."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Authenticator(SoftWebauthnDevice):  # type: ignore[misc] # the package has no types
    """One credential. ``verifies`` says whether it asks for PIN or finger."""

    def __init__(self, origin: str, *, verifies: bool = True) -> None:
        super().__init__()
        self.origin = origin
        self.verifies = verifies

    @property
    def _flags(self) -> int:
        return USER_PRESENT | (USER_VERIFIED if self.verifies else 0)

    def make(self, options: dict[str, Any], *, origin: str | None = None) -> dict[str, Any]:
        """``navigator.credentials.create`` as JSON."""
        user = decode(options["user"]["id"])
        given = {
            "publicKey": {**options, "challenge": decode(options["challenge"]), "user": {**options["user"], "id": user}, "attestation": "none",
                          "pubKeyCredParams": [{"alg": -7, "type": "public-key"}]}
        }  # fmt: skip
        made = self.create(given, origin or self.origin)
        attestation = cbor.decode(made["response"]["attestationObject"])
        data = bytearray(attestation["authData"])
        data[32] = self._flags | ATTESTED
        response = {
            "clientDataJSON": encode(made["response"]["clientDataJSON"]),
            "attestationObject": encode(cbor.encode({**attestation, "authData": bytes(data)})),
            "transports": ["internal"],
        }
        return self._answer(response)

    def show(self, options: dict[str, Any], *, origin: str | None = None, counter: int | None = None) -> dict[str, Any]:
        """``navigator.credentials.get`` as JSON; ``counter`` is what a copied authenticator would say."""
        self.sign_count = self.sign_count + 1 if counter is None else counter
        client = {"type": "webauthn.get", "challenge": options["challenge"], "origin": origin or self.origin}
        client_data = json.dumps(client).encode()
        data = hashlib.sha256(options["rpId"].encode()).digest() + bytes([self._flags]) + struct.pack(">I", self.sign_count)
        signature = self.private_key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer({
            "clientDataJSON": encode(client_data), "authenticatorData": encode(data), "signature": encode(signature),
            "userHandle": encode(self.user_handle),
        })  # fmt: skip

    def _answer(self, response: dict[str, Any]) -> dict[str, Any]:
        identifier = encode(self.credential_id)
        return {"id": identifier, "rawId": identifier, "type": "public-key", "response": response, "clientExtensionResults": {}}
