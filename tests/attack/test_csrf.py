"""Threat: a foreign page makes the browser of a signed-in user act (CSRF), and the login CSRF of threat B19's family.

The cookie alone must change nothing. Two lines hold it, each proven by its twin: CrossOrigin reads where the request comes from,
CsrfToken wants the token of this very session.
"""

from __future__ import annotations

import httpx
import pytest

from tests.support.server import Server

USER = "00000000-0000-4000-8000-0000000000c5"
SESSION = "00000000-0000-4000-8000-00000000c5f1"
OTHER = "00000000-0000-4000-8000-00000000c5f2"
SCHEMA = """
create table if not exists csrf_note (id int primary key generated always as identity, owner uuid default auth.uid(), body text);
do $$ begin
  create policy own on csrf_note to authenticated using (owner = (select auth.uid())) with check (owner = (select auth.uid()));
exception when duplicate_object then null; end $$;
truncate csrf_note;
"""


@pytest.fixture
def notes(twin: Server) -> Server:
    """A table into which a signed-in user may write; the twin obeys ``x-twin-without``."""
    twin.sql(SCHEMA)
    return twin


def browser(server: Server, session: str = SESSION) -> tuple[dict[str, str], str]:
    """The cookies of a signed-in browser, and its CSRF token."""
    jar = {"fluxbase_access_token": server.token(USER, session_id=session), "fluxbase_presession": session}
    answer = server.request("GET", "/api/v1/auth/csrf", key=None, headers={"cookie": _cookie(jar)})
    jar["csrf_token"] = answer.json()["csrf_token"]
    return jar, jar["csrf_token"]


def _cookie(jar: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in jar.items())


def write(server: Server, jar: dict[str, str], **headers: str) -> httpx.Response:
    """What a page's ``fetch`` with ``credentials: include`` sends."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.request("POST", "/rest/v1/csrf_note", key=None, json={"body": "x"}, headers={"cookie": _cookie(jar), **named})


def rows(server: Server) -> int:
    """How many notes there are."""
    return int(server.sql("select count(*) from csrf_note")[0][0])


def test_a_browser_session_acts_with_its_token(notes: Server) -> None:
    """Cookie, token and the same origin: the write is the user's own, and a read needs the cookie alone."""
    jar, token = browser(notes)
    assert write(notes, jar, x_csrf_token=token, sec_fetch_site="same-origin").status_code == 201
    assert notes.sql("select owner::text from csrf_note") == [(USER,)]
    assert len(notes.request("GET", "/rest/v1/csrf_note", key=None, headers={"cookie": _cookie(jar)}).json()) == 1


def check_token(server: Server, off: dict[str, str]) -> None:
    """Without its own session's token a write with the cookie is 403 and changes nothing."""
    jar, token = browser(server)
    other_jar, other = browser(server, OTHER)
    stamp = token.split(".")
    attempts = [
        write(server, jar, **off),
        write(server, {**jar, "csrf_token": ""}, x_csrf_token=token, **off),
        write(server, jar, x_csrf_token=other, **off),
        write(server, {**jar, "csrf_token": other}, x_csrf_token=other, **off),
        write(server, {**jar, "csrf_token": other, "fluxbase_presession": OTHER}, x_csrf_token=other, **off),
        write(server, {**jar, "csrf_token": f"{stamp[0]}.x.{stamp[2]}"}, x_csrf_token=f"{stamp[0]}.x.{stamp[2]}", **off),
    ]
    assert [answer.status_code for answer in attempts] == [403] * len(attempts)
    assert {answer.json()["code"] for answer in attempts} == {"42501"}
    assert rows(server) == 0
    assert other_jar["fluxbase_presession"] == OTHER


def check_origin(server: Server, off: dict[str, str]) -> None:
    """A foreign page is refused even with the right token, whichever of the two headers tells."""
    jar, token = browser(server)
    foreign = [
        {"sec_fetch_site": "cross-site"}, {"sec_fetch_site": "same-site"}, {"origin": "https://evil.example"}, {"origin": "null"},
        {"sec_fetch_site": "cross-site", "origin": server.url}, {"origin": "http://127.0.0.1"},
    ]  # fmt: skip
    answers = [write(server, jar, x_csrf_token=token, **where, **off) for where in foreign]
    assert [answer.status_code for answer in answers] == [403] * len(foreign)
    assert rows(server) == 0


@pytest.mark.parametrize("check", [check_token, check_origin])
def test_the_cookie_alone_changes_nothing(notes: Server, check: object) -> None:
    """Each line holds by itself."""
    check(notes, {})  # type: ignore[operator]


@pytest.mark.twin("pipeline:CsrfToken")
def test_twin_without_the_token_line_writes(notes: Server) -> None:
    """Without CsrfToken the first forged write goes through."""
    with pytest.raises(AssertionError):
        check_token(notes, {"x_twin_without": "CsrfToken"})
    assert rows(notes) > 0


@pytest.mark.twin("pipeline:CrossOrigin")
def test_twin_without_the_origin_line_writes(notes: Server) -> None:
    """Without CrossOrigin a foreign page that got hold of the token acts as the user."""
    with pytest.raises(AssertionError):
        check_origin(notes, {"x_twin_without": "CrossOrigin"})
    assert rows(notes) > 0


def test_credentials_in_headers_are_exempt(notes: Server) -> None:
    """No browser adds a header by itself: Bearer and apikey need no token, whatever page they come from."""
    token = notes.token(USER, session_id=SESSION)
    headers = {"sec-fetch-site": "cross-site", "origin": "https://app.example"}
    assert notes.request("POST", "/rest/v1/csrf_note", key=token, json={"body": "x"}, headers=headers).status_code == 201
    assert notes.request("GET", "/rest/v1/csrf_note", key=None, headers={**headers, "apikey": notes.anon_key}).status_code == 200


def test_a_revoked_session_is_refused_by_cookie_too(notes: Server) -> None:
    """The denylist knows the session, however its token came."""
    jar, token = browser(notes)
    notes.root_sql(f"insert into auth.denylist (key, reason) values ('session:{SESSION}', 'test')")
    try:
        assert write(notes, jar, x_csrf_token=token).status_code == 401
    finally:
        notes.root_sql(f"delete from auth.denylist where key = 'session:{SESSION}'")
    assert write(notes, jar, x_csrf_token=token).status_code == 201


def test_sql_never_sees_the_cookie(notes: Server) -> None:
    """``request.cookies`` has the application's cookies and none of ours (decision 0020)."""
    notes.sql(
        "create or replace function seen_cookies() returns json language sql as $$ select current_setting('request.cookies')::json $$"
    )
    jar, _ = browser(notes)
    seen = notes.request("GET", "/rest/v1/rpc/seen_cookies", key=None, headers={"cookie": _cookie({**jar, "theme": "dark"})})
    assert seen.json() == {"theme": "dark"}


class Page:
    """A browser application that keeps no token: cookies as the browser keeps them, the CSRF token as script reads it."""

    def __init__(self, server: Server) -> None:
        self.server, self.jar = server, httpx.Client(base_url=server.url, trust_env=False, verify=False, timeout=30)
        self.token = self.jar.get("/api/v1/auth/csrf").json()["csrf_token"]

    def post(self, path: str, body: object = None, **headers: str) -> httpx.Response:
        """``fetch`` with ``credentials: include``; takes over a new CSRF token."""
        asked = {"x-session-mode": "cookie", "x-csrf-token": self.token, "sec-fetch-site": "same-origin", **headers}
        answer = self.jar.post(path, json=body, headers=asked)
        self.token = answer.json().get("csrf_token", self.token) if answer.status_code < 300 and answer.content else self.token
        return answer


ACCOUNT = {"email": "cookie@example.org", "password": "a long enough password"}


def test_a_session_by_cookie_from_sign_up_to_sign_out(server: Server) -> None:
    """Sign-up, own account, refresh and sign-out without a token in script's hands; the old cookies are worth nothing afterwards."""
    page = Page(server)
    before = page.token
    answer = page.post("/api/v1/auth/signup", ACCOUNT)
    assert answer.status_code == 201, answer.text
    assert "refresh_token" not in answer.json()
    lines = {line.split("=")[0]: line for line in answer.headers.get_list("set-cookie")}
    assert "HttpOnly" in lines["fluxbase_access_token"]
    assert "Path=/api/v1/auth;" in lines["fluxbase_refresh_token"]
    assert "HttpOnly" not in lines["csrf_token"]
    assert all("SameSite=Strict" in line for line in lines.values())
    assert page.token != before
    assert page.jar.get("/api/v1/auth/user").json()["email"] == ACCOUNT["email"]

    page.jar.cookies.delete("fluxbase_access_token")  # as when it had run out
    refreshed = page.post("/api/v1/auth/refresh")
    assert refreshed.status_code == 200, refreshed.text
    assert "access_token" not in refreshed.json()
    assert page.jar.get("/api/v1/auth/user").status_code == 200

    stolen = dict(page.jar.cookies)
    assert page.post("/api/v1/auth/signout", {}).status_code == 200
    assert not page.jar.cookies
    assert server.request("GET", "/api/v1/auth/user", key=None, headers={"cookie": _cookie(stolen)}).status_code == 401


def test_login_csrf_is_refused(server: Server) -> None:
    """A foreign page cannot sign the browser in as somebody else, nor refresh with its cookie: no token, another origin, an old pre-session."""
    page = Page(server)
    page.post("/api/v1/auth/signup", {**ACCOUNT, "email": "victim@example.org"})
    body = {**ACCOUNT, "email": "victim@example.org"}
    assert page.post("/api/v1/auth/signin", body, **{"x-csrf-token": ""}).json()["code"] == "CSRF_FAILED"
    assert page.post("/api/v1/auth/signin", body, **{"sec-fetch-site": "cross-site"}).json()["code"] == "CSRF_FAILED"
    assert page.post("/api/v1/auth/refresh", **{"x-csrf-token": Page(server).token}).json()["code"] == "CSRF_FAILED"
    stranger = httpx.post(
        f"{server.url}/api/v1/auth/signin", json=body, headers={"x-session-mode": "cookie"}, trust_env=False, verify=False
    )
    assert (stranger.status_code, stranger.json()["code"]) == (403, "CSRF_FAILED")
