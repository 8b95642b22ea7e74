"""The second factor: TOTP, recovery codes, tickets, assurance levels, enforcement."""
