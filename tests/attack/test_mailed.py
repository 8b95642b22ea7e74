"""Links and codes under attack: used once, guessed never, dead with their reason, silent about who has an account (threats B9, B16-B18, B20-B22)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from tests.support.mail_server import APP, SITE, WELCOME, MailServer
from tests.support.mailed import OTHER_PASSWORD, PASSWORD, confirmed_account, follow, new_address, open_link, press, token_of
from tests.support.parallel import PARALLEL, at_once, statuses
from tests.support.server import Server
from tests.support.statements import statements_of
from tests.support.tenant import make_tenant

NATIVE = "/api/v1/auth"
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


def without(control: str) -> dict[str, str]:
    """The header that takes a control away."""
    return {"x-twin-without": control}


def magic_link(server: Server, post: MailServer, email: str, **options: Any) -> Any:
    """Ask for one and get its mail."""
    before = len(post.to(email))
    answer = server.post("/auth/v1/otp", json={"email": email}, **options)
    assert answer.status_code == 200, answer.text
    return post.wait_for(email, before + 1)


# -- once --------------------------------------------------------------------------------------------------------------------


def link_proof(server: Server, post: MailServer) -> tuple[str, dict[str, str]]:
    """The token of a magic link."""
    return "/auth/v1/verify", {"type": "magiclink", "token_hash": token_of(magic_link(server, post, new_address()))}


def code_proof(server: Server, post: MailServer) -> tuple[str, dict[str, str]]:
    """The code beside it."""
    email = new_address()
    return f"{NATIVE}/otp/verify", {"type": "email", "email": email, "token": magic_link(server, post, email).code}


def pkce_proof(server: Server, post: MailServer) -> tuple[str, dict[str, str]]:
    """The code of an app."""
    email = new_address()
    asked = {"email": email, "code_challenge": CHALLENGE, "code_challenge_method": "s256"}
    server.post("/auth/v1/otp", json=asked)
    code = follow(server, post.wait_for(email).link)[1]["code"]
    return "/auth/v1/token?grant_type=pkce", {"auth_code": code, "code_verifier": VERIFIER}


def confirmation_proof(server: Server, post: MailServer) -> tuple[str, dict[str, str]]:
    """The token that confirms an address natively."""
    email = new_address()
    server.post(f"{NATIVE}/signup", json={"email": email, "password": PASSWORD})
    return f"{NATIVE}/verify-email", {"token": token_of(post.wait_for(email))}


def reset_proof(server: Server, post: MailServer) -> tuple[str, dict[str, str]]:
    """The token of a password reset."""
    email = confirmed_account(server, post)["email"]
    server.post(f"{NATIVE}/password/reset", json={"email": email})
    return f"{NATIVE}/password/reset/confirm", {"token": token_of(post.wait_for(email, 2)), "new_password": OTHER_PASSWORD}


def invitation_proof(server: Server, post: MailServer) -> tuple[str, dict[str, str]]:
    """The token of an invitation."""
    email = new_address()
    server.post("/auth/v1/invite", key="service", json={"email": email})
    return "/auth/v1/verify", {"type": "invite", "token_hash": token_of(post.wait_for(email))}


def change_proof(server: Server, post: MailServer) -> tuple[str, dict[str, str]]:
    """The second half of a change of address, after the first."""
    account, new = confirmed_account(server, post), new_address()
    server.request("PUT", "/auth/v1/user", key=account["access_token"], json={"email": new})
    half = {"type": "email_change", "token_hash": token_of(post.wait_for(account["email"], 2))}
    assert server.post("/auth/v1/verify", json=half).json()["code"] == "200"
    return "/auth/v1/verify", {"type": "email_change", "token_hash": token_of(post.wait_for(new))}


@pytest.mark.parametrize("proof", [link_proof, code_proof, pkce_proof, confirmation_proof, reset_proof, invitation_proof, change_proof])
def test_two_hundred_parallel_redemptions_give_one_success(
    mailing: Server, post: MailServer, proof: Callable[[Server, MailServer], tuple[str, dict[str, str]]]
) -> None:
    """Whatever was mailed is redeemed once, also when everybody comes at the same moment (threat B22)."""
    path, body = proof(mailing, post)
    found = statuses(at_once(mailing, "POST", path, json=body, most_connections=PARALLEL))
    assert (len(found), found.count(200)) == (PARALLEL, 1)
    assert set(found) <= {200, 400, 401, 403, 404}


@pytest.mark.twin("mailed:once")
def test_twin_that_does_not_use_a_token_up_lets_it_in_twice(mailing_twin: Server, post: MailServer) -> None:
    """Without the conditional UPDATE the same link signs in again."""
    path, body = link_proof(mailing_twin, post)
    statuses = [mailing_twin.post(path, json=body, headers=without("mailed:once")).status_code for _ in range(2)]
    assert statuses == [200, 200]
    assert [mailing_twin.post(path, json=body).status_code for _ in range(2)] == [200, 403]


def test_scanners_that_open_a_link_leave_it_good(mailing: Server, post: MailServer) -> None:
    """GET and HEAD, with any user agent, read no table and use nothing up; the page says so to no cache, no frame, no script."""
    link = magic_link(mailing, post, new_address()).link
    path = link.removeprefix(mailing.url)

    def scan() -> None:
        for method in ("GET", "HEAD", "GET"):
            assert mailing.request(method, path, key=None, headers={"user-agent": "LinkScanner/1.0"}).status_code == 200

    assert [line for line in statements_of(mailing, scan) if "one_time_tokens" in line or "auth." in line] == []
    page = open_link(mailing, link)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' https://app.example;" in policy
    assert "script" not in page.text
    assert (page.headers["cache-control"], page.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert "access_token" in follow(mailing, link)[1]


def test_the_page_reflects_no_markup_and_no_foreign_place(mailing: Server) -> None:
    """What stands in the URL is escaped, and a redirect nobody configured is not in the page at all."""
    hostile = quote('"><script>alert(1)</script>')
    page = mailing.get(f"/auth/v1/verify?token={hostile}&type={hostile}&redirect_to=https://evil.example/{hostile}", key=None)
    assert page.status_code == 200
    assert "<script" not in page.text
    assert "evil.example" not in page.text + str(page.headers)


def test_the_button_is_pressed_on_our_page_alone(mailing: Server, post: MailServer) -> None:
    """A form on another site cannot sign a visitor in as the attacker (login CSRF), and does not use the link up."""
    page = open_link(mailing, magic_link(mailing, post, new_address()).link)
    for site in ("cross-site", "same-site"):
        assert press(mailing, page, headers={"sec-fetch-site": site}).status_code == 403
    assert press(mailing, page).status_code == 303


# -- guessing ----------------------------------------------------------------------------------------------------------------


def guess(server: Server, email: str, code: str, **options: Any) -> int:
    """One entry of a code."""
    return server.post("/auth/v1/verify", json={"type": "email", "email": email, "token": code}, **options).status_code


def wrong_codes(right: str) -> list[str]:
    """Some that are not it."""
    return [f"{(int(right) + n) % 1_000_000:06d}" for n in range(1, 8)]


def test_three_wrong_codes_end_the_right_one(mailing: Server, post: MailServer) -> None:
    """Also when they come at once: after three the code is dead, the link beside it still works."""
    email = new_address()
    mail = magic_link(mailing, post, email)
    with ThreadPoolExecutor(7) as pool:
        assert set(pool.map(lambda code: guess(mailing, email, code), wrong_codes(mail.code))) == {403}
    assert mailing.root_sql(f"select attempts from auth.one_time_tokens where email = '{email}'") == [(3,)]
    assert guess(mailing, email, mail.code) == 403
    assert "access_token" in follow(mailing, mail.link)[1]


@pytest.mark.twin("mailed:attempts")
def test_twin_that_does_not_count_is_guessed(mailing_twin: Server, post: MailServer) -> None:
    """Without the count the right code passes after any number of wrong ones."""
    email = new_address()
    mail = magic_link(mailing_twin, post, email)
    removed = without("mailed:attempts")
    assert {guess(mailing_twin, email, code, headers=removed) for code in wrong_codes(mail.code)} == {403}
    assert guess(mailing_twin, email, mail.code, headers=removed) == 200


def test_a_code_is_good_for_its_address_and_purpose_alone(mailing: Server, post: MailServer) -> None:
    """The code of one address at another, and that of a sign-in as a reset, are refused."""
    mine, other = confirmed_account(mailing, post)["email"], new_address()
    code = magic_link(mailing, post, mine).code
    magic_link(mailing, post, other)
    assert guess(mailing, other, code) == 403
    for kind in ("recovery", "signup", "invite", "email_change"):
        refused = mailing.post("/auth/v1/verify", json={"type": kind, "email": mine, "token": code})
        assert refused.status_code == 403
    assert guess(mailing, mine, code) == 200


# -- dead with their reason ----------------------------------------------------------------------------------------------------


def change_password(server: Server, account: dict[str, Any]) -> None:
    """As its user."""
    changed = server.request("PUT", "/auth/v1/user", key=account["access_token"], json={"password": OTHER_PASSWORD})
    assert changed.status_code == 200, changed.text


def change_address(server: Server, account: dict[str, Any]) -> None:
    """As an administrator would, at once."""
    server.root_sql(f"update auth.users set email = '{new_address()}' where id = '{account['user']['id']}'")


def ban(server: Server, account: dict[str, Any]) -> None:
    """As an administrator would."""
    server.root_sql(
        f"update auth.users set banned_until = now() + interval '1 day', epoch = epoch + 1 where id = '{account['user']['id']}'"
    )


def delete(server: Server, account: dict[str, Any]) -> None:
    """The account is gone."""
    server.root_sql(f"delete from auth.users where id = '{account['user']['id']}'")


def ask_again(server: Server, account: dict[str, Any]) -> None:
    """A newer mail of the same kind."""
    assert server.post("/auth/v1/otp", json={"email": account["email"]}).status_code == 200


@pytest.mark.parametrize("event", [change_password, change_address, ban, delete, ask_again])
def test_mailed_links_die_with_their_reason(mailing: Server, post: MailServer, event: Callable[[Server, dict[str, Any]], None]) -> None:
    """A link and a reset mailed before a new password, another address, a ban, a deletion (or a newer link) sign nobody in (threat B20)."""
    account = confirmed_account(mailing, post)
    link = magic_link(mailing, post, account["email"]).link
    mailing.post("/auth/v1/recover", json={"email": account["email"]})
    reset = post.wait_for(account["email"], 3).link
    event(mailing, account)
    dead = [link] if event is ask_again else [link, reset]
    assert [follow(mailing, one)[1].get("error_code") for one in dead] == ["otp_expired"] * len(dead)


@pytest.mark.twin("mailed:current")
def test_twin_that_forgets_the_epoch_honours_an_old_link(mailing_twin: Server, post: MailServer) -> None:
    """Without the comparison a link mailed before the password changed still signs in."""
    account = confirmed_account(mailing_twin, post)
    body = {"type": "magiclink", "token_hash": token_of(magic_link(mailing_twin, post, account["email"]))}
    change_password(mailing_twin, account)
    assert mailing_twin.post("/auth/v1/verify", json=body).status_code == 403
    assert mailing_twin.post("/auth/v1/verify", json=body, headers=without("mailed:current")).status_code == 200


def register_first(server: Server, post: MailServer) -> tuple[str, str]:
    """An attacker signs up with the victim's address and a password of his own."""
    victim = new_address()
    assert server.post("/auth/v1/signup", json={"email": victim, "password": OTHER_PASSWORD}).status_code == 200
    post.wait_for(victim)
    return victim, OTHER_PASSWORD


def attackers_sign_in(server: Server, email: str, password: str) -> int:
    """Whether he gets in."""
    return server.post("/auth/v1/token?grant_type=password", json={"email": email, "password": password}).status_code


def test_who_registers_first_does_not_keep_the_account(mailing: Server, post: MailServer) -> None:
    """The owner of the address signs in by magic link: the password that a stranger set before is gone (threat B9)."""
    victim, password = register_first(mailing, post)
    assert "access_token" in follow(mailing, magic_link(mailing, post, victim).link)[1]
    assert attackers_sign_in(mailing, victim, password) == 400


@pytest.mark.twin("mailed:take-over")
def test_twin_that_keeps_the_strangers_password_is_taken_over(mailing_twin: Server, post: MailServer) -> None:
    """Without it the attacker signs in to the account that the victim has confirmed."""
    victim, password = register_first(mailing_twin, post)
    body = {"type": "magiclink", "token_hash": token_of(magic_link(mailing_twin, post, victim))}
    assert mailing_twin.post("/auth/v1/verify", json=body, headers=without("mailed:take-over")).status_code == 200
    assert attackers_sign_in(mailing_twin, victim, password) == 200


# -- who has an account ----------------------------------------------------------------------------------------------------------

REQUESTS = {
    "otp": ("/auth/v1/otp", {}),
    "otp without creating": ("/auth/v1/otp", {"create_user": False}),
    "magiclink": ("/auth/v1/magiclink", {}),
    "recover": ("/auth/v1/recover", {}),
    "resend": ("/auth/v1/resend", {"type": "signup"}),
    "native magiclink": (f"{NATIVE}/magiclink", {}),
    "native reset": (f"{NATIVE}/password/reset", {}),
    "native otp": (f"{NATIVE}/otp/signin", {}),
    "native resend": (f"{NATIVE}/verify-email/resend", {}),
}


def seen(answer: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """All that a client sees, but for what differs with each request."""
    return answer.status_code, answer.content, sorted((k, v) for k, v in answer.headers.items() if k not in ("x-request-id", "date"))


@pytest.mark.parametrize("name", REQUESTS)
def test_an_address_with_and_one_without_account_are_the_same(mailing: Server, post: MailServer, name: str) -> None:
    """The same bytes, the same statements in the same order (threat B21); the mail comes later, from a queue."""
    path, body = REQUESTS[name]
    known, unknown = confirmed_account(mailing, post)["email"], new_address()
    answers: dict[str, httpx.Response] = {}

    def ask(email: str) -> Callable[[], None]:
        return lambda: answers.update({email: mailing.post(path, json={**body, "email": email})})

    ran = {email: statements_of(mailing, ask(email)) for email in (known, unknown)}
    assert seen(answers[known]) == seen(answers[unknown])
    assert answers[known].status_code == 200
    assert ran[known] == ran[unknown]
    assert any("one_time_tokens" in line for line in ran[known])


@pytest.mark.twin("mailed:decoy")
def test_twin_that_works_for_accounts_only_can_be_told_apart(mailing_twin: Server, post: MailServer) -> None:
    """Without the decoy an unknown address costs fewer statements."""
    known, unknown = confirmed_account(mailing_twin, post)["email"], new_address()

    def ask(email: str) -> Callable[[], object]:
        return lambda: mailing_twin.post("/auth/v1/recover", json={"email": email}, headers=without("mailed:decoy"))

    assert len(statements_of(mailing_twin, ask(known))) > len(statements_of(mailing_twin, ask(unknown)))


def test_the_pause_between_mails_is_the_same_for_both(server: Server) -> None:
    """The second request within a minute is 429 for an address with account and one without, with the same words."""
    known, unknown = new_address(), new_address()
    server.post(f"{NATIVE}/signup", json={"email": known, "password": PASSWORD})
    answers = [[server.post("/auth/v1/recover", json={"email": email}) for _ in range(2)] for email in (known, unknown)]
    assert [[answer.status_code for answer in pair] for pair in answers] == [[200, 429]] * 2
    assert {pair[1].json()["error_code"] for pair in answers} == {"over_email_send_rate_limit"}
    assert all(int(pair[1].headers["retry-after"]) > 0 for pair in answers)


# -- where links lead ------------------------------------------------------------------------------------------------------------

HOSTS = [
    {"host": "evil.example"},
    {"x-forwarded-host": "evil.example"},
    {"x-forwarded-host": "evil.example", "x-forwarded-proto": "https", "x-forwarded-port": "444"},
    {"forwarded": "host=evil.example;proto=https"},
    {"x-host": "evil.example", "x-forwarded-server": "evil.example", "x-original-host": "evil.example"},
    {"x-forwarded-prefix": "//evil.example", "x-rewrite-url": "http://evil.example/"},
    {"origin": "https://evil.example", "referer": "https://evil.example/x"},
]


@pytest.mark.parametrize("headers", HOSTS, ids=",".join)
def test_no_header_decides_where_a_link_leads(mailing_twin: Server, post: MailServer, headers: dict[str, str]) -> None:
    """The link begins with the configured URL for every header a proxy or an attacker may send (threat B16)."""
    email = new_address()
    assert mailing_twin.post("/auth/v1/otp", json={"email": email}, headers=headers).status_code == 200
    mail = post.wait_for(email)
    assert mail.link.startswith(f"{mailing_twin.url}/auth/v1/verify?")
    assert "evil.example" not in mail.text + mail.part("html")


@pytest.mark.twin("mailed:base-url")
def test_twin_that_believes_the_host_mails_the_attackers_link(mailing_twin: Server, post: MailServer) -> None:
    """Built from Host, the victim's token goes to the attacker's server."""
    email = new_address()
    mailing_twin.post("/auth/v1/otp", json={"email": email}, headers={"host": "evil.example", **without("mailed:base-url")})
    assert post.wait_for(email).link.startswith("http://evil.example/auth/v1/verify?token=fb_ot_")


VARIANTS = [
    "https://app.example", "https://app.example//", "https://app.example/welcome", "https://app.example/welcome?from=mail&x=1",
    "https://app.example/welcome?from=mail#x", "https://app.example/welcome/?from=mail", "https://app.example:443/", "http://app.example/",
    "https://APP.example/", "https://app.example/%2e%2e/", "https://app.example@evil.example/", "https://evil.example/?https://app.example/",
    "//app.example/", "/\\evil.example", "https:/\\evil.example", "https://app.example\\.evil.example/", "https://app.example/\t",
    "https://app.example/\r\nset-cookie:x=1", "javascript:alert(1)", "data:text/html,x", "myapp://callback/", "myapp://evil", "https://xn--app-8xa.example/",
]  # fmt: skip


@pytest.mark.parametrize("url", VARIANTS)
def test_only_the_configured_strings_are_redirect_targets(mailing: Server, post: MailServer, url: str) -> None:
    """Anything else: GoTrue's wire goes to the site instead, the native one refuses (threat B18)."""
    refused = mailing.post(f"{NATIVE}/magiclink", json={"email": new_address(), "redirect_to": url})
    assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_REDIRECT_URL")
    body = {"type": "magiclink", "email": new_address(), "redirect_to": url}
    made = mailing.post("/auth/v1/admin/generate_link", key="service", json=body).json()
    assert made["redirect_to"] == SITE
    answer = press(mailing, open_link(mailing, made["action_link"].partition("&redirect_to=")[0] + f"&redirect_to={quote(url)}"))
    location = urlsplit(answer.headers["location"])
    assert location._replace(fragment="").geturl() == SITE


def test_configured_strings_are(mailing: Server) -> None:
    """The positive control of the test above."""
    for url in (SITE, WELCOME, APP):
        body = {"type": "magiclink", "email": new_address(), "redirect_to": url}
        assert mailing.post("/auth/v1/admin/generate_link", key="service", json=body).json()["redirect_to"] == url


@pytest.mark.twin("mailed:redirects")
def test_twin_that_allows_any_redirect_hands_the_session_over(mailing_twin: Server) -> None:
    """Without the exact list a link made for an attacker's site takes the session there."""
    body = {"type": "magiclink", "email": new_address(), "redirect_to": "https://evil.example/"}
    removed = without("mailed:redirects")
    made = mailing_twin.post("/auth/v1/admin/generate_link", key="service", json=body, headers=removed).json()
    page = mailing_twin.get(made["action_link"].removeprefix(mailing_twin.url), key=None, headers=removed)
    assert press(mailing_twin, page, headers=removed).headers["location"].startswith("https://evil.example/#access_token=")


def test_no_token_in_any_query_or_log_line(mailing: Server, post: MailServer) -> None:
    """A session travels in the fragment, which browsers send to nobody; the one-time token is in no log line (threat B17)."""
    mail = magic_link(mailing, post, new_address())
    answer = press(mailing, open_link(mailing, mail.link))
    location = urlsplit(answer.headers["location"])
    assert location.query == ""
    assert "access_token=" in location.fragment
    assert token_of(mail) not in mailing.log
    assert mail.code not in mailing.log


# -- tenants -----------------------------------------------------------------------------------------------------------------------


def test_a_link_signs_in_to_its_own_tenant(mailing: Server, post: MailServer) -> None:
    """The mailed link carries no key, and leads into the tenant that mailed it; with another tenant's key its token is worth nothing."""
    acme, email = make_tenant(mailing, "mailacme"), new_address()
    keys = {"apikey": str(acme.keys["anon_key"])}
    for count in (1, 2):
        assert mailing.post("/auth/v1/otp", key=None, json={"email": email}, headers=keys).status_code == 200
        post.wait_for(email, count)
    mail = post.wait_for(email, 2)
    stolen = mailing.post("/auth/v1/verify", json={"type": "magiclink", "token_hash": token_of(mail)}, headers={"apikey": mailing.anon_key})
    assert stolen.status_code == 403
    token = follow(mailing, mail.link)[1]["access_token"]
    assert mailing.get("/auth/v1/user", key=token).json()["email"] == email
    assert acme.sql(f"select count(*) from auth.users where email = '{email}'") == [(1,)]
    assert mailing.root_sql(f"select count(*) from auth.users where email = '{email}'") == [(0,)]


# -- the mail server is away -----------------------------------------------------------------------------------------------------------


def test_a_mail_server_that_refuses_leaves_nothing_half_done(mailing: Server, post: MailServer) -> None:
    """Sign-up is whole and answers as always; the mail waits, arrives when the server takes it, and its link works."""
    email = new_address()
    post.answers[email] = "451 come back later"
    answer = mailing.post(f"{NATIVE}/signup", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 201
    while mailing.root_sql(f"select attempts from platform.mails where recipient = '{email}'") == [(0,)]:
        pass
    del post.answers[email]
    assert mailing.post(f"{NATIVE}/verify-email", json={"token": token_of(post.wait_for(email))}).status_code == 200
