"""Signing in with identity providers: OAuth 2, OpenID Connect, and what they prove (threats B9-B19)."""
