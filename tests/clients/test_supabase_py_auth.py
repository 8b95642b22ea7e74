"""Authentication with the unmodified PyPI package ``supabase``: sign-up, password, refresh, user, sign-out, admin users."""

from __future__ import annotations

import uuid

import pytest
from supabase import Client, ClientOptions, create_client
from supabase_auth.errors import AuthApiError, AuthWeakPasswordError

from tests.support.server import Server

PASSWORD = "violet tunnel 93 cup"


def connect(server: Server, key: str | None = None) -> Client:
    """A client with the anon key, or with another."""
    return create_client(server.url, key or server.anon_key, ClientOptions(auto_refresh_token=False, persist_session=False))


def test_sign_up_sign_in_refresh_and_sign_out(server: Server) -> None:
    """The whole life of a session, and a refused second sign-up."""
    email = f"{uuid.uuid4().hex}@example.test"
    client = connect(server)
    made = client.auth.sign_up({"email": email, "password": PASSWORD, "options": {"data": {"nick": "ada"}}})
    assert made.session is not None
    assert made.user is not None
    assert made.user.user_metadata["nick"] == "ada"
    with pytest.raises(AuthApiError) as taken:
        connect(server).auth.sign_up({"email": email, "password": PASSWORD})
    assert taken.value.code == "user_already_exists"
    signed = client.auth.sign_in_with_password({"email": email, "password": PASSWORD})
    assert signed.session is not None
    shown = client.auth.get_user()
    assert shown is not None
    assert shown.user.id == made.user.id
    again = client.auth.refresh_session()
    assert again.session is not None
    assert again.session.refresh_token != signed.session.refresh_token
    client.auth.sign_out()
    with pytest.raises(AuthApiError):
        connect(server).auth.get_user(again.session.access_token)


def test_wrong_and_weak_passwords(server: Server) -> None:
    """The errors are the library's own classes, with code and reasons."""
    with pytest.raises(AuthApiError) as wrong:
        connect(server).auth.sign_in_with_password({"email": "nobody@example.test", "password": "whatever it is"})
    assert (wrong.value.code, wrong.value.status) == ("invalid_credentials", 400)
    with pytest.raises(AuthWeakPasswordError) as weak:
        connect(server).auth.sign_up({"email": f"{uuid.uuid4().hex}@example.test", "password": "password1234"})
    assert weak.value.reasons == ["common"]


def test_admin_users(server: Server) -> None:
    """Create, read, list, change, delete."""
    admin = connect(server, server.service_key).auth.admin
    email = f"{uuid.uuid4().hex}@example.test"
    user = admin.create_user({"email": email, "password": PASSWORD, "email_confirm": True, "app_metadata": {"plan": "pro"}}).user
    assert user.app_metadata["plan"] == "pro"
    assert admin.get_user_by_id(user.id).user.email == email
    assert user.id in {each.id for each in admin.list_users(page=1, per_page=1000)}
    assert admin.update_user_by_id(user.id, {"user_metadata": {"a": 1}}).user.user_metadata["a"] == 1
    session = connect(server).auth.sign_in_with_password({"email": email, "password": PASSWORD}).session
    assert session is not None
    admin.delete_user(user.id)
    with pytest.raises(AuthApiError):
        admin.get_user_by_id(user.id)
