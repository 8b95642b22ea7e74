"""Passkeys and security keys (WebAuthn level 3)."""
