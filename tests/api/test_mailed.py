"""What is mailed and taken back, in both dialects, with real mail: confirmation, magic link, code, reset, change of address, nonce."""

from __future__ import annotations

import base64
import hashlib

import pytest

from tests.support.mail_server import APP, SITE, WELCOME, MailServer
from tests.support.mailed import OTHER_PASSWORD, PASSWORD, confirmed_account, follow, new_address, open_link, press, token_of
from tests.support.server import Server

NATIVE = "/api/v1/auth"
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


def sign_in(server: Server, email: str, password: str = PASSWORD) -> int:
    """The status of a password sign-in."""
    return server.post(f"{NATIVE}/signin", json={"email": email, "password": password}).status_code


def test_native_sign_up_is_usable_when_the_address_is_confirmed(mailing: Server, post: MailServer) -> None:
    """No session before; the link's token confirms once; then the password signs in."""
    email = new_address()
    answer = mailing.post(f"{NATIVE}/signup", json={"email": email, "password": PASSWORD})
    assert (answer.status_code, answer.json()["requires_email_verification"]) == (201, True)
    assert sign_in(mailing, email) == 403
    mail = post.wait_for(email)
    assert mail.subject == "Confirm your e-mail address"
    done = mailing.post(f"{NATIVE}/verify-email", json={"token": token_of(mail)})
    assert (done.status_code, done.json()["user"]["email_verified"]) == (200, True)
    again = mailing.post(f"{NATIVE}/verify-email", json={"token": token_of(mail)})
    assert (again.status_code, again.json()["code"]) == (400, "TOKEN_USED")
    assert sign_in(mailing, email) == 200


def test_gotrue_sign_up_is_confirmed_by_link(mailing: Server, post: MailServer) -> None:
    """The bare user first; the button of the mailed link leads to the site with a session in the fragment."""
    email = new_address()
    answer = mailing.post("/auth/v1/signup", json={"email": email, "password": PASSWORD, "data": {"n": 1}})
    assert answer.status_code == 200
    assert "access_token" not in answer.json()
    place, found = follow(mailing, post.wait_for(email).link)
    assert (place, found["type"], found["token_type"]) == (SITE, "signup", "bearer")
    user = mailing.get("/auth/v1/user", key=found["access_token"]).json()
    assert (user["email"], user["user_metadata"]["n"]) == (email, 1)
    assert user["email_confirmed_at"]


@pytest.mark.parametrize("kind", ["signup", "email"])
def test_the_code_beside_the_link_does_the_same(mailing: Server, post: MailServer, kind: str) -> None:
    """POST /verify with address and six digits gives the session; the link is used with it."""
    email = new_address()
    mailing.post("/auth/v1/signup", json={"email": email, "password": PASSWORD})
    mail = post.wait_for(email)
    answer = mailing.post("/auth/v1/verify", json={"type": kind, "email": email.upper(), "token": mail.code})
    assert answer.status_code == 200, answer.text
    assert answer.json()["user"]["email"] == email
    assert follow(mailing, mail.link)[1]["error_code"] == "otp_expired"


def test_signing_up_twice_mails_the_owner(mailing: Server, post: MailServer) -> None:
    """An unconfirmed address gets its link again; a confirmed one is told that it has an account; the answers look alike."""
    email = new_address()
    first = mailing.post("/auth/v1/signup", json={"email": email, "password": PASSWORD})
    again = mailing.post("/auth/v1/signup", json={"email": email, "password": OTHER_PASSWORD})
    follow(mailing, post.wait_for(email, 2).link)
    taken = mailing.post("/auth/v1/signup", json={"email": email, "password": OTHER_PASSWORD})
    assert [answer.status_code for answer in (first, again, taken)] == [200, 200, 200]
    assert first.json().keys() == again.json().keys() == taken.json().keys()
    assert taken.json()["id"] != first.json()["id"]
    assert post.wait_for(email, 3).subject == "You already have an account"
    assert sign_in(mailing, email) == 200


def test_magic_link_makes_the_account_when_it_is_followed(mailing: Server, post: MailServer) -> None:
    """Nobody is there before; after the button there is a confirmed user with the metadata of the request, and a session."""
    email = new_address()
    assert mailing.post("/auth/v1/otp", json={"email": email, "data": {"plan": "x"}}).json() == {}
    mail = post.wait_for(email)
    assert mailing.root_sql(f"select count(*) from auth.users where email = '{email}'") == [(0,)]
    place, found = follow(mailing, mail.link)
    assert place == SITE
    user = mailing.get("/auth/v1/user", key=found["access_token"]).json()
    assert (user["email"], user["user_metadata"]["plan"], user["app_metadata"]["provider"]) == (email, "x", "email")


def test_native_magic_link_leads_to_the_app(mailing: Server, post: MailServer) -> None:
    """With redirect_to the link is the app's page with the token, which magiclink/verify takes, once."""
    email = new_address()
    answer = mailing.post(f"{NATIVE}/magiclink", json={"email": email, "redirect_to": WELCOME})
    assert (answer.status_code, answer.json()) == (200, {"user": None, "session": None})
    link = post.wait_for(email).link
    assert link.startswith("https://app.example/welcome?from=mail&token=fb_ot_")
    body = {"token": token_of(post.wait_for(email))}
    session = mailing.post(f"{NATIVE}/magiclink/verify", json=body)
    assert (session.status_code, session.json()["user"]["email"]) == (200, email)
    used = mailing.post(f"{NATIVE}/magiclink/verify", json=body)
    assert (used.status_code, used.json()["code"]) == (400, "INVALID_TOKEN")


def test_native_code(mailing: Server, post: MailServer) -> None:
    """otp/signin mails six digits, otp/verify takes them; a phone is not supported and says so."""
    email = new_address()
    assert mailing.post(f"{NATIVE}/otp/signin", json={"email": email, "options": {}}).json() == {"user": None, "session": None}
    body = {"email": email, "token": post.wait_for(email).code, "type": "email"}
    assert mailing.post(f"{NATIVE}/otp/verify", json=body).json()["user"]["email"] == email
    assert mailing.post(f"{NATIVE}/otp/verify", json=body).status_code == 401
    assert mailing.post(f"{NATIVE}/otp/resend", json={"type": "email", "email": email}).status_code == 200
    post.wait_for(email, 2)
    assert mailing.post(f"{NATIVE}/otp/signin", json={"phone": "+15550100"}).status_code == 501


def test_pkce_link_gives_the_app_a_code(mailing: Server, post: MailServer) -> None:
    """No token in any URL: ?code= works with the verifier alone, once."""
    email = new_address()
    asked = {"email": email, "code_challenge": CHALLENGE, "code_challenge_method": "s256"}
    assert mailing.post(f"/auth/v1/otp?redirect_to={APP}", json=asked).status_code == 200
    place, found = follow(mailing, post.wait_for(email).link)
    assert (place, list(found)) == (APP, ["code"])
    grant = "/auth/v1/token?grant_type=pkce"
    session = mailing.post(grant, json={"auth_code": found["code"], "code_verifier": VERIFIER})
    assert (session.status_code, session.json()["user"]["email"]) == (200, email)
    again = mailing.post(grant, json={"auth_code": found["code"], "code_verifier": VERIFIER})
    assert (again.status_code, again.json()["error_code"]) == (404, "flow_state_not_found")


def test_pkce_code_needs_its_verifier(mailing: Server, post: MailServer) -> None:
    """A wrong verifier is refused, and the code is used up by it; the plain method is refused at once."""
    email = new_address()
    mailing.post("/auth/v1/recover", json={"email": email, "code_challenge": CHALLENGE, "code_challenge_method": "s256"})
    account = confirmed_account(mailing, post)
    mailing.post("/auth/v1/recover", json={"email": account["email"], "code_challenge": CHALLENGE, "code_challenge_method": "s256"})
    code = follow(mailing, post.wait_for(account["email"], 2).link)[1]["code"]
    grant = "/auth/v1/token?grant_type=pkce"
    wrong = mailing.post(grant, json={"auth_code": code, "code_verifier": "w" * 64})
    assert (wrong.status_code, wrong.json()["error_code"]) == (400, "bad_code_verifier")
    assert mailing.post(grant, json={"auth_code": code, "code_verifier": VERIFIER}).status_code == 404
    plain = {"email": email, "code_challenge": VERIFIER, "code_challenge_method": "plain"}
    assert mailing.post("/auth/v1/otp", json=plain).status_code == 400


def test_native_password_reset(mailing: Server, post: MailServer) -> None:
    """Looking at the token leaves it good; a weak password too; the new one signs in, the old one and old sessions do not."""
    account = confirmed_account(mailing, post)
    email = account["email"]
    answer = mailing.post(f"{NATIVE}/password/reset", json={"email": email})
    assert (answer.status_code, answer.json()) == (200, {"user": None, "session": None})
    token = token_of(post.wait_for(email, 2))
    for _ in range(2):
        assert mailing.post(f"{NATIVE}/password/reset/verify", json={"token": token}).json()["valid"] is True
    assert mailing.post(f"{NATIVE}/password/reset/confirm", json={"token": token, "new_password": "short"}).status_code == 400
    done = mailing.post(f"{NATIVE}/password/reset/confirm", json={"token": token, "new_password": OTHER_PASSWORD})
    assert done.status_code == 200, done.text
    assert mailing.get(f"{NATIVE}/user", key=done.json()["access_token"]).status_code == 200
    assert mailing.get(f"{NATIVE}/user", key=account["access_token"]).status_code == 401
    assert [sign_in(mailing, email, word) for word in (PASSWORD, OTHER_PASSWORD)] == [401, 200]
    used = mailing.post(f"{NATIVE}/password/reset/confirm", json={"token": token, "new_password": PASSWORD})
    assert used.status_code == 400
    assert post.wait_for(email, 3).subject == "Your password was changed"


def test_gotrue_recovery_ends_in_a_session_that_may_set_the_password(mailing: Server, post: MailServer) -> None:
    """The link of /recover signs in with type=recovery; PUT /user with the password needs nothing more."""
    account = confirmed_account(mailing, post)
    assert mailing.post(f"/auth/v1/recover?redirect_to={WELCOME}", json={"email": account["email"]}).json() == {}
    place, found = follow(mailing, post.wait_for(account["email"], 2).link)
    assert (place, found["type"], found["from"]) == ("https://app.example/welcome", "recovery", "mail")
    changed = mailing.request("PUT", "/auth/v1/user", key=found["access_token"], json={"password": OTHER_PASSWORD})
    assert changed.status_code == 200, changed.text
    assert sign_in(mailing, account["email"], OTHER_PASSWORD) == 200


def test_address_changes_when_both_have_confirmed(mailing: Server, post: MailServer) -> None:
    """One link is not enough, in either order; the second changes the address, tells the old one, and its session goes on."""
    account = confirmed_account(mailing, post)
    old, new = account["email"], new_address()
    answer = mailing.request("PUT", "/auth/v1/user", key=account["access_token"], json={"email": new})
    assert (answer.status_code, answer.json()["email"], answer.json()["new_email"]) == (200, old, new)
    to_old, to_new = post.wait_for(old, 2), post.wait_for(new)
    place, half = follow(mailing, to_new.link)
    assert (place, "both" in half or "other" in half["message"]) == (SITE, True)
    assert mailing.get("/auth/v1/user", key=account["access_token"]).json()["email"] == old
    _, whole = follow(mailing, to_old.link)
    assert mailing.get("/auth/v1/user", key=whole["access_token"]).json()["email"] == new
    assert post.wait_for(old, 3).subject == "Your e-mail address was changed"
    assert [sign_in(mailing, email) for email in (old, new)] == [401, 200]


def test_half_a_change_by_code_says_so(mailing: Server, post: MailServer) -> None:
    """POST /verify of the first half answers GoTrue's message, of the second a session."""
    account = confirmed_account(mailing, post)
    old, new = account["email"], new_address()
    mailing.request("PUT", "/auth/v1/user", key=account["access_token"], json={"email": new})
    half = mailing.post("/auth/v1/verify", json={"type": "email_change", "email": old, "token": post.wait_for(old, 2).code})
    assert (half.status_code, half.json()["code"]) == (200, "200")
    whole = mailing.post("/auth/v1/verify", json={"type": "email_change", "email": new, "token": post.wait_for(new).code})
    assert whole.json()["user"]["email"] == new


def test_reauthentication_code_stands_in_for_a_fresh_sign_in(mailing: Server, post: MailServer) -> None:
    """When the sign-in is old a change is refused; with the mailed code it passes, once."""
    account = confirmed_account(mailing, post)
    mailing.root_sql(f"update auth.sessions set authenticated_at = now() - interval '1 day' where user_id = '{account['user']['id']}'")
    stale = mailing.request("PUT", "/auth/v1/user", key=account["access_token"], json={"password": OTHER_PASSWORD})
    assert (stale.status_code, stale.json()["error_code"]) == (400, "reauthentication_needed")
    native = mailing.post(f"{NATIVE}/reauthenticate", key=account["access_token"])
    assert (native.status_code, native.json()["nonce"]) == (200, "")
    post.wait_for(account["email"], 2)  # two mails under way at once may arrive in either order, and only the later code holds
    assert mailing.get("/auth/v1/reauthenticate", key=account["access_token"]).json() == {}
    nonce = post.wait_for(account["email"], 3).code
    changed = mailing.request("PUT", "/auth/v1/user", key=account["access_token"], json={"password": OTHER_PASSWORD, "nonce": nonce})
    assert changed.status_code == 200, changed.text
    again = mailing.request("PUT", "/auth/v1/user", key=account["access_token"], json={"password": PASSWORD, "nonce": nonce})
    assert (again.status_code, again.json()["error_code"]) == (422, "reauthentication_not_valid")


def test_invitation(mailing: Server, post: MailServer) -> None:
    """The service key invites; the mailed link makes a confirmed user with a session; the address cannot be invited again."""
    email = new_address()
    answer = mailing.post("/auth/v1/invite", key="service", json={"email": email, "data": {"team": 7}})
    assert (answer.status_code, answer.json()["email"]) == (200, email)
    assert answer.json()["invited_at"]
    found = follow(mailing, post.wait_for(email).link)[1]
    user = mailing.get("/auth/v1/user", key=found["access_token"]).json()
    assert user["user_metadata"]["team"] == 7
    again = mailing.post("/auth/v1/invite", key="service", json={"email": email})
    assert (again.status_code, again.json()["error_code"]) == (422, "email_exists")
    assert mailing.post("/auth/v1/invite", json={"email": new_address()}).status_code == 403


@pytest.mark.parametrize("kind", ["signup", "invite", "magiclink", "recovery"])
def test_generated_links_work_and_mail_nothing(mailing: Server, post: MailServer, kind: str) -> None:
    """Link, code and token of one kind each redeem; nothing arrives in the mail."""
    for way in ("link", "code", "hash"):
        email = confirmed_account(mailing, post)["email"] if kind == "recovery" else new_address()
        before = len(post.to(email))
        body = {"type": kind, "email": email, "password": PASSWORD, "redirect_to": WELCOME}
        made = mailing.post("/auth/v1/admin/generate_link", key="service", json=body)
        assert made.status_code == 200, made.text
        link = made.json()
        assert (link["email"], link["redirect_to"]) == (email, WELCOME)
        verified = link["verification_type"]
        if way == "link":
            token = follow(mailing, link["action_link"])[1]["access_token"]
        else:
            proof = {"email": email, "token": link["email_otp"]} if way == "code" else {"token_hash": link["hashed_token"]}
            session = mailing.post("/auth/v1/verify", json={"type": verified, **proof})
            assert session.status_code == 200, session.text
            token = session.json()["access_token"]
        assert mailing.get("/auth/v1/user", key=token).json()["email"] == email
        assert len(post.to(email)) == before


def test_generated_change_of_address(mailing: Server, post: MailServer) -> None:
    """The two links of an administrator change the address together."""
    account, new = confirmed_account(mailing, post), new_address()
    links = [
        mailing.post("/auth/v1/admin/generate_link", key="service", json={"type": kind, "email": account["email"], "new_email": new}).json()
        for kind in ("email_change_current", "email_change_new")
    ]
    assert "message" in follow(mailing, links[0]["action_link"])[1]
    assert mailing.get("/auth/v1/user", key=follow(mailing, links[1]["action_link"])[1]["access_token"]).json()["email"] == new


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"type": "recovery", "email": "nobody@example.test"}, 404, "user_not_found"),
        ({"type": "signup", "email": "x@example.test"}, 400, "validation_failed"),
        ({"type": "sms", "email": "x@example.test"}, 400, "validation_failed"),
        ({"type": "magiclink", "email": "no address"}, 400, "validation_failed"),
        ({"type": "magiclink"}, 400, "validation_failed"),
    ],
)
def test_generate_link_refusals(mailing: Server, body: dict[str, str], status: int, code: str) -> None:
    """What is missing or wrong is said in GoTrue's codes; without the service key nothing is made."""
    refused = mailing.post("/auth/v1/admin/generate_link", key="service", json=body)
    assert (refused.status_code, refused.json()["error_code"]) == (status, code)
    assert mailing.post("/auth/v1/admin/generate_link", json=body).status_code == 403


def test_resend(mailing: Server, post: MailServer) -> None:
    """A confirmation that waits is mailed again, and the older link is dead; for anybody else the same answer and no mail."""
    email, confirmed = new_address(), confirmed_account(mailing, post)["email"]
    mailing.post("/auth/v1/signup", json={"email": email, "password": PASSWORD})
    first = post.wait_for(email)
    answers = [mailing.post("/auth/v1/resend", json={"type": "signup", "email": one}) for one in (email, confirmed, new_address())]
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, "{}")}
    second = post.wait_for(email, 2)
    assert follow(mailing, first.link)[1]["error_code"] == "otp_expired"
    assert "access_token" in follow(mailing, second.link)[1]
    assert mailing.post(f"{NATIVE}/verify-email/resend", json={"email": confirmed}).status_code == 200
    assert len(post.to(confirmed)) == 1
    assert mailing.post("/auth/v1/resend", json={"type": "sms", "email": email}).status_code == 400


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"type": "email", "token": "123456"}, 400, "validation_failed"),
        ({"type": "sms", "phone": "+1", "token": "123456"}, 400, "phone_provider_disabled"),
        ({"type": "nonsense", "token_hash": "x"}, 400, "validation_failed"),
        ({"type": "magiclink", "token_hash": "fb_ot_x"}, 403, "otp_expired"),
        ({"type": "magiclink", "token_hash": "é\u0000'\";--"}, 403, "otp_expired"),
        ({"type": "email", "email": "nobody@example.test", "token": "000000"}, 403, "otp_expired"),
        ({"type": "email", "email": "x\u0000y@example.test", "token": "0' or 1=1"}, 403, "otp_expired"),
    ],
)
def test_verify_refusals(mailing: Server, body: dict[str, str], status: int, code: str) -> None:
    """Wrong proofs get one answer, wrong requests say what is missing."""
    refused = mailing.post("/auth/v1/verify", json=body)
    assert (refused.status_code, refused.json()["error_code"]) == (status, code)


@pytest.mark.parametrize("raw", [b"{", b"[]", b"null", b'{"type": 3}', b"\xff"])
def test_verify_with_bad_bodies(mailing: Server, raw: bytes) -> None:
    """What is not an object of texts is 400, never 500."""
    assert mailing.post("/auth/v1/verify", content=raw, headers={"content-type": "application/json"}).status_code == 400


def test_without_a_site_the_page_says_that_it_worked(server: Server) -> None:
    """On a server without auth.site_url the button ends on a page of ours; a used link says so, with 403."""
    email = new_address()
    made = server.post("/auth/v1/admin/generate_link", key="service", json={"type": "magiclink", "email": email}).json()
    page = open_link(server, made["action_link"])
    done = press(server, page)
    assert (done.status_code, "Confirmed." in done.text) == (200, True)
    assert press(server, page).status_code == 403
