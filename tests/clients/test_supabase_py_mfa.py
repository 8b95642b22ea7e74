"""Second factors with the unmodified PyPI package ``supabase``: enrol, verify, sign in again, unenrol."""

from __future__ import annotations

import time
import uuid

import pyotp
import pytest
from supabase_auth.errors import AuthApiError

from tests.clients.test_supabase_py_auth import PASSWORD, connect
from tests.support.server import Server


def test_enrol_verify_and_unenrol(server: Server) -> None:
    """aal1 → aal2 by challenge_and_verify; a new sign-in owes the factor; unenroll gives it back."""
    email = f"{uuid.uuid4().hex}@example.test"
    client = connect(server)
    client.auth.sign_up({"email": email, "password": PASSWORD})
    made = client.auth.mfa.enroll({"factor_type": "totp", "friendly_name": "phone"})
    assert made.totp is not None
    assert made.totp.qr_code.startswith("data:image/svg+xml;utf-8,<svg ")
    totp = pyotp.TOTP(made.totp.secret)
    client.auth.mfa.challenge_and_verify({"factor_id": made.id, "code": totp.now()})
    level = client.auth.mfa.get_authenticator_assurance_level()
    assert (level.current_level, level.next_level) == ("aal2", "aal2")
    assert [each.id for each in client.auth.mfa.list_factors().totp] == [made.id]

    again = connect(server)
    again.auth.sign_in_with_password({"email": email, "password": PASSWORD})
    level = again.auth.mfa.get_authenticator_assurance_level()
    assert (level.current_level, level.next_level) == ("aal1", "aal2")
    challenge = again.auth.mfa.challenge({"factor_id": made.id})
    with pytest.raises(AuthApiError) as wrong:
        again.auth.mfa.verify({"factor_id": made.id, "challenge_id": challenge.id, "code": "000000"})
    assert wrong.value.code == "mfa_verification_failed"
    later = totp.at(int(time.time()) + 30)
    again.auth.mfa.verify({"factor_id": made.id, "challenge_id": challenge.id, "code": later})
    assert again.auth.mfa.get_authenticator_assurance_level().current_level == "aal2"
    assert again.auth.mfa.unenroll({"factor_id": made.id}).id == made.id
    assert again.auth.mfa.list_factors().all == []
