"""The second factor on both wires: enrol, sign in by ticket or inside the session, recover, step up, disable, reset."""

from __future__ import annotations

import pyotp
import pytest

from tests.support.accounts import PASSWORD, refresh, sign_in, sign_up
from tests.support.second_factor import GOTRUE, ROOT, claims, guarded
from tests.support.server import Server


def test_setup_shows_a_picture_and_counts_nothing_yet(server: Server) -> None:
    """PNG, SVG, address and secret; until the first code sign-in asks for nothing."""
    account = sign_up(server)
    made = server.post(f"{ROOT}/setup", key=account.access, json={"issuer": "Acme"}).json()
    assert made["type"] == "totp"
    assert made["totp"]["qr_code"].startswith("data:image/png;base64,")
    assert made["totp"]["qr_svg"].startswith("<svg ")
    assert "issuer=Acme" in made["totp"]["uri"]
    status = server.get(f"{ROOT}/status", key=account.access).json()
    assert (status["totp_enabled"], [each["status"] for each in status["all"]], status["totp"]) == (False, ["unverified"], [])
    assert "access_token" in sign_in(server, account.email).json()


def test_enabling_gives_codes_and_an_aal2_session(server: Server) -> None:
    """Ten recovery codes, new tokens of level aal2, other sessions ended."""
    account = sign_up(server)
    other = account.again()
    user = guarded(server, account)
    assert len(user.recovery_codes) == 10
    told = claims(user.access)
    assert (told["aal"], [each["method"] for each in told["amr"]], told["factor_ids"]) == ("aal2", ["password", "mfa/totp"], [user.factor])
    assert other.user().status_code == 401
    assert user.account.user().status_code == 200
    assert claims(refresh(server, user.account.refresh).json()["access_token"])["aal"] == "aal2"
    assert refresh(server, account.refresh).status_code == 401


def test_sign_in_by_ticket(server: Server) -> None:
    """The password gives a ticket in both members and no token; ticket and code give a session."""
    user = guarded(server)
    first = sign_in(server, user.account.email).json()
    assert first["requires_2fa"] is True
    assert first["user_id"] == first["ticket"]
    assert first["ticket"].startswith("fb_mt_")
    assert "access_token" not in first
    second = user.second_step(first["user_id"], user.code())
    assert second.status_code == 200, second.text
    told = claims(second.json()["access_token"])
    assert (told["aal"], [each["method"] for each in told["amr"]]) == ("aal2", ["password", "mfa/totp"])


def test_a_recovery_code_stands_in_once(server: Server) -> None:
    """Written as people do; the second time it is a wrong code."""
    user = guarded(server)
    code = user.recovery_codes[0].upper().replace("-", " ")
    assert user.second_step(user.ticket(), code).status_code == 200
    again = user.second_step(user.ticket(), code)
    assert (again.status_code, again.json()["code"]) == (400, "INVALID_CREDENTIALS")


def test_new_recovery_codes_replace_the_old(server: Server) -> None:
    """After renewal an old code is wrong and a new one good."""
    user = guarded(server)
    renewed = server.post(f"{ROOT}/recovery-codes", key=user.access).json()["backup_codes"]
    assert user.second_step(user.ticket(), user.recovery_codes[1]).status_code == 400
    assert user.second_step(user.ticket(), renewed[1]).status_code == 200


def test_step_up_raises_the_same_session(server: Server) -> None:
    """A ticket for the caller's own session; the answer is of the same session, freshly proven."""
    user = guarded(server)
    ticket = server.post(f"{ROOT}/challenge", key=user.access).json()["ticket"]
    raised = user.second_step(ticket, user.code())
    assert raised.status_code == 200, raised.text
    assert claims(raised.json()["access_token"])["session_id"] == claims(user.access)["session_id"]


def test_gotrue_session_owes_until_it_verifies(server: Server) -> None:
    """password → pending session that opens the factor's routes alone → challenge and verify → aal2, everything open."""
    server.sql(
        "create table if not exists mfa_open (id int); drop policy if exists o on mfa_open; create policy o on mfa_open using (true)"
    )
    user = guarded(server)
    pending = user.pending()
    assert (claims(pending)["aal"], claims(pending)["factor_required"]) == ("aal1", True)
    for method, path in (
        ("GET", "/rest/v1/mfa_open"),
        ("GET", "/api/v1/tables/mfa_open"),
        ("PATCH", "/api/v1/auth/user"),
        ("PUT", "/auth/v1/user"),
    ):
        refused = server.request(method, path, key=pending, json={} if method != "GET" else None)
        assert refused.status_code == 403, path
    me = server.get(f"{GOTRUE}/user", key=pending).json()
    assert [each["status"] for each in me["factors"] if each["factor_type"] == "totp"] == ["verified"]
    challenge = server.post(f"{GOTRUE}/factors/{user.factor}/challenge", key=pending, json={}).json()
    assert challenge["type"] == "totp"
    verified = server.post(
        f"{GOTRUE}/factors/{user.factor}/verify", key=pending, json={"challenge_id": challenge["id"], "code": user.code()}
    )
    assert verified.status_code == 200, verified.text
    token = verified.json()["access_token"]
    assert (claims(token)["aal"], claims(token).get("factor_required")) == ("aal2", None)
    assert server.get("/rest/v1/mfa_open", key=token).status_code == 200


def test_gotrue_enrolment(server: Server) -> None:
    """enroll answers raw SVG; the first code raises the session; names are unique; phone is refused in words."""
    account = sign_up(server)
    made = server.post(f"{GOTRUE}/factors", key=account.access, json={"factor_type": "totp", "friendly_name": "phone"}).json()
    assert made["totp"]["qr_code"].startswith("<svg ")
    challenge = server.post(f"{GOTRUE}/factors/{made['id']}/challenge", key=account.access, json={}).json()
    wrong = server.post(
        f"{GOTRUE}/factors/{made['id']}/verify", key=account.access, json={"challenge_id": challenge["id"], "code": "000000"}
    )
    assert (wrong.status_code, wrong.json()["error_code"]) == (422, "mfa_verification_failed")
    done = server.post(
        f"{GOTRUE}/factors/{made['id']}/verify",
        key=account.access, json={"challenge_id": challenge["id"], "code": pyotp.TOTP(made["totp"]["secret"]).now()},
    )  # fmt: skip
    assert done.status_code == 200, done.text
    token = done.json()["access_token"]
    taken = server.post(f"{GOTRUE}/factors", key=token, json={"factor_type": "totp", "friendly_name": "phone"})
    assert (taken.status_code, taken.json()["error_code"]) == (422, "mfa_factor_name_conflict")
    phone = server.post(f"{GOTRUE}/factors", key=token, json={"factor_type": "phone", "phone": "+1"})
    assert (phone.status_code, phone.json()["error_code"]) == (422, "mfa_phone_enroll_not_enabled")


def test_gotrue_recovery_codes(server: Server) -> None:
    """generate, status, verify inside a pending session, remove."""
    user = guarded(server)
    made = server.post(f"{GOTRUE}/factors/recovery-codes", key=user.access).json()
    assert (made["type"], made["total"], len(made["codes"])) == ("recovery_code", 10, 10)
    pending = user.pending()
    used = server.post(f"{GOTRUE}/factors/recovery-codes/verify", key=pending, json={"code": made["codes"][3]})
    assert used.status_code == 200, used.text
    token = used.json()["access_token"]
    assert claims(token)["aal"] == "aal2"
    assert server.get(f"{GOTRUE}/factors/recovery-codes", key=token).json() == {
        "id": made["id"], "type": "recovery_code", "total": 10, "remaining": 9
    }  # fmt: skip
    assert server.request("DELETE", f"{GOTRUE}/factors/recovery-codes", key=token).status_code == 200
    assert server.get(f"{GOTRUE}/factors/recovery-codes", key=user.access).status_code in (401, 403, 404)


def test_disabling_wants_the_password(server: Server) -> None:
    """A wrong one changes nothing; the right one takes factor and recovery codes away, and the session is aal1."""
    user = guarded(server)
    wrong = server.post(f"{ROOT}/disable", key=user.access, json={"password": "wrong horse battery"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "INVALID_CREDENTIALS")
    assert server.get(f"{ROOT}/status", key=user.access).json()["totp_enabled"] is True
    done = server.post(f"{ROOT}/disable", key=user.access, json={"password": PASSWORD})
    assert (done.status_code, done.json()["success"], done.json()["id"]) == (200, True, user.factor)
    assert server.root_sql(f"select count(*) from auth.recovery_codes where user_id = '{user.account.id}'") == [(0,)]
    assert "access_token" in sign_in(server, user.account.email).json()


@pytest.mark.parametrize("is_native", [True, False])
def test_an_administrator_resets(server: Server, is_native: bool) -> None:
    """With the service key; audited; a user's own token may not."""
    user = guarded(server)
    path = f"/api/v1/admin/users/{user.account.id}/2fa/reset"
    if not is_native:
        listed = server.get(f"{GOTRUE}/admin/users/{user.account.id}/factors", key="service").json()
        assert user.factor in [each["id"] for each in listed]
        path = f"{GOTRUE}/admin/users/{user.account.id}/factors/{user.factor}"
    method = "POST" if is_native else "DELETE"
    assert server.request(method, path, key=user.access).status_code == 403
    done = server.request(method, path, key="service")
    assert done.status_code == 200, done.text
    assert "access_token" in sign_in(server, user.account.email).json()
    found = server.root_sql(
        f"select actor like 'key:%' from audit.entries where action = 'auth.mfa.removed' and resource = 'user:{user.account.id}'"
    )
    assert found == [(True,)]
