"""Mailed flows with the unmodified PyPI package ``supabase``: code, link, reset, generate_link, invitation."""

from __future__ import annotations

import pytest
from supabase import Client, ClientOptions, create_client
from supabase_auth.errors import AuthApiError

from tests.support.mail_server import MailServer
from tests.support.mailed import OTHER_PASSWORD, PASSWORD, confirmed_account, new_address, token_of
from tests.support.server import Server


def connect(server: Server, key: str | None = None) -> Client:
    """A client with the anon key, or with another."""
    return create_client(server.url, key or server.anon_key, ClientOptions(auto_refresh_token=False, persist_session=False))


def test_sign_up_and_the_code_of_the_mail(mailing: Server, post: MailServer) -> None:
    """No session before verify_otp, one after it."""
    email, client = new_address(), connect(mailing)
    assert client.auth.sign_up({"email": email, "password": PASSWORD}).session is None
    verified = client.auth.verify_otp({"email": email, "token": post.wait_for(email).code, "type": "signup"})
    assert verified.session is not None
    assert connect(mailing).auth.sign_in_with_password({"email": email, "password": PASSWORD}).session is not None


def test_sign_in_with_otp(mailing: Server, post: MailServer) -> None:
    """By code, and by the link's token; each once."""
    email, client = new_address(), connect(mailing)
    client.auth.sign_in_with_otp({"email": email})
    code = post.wait_for(email).code
    assert client.auth.verify_otp({"email": email, "token": code, "type": "email"}).session is not None
    with pytest.raises(AuthApiError) as used:
        connect(mailing).auth.verify_otp({"email": email, "token": code, "type": "email"})
    assert (used.value.code, used.value.status) == ("otp_expired", 403)
    client.auth.sign_in_with_otp({"email": email})
    token = token_of(post.wait_for(email, 2))
    assert client.auth.verify_otp({"token_hash": token, "type": "magiclink"}).session is not None


def test_password_reset(mailing: Server, post: MailServer) -> None:
    """The code signs in, and the session sets the password."""
    email, client = confirmed_account(mailing, post)["email"], connect(mailing)
    client.auth.reset_password_for_email(email)
    client.auth.verify_otp({"email": email, "token": post.wait_for(email, 2).code, "type": "recovery"})
    client.auth.update_user({"password": OTHER_PASSWORD})
    assert connect(mailing).auth.sign_in_with_password({"email": email, "password": OTHER_PASSWORD}).session is not None


def test_administrators_links(mailing: Server, post: MailServer) -> None:
    """generate_link gives what no mail carries, invite_user_by_email mails."""
    admin, email = connect(mailing, mailing.service_key).auth.admin, new_address()
    link = admin.generate_link({"type": "magiclink", "email": email})
    proof = {"token_hash": link.properties.hashed_token, "type": link.properties.verification_type}
    session = connect(mailing).auth.verify_otp(proof).session
    assert session is not None
    assert session.user.email == email
    invited = new_address()
    assert admin.invite_user_by_email(invited).user.email == invited
    assert connect(mailing).auth.verify_otp({"token_hash": token_of(post.wait_for(invited)), "type": "invite"}).session is not None
