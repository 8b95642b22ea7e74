"""A platform administrator's second factor cannot be left out, replayed or taken over (threats B22 to B26)."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.administrator import ADMIN, DASHBOARD, PASSWORD, Administrator, administrator, login
from tests.support.command import fluxbase
from tests.support.second_factor import FREE, without
from tests.support.server import Server, start_server


@pytest.fixture(scope="module")
def strict() -> Iterator[Server]:
    """Administrators must have a second factor. Its controls may be removed."""
    running = start_server(is_twin=True, env={"FLUXBASE_MFA_PLATFORM_ENFORCEMENT": "required"})
    yield running
    running.stop()


@pytest.fixture(scope="module")
def guarded(strict: Server) -> Administrator:
    """One whose second factor is on."""
    made = administrator(strict)
    made.enrol()
    return made


def read(server: Server, token: str, **options: Any) -> list[int]:
    """What an administrator does all day: the register, the users of a tenant, rows."""
    paths = (f"{ADMIN}/tenants", f"{ADMIN}/users", f"{ADMIN}/me", "/rest/v1/airports")
    return [server.get(path, key=token, **options).status_code for path in paths]


@pytest.mark.parametrize("path", [f"{ADMIN}/login", f"{DASHBOARD}/login"])
def test_the_password_alone_gives_a_ticket(guarded: Administrator, path: str) -> None:
    """Both ways in answer with a ticket and no token; with the code it is a session that works."""
    ticket = guarded.ticket(path)
    done = guarded.second_step(ticket, guarded.code())
    assert done.status_code == 200, done.text
    assert read(guarded.server, done.json()["access_token"])[:3] == [200, 200, 200]
    assert done.json()["user"]["totp_enabled"] is True


@pytest.mark.twin("platform:ticket", "platform:debt")
def test_twin_without_the_second_factor_lets_the_password_in(guarded: Administrator) -> None:
    """With the question at sign-in and the debt of the session both gone, who has the password has the instance; one alone still holds."""
    alone = login(guarded.server, guarded.email, headers=without("platform:ticket")).json()
    assert read(guarded.server, alone["access_token"]) == [403] * 4
    assert read(guarded.server, alone["access_token"], headers=without("platform:debt"))[:3] == [200, 200, 200]


def test_one_who_has_none_can_only_set_one_up(strict: Server) -> None:
    """With mfa.platform_enforcement required a new administrator's session says so, opens nothing, and works once he enrolled."""
    made = administrator(strict)
    assert login(strict, made.email).json()["requires_2fa_setup"] is True
    assert read(strict, made.access) == [403] * 4
    for method, path, body in (
        ("PUT", "/profile", {"name": "x"}), ("DELETE", "/account", {"password": PASSWORD}), ("POST", "/2fa/disable", {"password": PASSWORD}),
        ("POST", "/password/change", {"current_password": PASSWORD, "new_password": PASSWORD + " 2"}),
    ):  # fmt: skip
        assert strict.request(method, DASHBOARD + path, key=made.access, json=body).status_code == 403, path
    assert made.get("/me").json()["totp_enabled"] is False
    made.enrol()
    assert read(strict, made.access)[:3] == [200, 200, 200]


def test_a_ticket_is_the_only_second_step(guarded: Administrator) -> None:
    """The administrator's id, none, a cut or an application's ticket: 401. A wrong code: 400, and no token."""
    for ticket in (guarded.id, "", "fb_mt_" + "a" * 43, guarded.ticket()[:-1]):
        assert guarded.second_step(ticket, guarded.code()).status_code == 401
    wrong = guarded.second_step(guarded.ticket(), "000000")
    assert (wrong.status_code, "access_token" in wrong.text) == (400, False)
    elsewhere = guarded.server.post("/api/v1/auth/2fa/verify", key="anon", json={"user_id": guarded.ticket(), "code": guarded.code()})
    assert elsewhere.status_code == 401
    assert guarded.second_step(guarded.ticket(), guarded.code(), headers={"user-agent": "thief"}).status_code == 401


def redeem(admin: Administrator, times: int, codes: list[str], **headers: str) -> list[int]:
    """One ticket so many times at once, each with a code that is good by itself."""
    ticket = admin.ticket()
    limits = httpx.Limits(max_connections=40)

    async def run() -> list[int]:
        agent = {"user-agent": f"python-httpx/{httpx.__version__}", **headers}
        async with httpx.AsyncClient(
            base_url=admin.server.url, timeout=60, trust_env=False, verify=False, limits=limits, headers=agent
        ) as client:
            bodies = [{"user_id": ticket, "code": codes[number % len(codes)]} for number in range(times)]
            answers = await asyncio.gather(*(client.post(f"{DASHBOARD}/2fa/verify", json=body) for body in bodies))
        return [answer.status_code for answer in answers]

    return asyncio.run(run())


def test_two_hundred_at_once_redeem_a_ticket_once(strict: Server) -> None:
    """Two hundred requests with one ticket and ten good recovery codes: one session."""
    made = administrator(strict)
    made.enrol()
    answers = redeem(made, 200, made.codes)
    assert answers.count(200) == 1, answers
    assert set(answers) <= {200, 400, 401, 429, 503}


@pytest.mark.twin("factors:ticket-once")
def test_twin_of_a_ticket_that_is_not_used_up(strict: Server) -> None:
    """When redeeming does not use it up, one ticket makes several sessions."""
    made = administrator(strict)
    made.enrol()
    ticket, headers = made.ticket(), without("factors:ticket-once")
    assert [made.second_step(ticket, code, headers=headers).status_code for code in made.codes[:2]] == [200, 200]
    again = made.ticket()
    assert [made.second_step(again, code, headers=FREE).status_code for code in made.codes[2:4]] == [200, 401]


def test_a_recovery_code_is_good_once(guarded: Administrator) -> None:
    """In the place of the app's code, once."""
    code = guarded.codes.pop()
    assert guarded.second_step(guarded.ticket(), code).status_code == 200
    assert guarded.second_step(guarded.ticket(), code).status_code == 400


def test_disabling_wants_the_password_and_lowers_every_session(strict: Server) -> None:
    """A wrong password changes nothing; without the factor the sessions owe one again, and codes and recovery codes are dead."""
    made = administrator(strict)
    made.enrol()
    assert made.post("/2fa/disable", {"password": "wrong otter climbs a ladder"}).status_code == 400
    assert made.get("/me").json()["totp_enabled"] is True
    assert made.post("/2fa/disable", {"password": PASSWORD}).status_code == 200
    assert read(strict, made.access) == [403] * 4
    assert login(strict, made.email).json()["requires_2fa_setup"] is True


def test_enrolling_ends_the_sessions_that_did_not_show_it(strict: Server) -> None:
    """Who stole a token before the second factor was switched on has nothing."""
    made = administrator(strict)
    stolen = login(strict, made.email).json()["access_token"]
    made.enrol()
    assert strict.get(f"{DASHBOARD}/me", key=stolen).status_code == 401
    assert made.get("/me").status_code == 200


def test_a_mailed_reset_does_not_replace_the_second_factor(strict: Server) -> None:
    """The link opens a page of ours that uses nothing up; a new password gives a ticket; the link is good once, for one account, here alone."""
    made = administrator(strict)
    made.enrol()
    known = strict.post(f"{DASHBOARD}/password/reset", key=None, json={"email": made.email})
    unknown = strict.post(f"{DASHBOARD}/password/reset", key=None, json={"email": f"{uuid.uuid4().hex}@example.test"})
    assert (known.status_code, known.text) == (unknown.status_code, unknown.text) == (200, known.text)
    link, token = mailed(strict, made.email)
    assert link.startswith(f"{strict.url}/dashboard/reset-password?")
    page = strict.get(link.removeprefix(strict.url), key=None)
    assert (page.status_code, "form-action 'self'" in page.headers["content-security-policy"]) == (200, True)
    assert strict.post(f"{DASHBOARD}/password/reset/verify", key=None, json={"token": token}).json()["valid"] is True
    app = {"token": token, "new_password": PASSWORD + " 2"}
    assert strict.post("/api/v1/auth/password/reset/confirm", key="anon", json=app).status_code == 400
    form = {"token": token, "type": "recovery"}
    stray = strict.post("/auth/v1/verify", key=None, data=form, headers={"sec-fetch-site": "same-origin"}, follow_redirects=False)
    assert "access_token" not in stray.text + str(stray.headers)
    assert strict.post(f"{DASHBOARD}/password/reset/confirm", key=None, json={**app, "new_password": "short"}).status_code == 400
    done = strict.post(f"{DASHBOARD}/password/reset/confirm", key=None, json=app)
    assert (done.json()["requires_2fa"], "access_token" in done.text) == (True, False)
    assert strict.post(f"{DASHBOARD}/password/reset/confirm", key=None, json=app).status_code == 400
    assert read(strict, made.access) == [401] * 4
    assert login(strict, made.email).status_code == 401
    assert login(strict, made.email, PASSWORD + " 2").json()["requires_2fa"] is True


def test_the_page_of_a_reset_changes_the_password_and_signs_nobody_in(strict: Server) -> None:
    """Pressed on another site it is refused; a weak password is asked again; then it is changed, without a token in the answer."""
    made = administrator(strict)
    strict.post(f"{DASHBOARD}/password/reset", key=None, json={"email": made.email})
    _, token = mailed(strict, made.email)
    form = {"token": token, "new_password": PASSWORD + " 3"}

    def press(**changed: str) -> httpx.Response:
        site = changed.pop("site", "same-origin")
        return strict.post("/dashboard/reset-password", key=None, data={**form, **changed}, headers={"sec-fetch-site": site})

    assert press(site="cross-site").status_code == 403
    assert press(new_password="short").status_code == 400
    done = press()
    assert (done.status_code, "access_token" in done.text, "fb_rt_" in done.text) == (200, False, False)
    assert press().status_code == 403
    assert login(strict, made.email, PASSWORD + " 3").status_code == 200


def mailed(server: Server, email: str) -> tuple[str, str]:
    """Link and token of the newest kept mail to an administrator."""

    def ask(*words: str) -> Any:
        done = fluxbase("mail", *words, "--tenant", "platform", "--json", "--data", server.data_dir, cwd=server.data_dir)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    shown = ask("show", next(each["id"] for each in ask("list") if each["to"] == email))
    return str(shown["url"]), str(shown["url"]).split("token=")[1].split("&")[0]


def test_an_account_is_changed_with_its_password(strict: Server) -> None:
    """Name, picture and password are the caller's own; a wrong password changes nothing and a new one ends the other sessions."""
    made = administrator(strict)
    made.enrol()
    changed = strict.request(
        "PUT", f"{DASHBOARD}/profile", key=made.access, json={"full_name": "Grace", "avatar_url": "https://a.example/g"}
    )
    assert (changed.json()["name"], changed.json()["avatar_url"]) == ("Grace", "https://a.example/g")
    other = made.second_step(made.ticket(), made.code()).json()["access_token"]
    assert made.post("/password/change", {"current_password": "wrong", "new_password": PASSWORD + " 4"}).status_code == 400
    assert made.post("/password/change", {"current_password": PASSWORD, "new_password": PASSWORD + " 4"}).status_code == 200
    assert read(strict, other) == [401] * 4
    assert made.get("/me").status_code == 200
    assert strict.request("DELETE", f"{DASHBOARD}/account", key=made.access, json={"password": PASSWORD}).status_code == 400
    assert strict.request("DELETE", f"{DASHBOARD}/account", key=made.access, json={"password": PASSWORD + " 4"}).status_code == 200
    assert made.get("/me").status_code == 401
    assert login(strict, made.email, PASSWORD + " 4").status_code == 401


def test_users_of_applications_have_no_account_here(strict: Server) -> None:
    """A user's token, the anon key and the service key open none of these routes; a platform token opens no account of an application."""
    from tests.support.accounts import sign_up

    user = sign_up(strict)
    for key in (user.access, "anon", "service"):
        for method, path in (("GET", "/me"), ("POST", "/2fa/setup"), ("POST", "/2fa/enable"), ("PUT", "/profile"), ("DELETE", "/account")):
            assert strict.request(method, DASHBOARD + path, key=key, json={"code": "000000", "password": PASSWORD}).status_code == 403, path
    made = administrator(strict)
    for path in ("/api/v1/auth/2fa/status", "/api/v1/auth/user"):
        assert strict.get(path, key=made.access).status_code == 403
    assert strict.post("/auth/v1/factors", key=made.access, json={"factor_type": "totp"}).status_code == 403
