"""Passkeys: registered with a fresh proof, used by whoever holds them, on our pages, once a challenge (threats B22, B25, B30)."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from tests.support.accounts import Account, sign_up
from tests.support.authenticator import Authenticator, decode, encode
from tests.support.parallel import PARALLEL, at_once, statuses
from tests.support.second_factor import FREE, GOTRUE, claims, guarded, without
from tests.support.server import Server

ROOT = f"{GOTRUE}/passkeys"


def origin_of(server: Server) -> str:
    """The page's origin: an instance at 127.0.0.1 is known as localhost."""
    return f"http://localhost:{server.port}"


def begin(server: Server, account: Account, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """Options to make a passkey."""
    answer = server.post(f"{ROOT}/registration/options", key=account.access, json={}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def finish(
    server: Server, account: Account, challenge: str, credential: dict[str, Any], headers: dict[str, str] | None = None
) -> httpx.Response:
    """Hand it in."""
    return server.post(
        f"{ROOT}/registration/verify", key=account.access, json={"challenge_id": challenge, "credential": credential}, headers=headers
    )


def register(server: Server, account: Account, device: Authenticator, headers: dict[str, str] | None = None) -> str:
    """Make a passkey; its id."""
    begun = begin(server, account, headers)
    answer = finish(server, account, begun["challenge_id"], device.make(begun["options"]), headers)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def sign_in_with(
    server: Server, device: Authenticator, root: str = ROOT, headers: dict[str, str] | None = None, **how: Any
) -> httpx.Response:
    """The whole ceremony."""
    begun = server.post(f"{root}/authentication/options", json={}, headers=headers).json()
    shown = device.show(begun["options"], **how)
    return server.post(f"{root}/authentication/verify", json={"challenge_id": begun["challenge_id"], "credential": shown}, headers=headers)


@pytest.mark.parametrize("root", [ROOT, "/api/v1/auth/passkeys"])
def test_registration_and_sign_in(server: Server, root: str) -> None:
    """Two passkeys of one user; each signs in without a name, as aal2, because it verified its user."""
    account = sign_up(server)
    devices = [Authenticator(origin_of(server)) for _ in range(2)]
    ids = [register(server, account, device) for device in devices]
    assert [each["id"] for each in server.get(root, key=account.access).json()] == ids
    for device, passkey in zip(devices, ids, strict=True):
        answer = sign_in_with(server, device, root)
        assert answer.status_code == 200, answer.text
        told = claims(answer.json()["access_token"])
        assert (told["sub"], told["aal"], told["factor_ids"]) == (account.id, "aal2", [passkey])
        assert [each["method"] for each in told["amr"]] == ["passkey"]


def test_options_name_nobody(server: Server) -> None:
    """Sign-in asks for user verification, offers no list of credentials, and registration wants a discoverable one."""
    account = sign_up(server)
    made = begin(server, account)["options"]
    assert made["authenticatorSelection"]["residentKey"] == "required"
    assert made["authenticatorSelection"]["userVerification"] == "required"
    assert (made["rp"]["id"], decode(made["user"]["id"]).decode()) == ("localhost", account.id)
    asked = server.post(f"{ROOT}/authentication/options", json={}).json()["options"]
    assert asked.get("allowCredentials", []) == []
    assert (asked["rpId"], asked["userVerification"]) == ("localhost", "required")


def test_rename_and_remove(server: Server) -> None:
    """A name is kept; a removed passkey signs in no more and its session is aal1 on the next request."""
    server.sql("""create table if not exists pk_vault (id int); delete from pk_vault; insert into pk_vault values (1);
                  drop policy if exists e on pk_vault; create policy e on pk_vault using (true); select auth.require_aal2('pk_vault')""")
    account = sign_up(server)
    device = Authenticator(origin_of(server))
    passkey = register(server, account, device)
    token = sign_in_with(server, device).json()["access_token"]
    renamed = server.request("PATCH", f"{ROOT}/{passkey}", key=token, json={"friendly_name": "blue key"})
    assert renamed.json()["friendly_name"] == "blue key"
    assert len(server.get("/rest/v1/pk_vault", key=token).json()) == 1
    assert server.request("DELETE", f"{ROOT}/{passkey}", key=token).status_code == 204
    assert server.get("/rest/v1/pk_vault", key=token).json() == []
    assert sign_in_with(server, device).status_code == 400
    assert server.request("DELETE", f"{ROOT}/{passkey}", key=token).status_code == 404


@pytest.mark.parametrize("wrong", ["origin", "challenge", "counter", "handle", "signature", "verification"])
def test_a_wrong_answer_is_refused(server: Server, wrong: str) -> None:
    """Another page, another challenge, a counter that went back, another user's handle, a changed signature, no verification: 400."""
    account = sign_up(server)
    device = Authenticator(origin_of(server))
    register(server, account, device)
    assert sign_in_with(server, device).status_code == 200
    begun = server.post(f"{ROOT}/authentication/options", json={}).json()
    options = begun["options"]
    match wrong:
        case "origin":
            shown = device.show(options, origin="https://evil.example")
        case "challenge":
            shown = device.show({**options, "challenge": encode(b"x" * 32)})
        case "counter":
            shown = device.show(options, counter=1)
        case "handle":
            shown = device.show(options)
            shown["response"]["userHandle"] = encode(str(uuid.uuid4()).encode())
        case "signature":
            shown = device.show(options)
            shown["response"]["signature"] = encode(decode(shown["response"]["signature"])[:-1] + b"\0")
        case _:
            device.verifies = False
            shown = device.show(options)
    answer = server.post(f"{ROOT}/authentication/verify", json={"challenge_id": begun["challenge_id"], "credential": shown})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "webauthn_verification_failed")
    assert "access_token" not in answer.text


@pytest.mark.twin("passkeys:counter")
def test_twin_without_the_counter_takes_a_copied_key(twin: Server) -> None:
    """Without the counter's check an authenticator that was copied signs in beside the real one."""
    account = sign_up(twin, headers=FREE)
    device = Authenticator(origin_of(twin))
    register(twin, account, device, FREE)
    assert sign_in_with(twin, device, headers=FREE, counter=5).status_code == 200
    assert sign_in_with(twin, device, headers=FREE, counter=3).status_code == 400
    assert sign_in_with(twin, device, headers=without("passkeys:counter"), counter=3).status_code == 200


def test_a_challenge_has_one_answer(server: Server) -> None:
    """A recorded answer sent again is refused, and a wrong answer uses the challenge up."""
    account = sign_up(server)
    device = Authenticator(origin_of(server))
    register(server, account, device)
    begun = server.post(f"{ROOT}/authentication/options", json={}).json()
    body = {"challenge_id": begun["challenge_id"], "credential": device.show(begun["options"])}
    assert [server.post(f"{ROOT}/authentication/verify", json=body).status_code for _ in range(2)] == [200, 400]
    begun = server.post(f"{ROOT}/authentication/options", json={}).json()
    bad = {"challenge_id": begun["challenge_id"], "credential": device.show(begun["options"], origin="https://evil.example")}
    good = {**bad, "credential": device.show(begun["options"])}
    assert [server.post(f"{ROOT}/authentication/verify", json=each).status_code for each in (bad, good)] == [400, 400]


def test_two_hundred_parallel_answers_to_a_challenge(server: Server) -> None:
    """The same answer at the same moment, of a key that counts nothing: one session (threat B22)."""
    account, device = sign_up(server), Authenticator(origin_of(server))
    register(server, account, device)
    server.root_sql(f"update auth.passkeys set sign_count = 0 where user_id = '{account.id}'")
    begun = server.post(f"{ROOT}/authentication/options", json={}).json()
    body = {"challenge_id": begun["challenge_id"], "credential": device.show(begun["options"], counter=0)}
    found = statuses(at_once(server, "POST", f"{ROOT}/authentication/verify", json=body))
    assert (len(found), found.count(200)) == (PARALLEL, 1)
    assert set(found) == {200, 400}


@pytest.mark.twin("passkeys:challenge")
def test_twin_without_the_single_use_replays(twin: Server) -> None:
    """With a challenge that stays, the recorded answer of an authenticator without a counter signs in again."""
    account = sign_up(twin, headers=FREE)
    device = Authenticator(origin_of(twin))
    register(twin, account, device, FREE)
    lifted = without("passkeys:challenge")
    begun = twin.post(f"{ROOT}/authentication/options", json={}, headers=FREE).json()
    body = {"challenge_id": begun["challenge_id"], "credential": device.show(begun["options"], counter=0)}
    twin.root_sql("update auth.passkeys set sign_count = 0")
    assert [twin.post(f"{ROOT}/authentication/verify", json=body, headers=lifted).status_code for _ in range(2)] == [200, 200]


def test_a_registration_is_of_its_session(server: Server) -> None:
    """Another user cannot hand in the answer to somebody's challenge, nor register somebody's credential again."""
    first, second = sign_up(server), sign_up(server)
    device = Authenticator(origin_of(server))
    begun = begin(server, first)
    made = device.make(begun["options"])
    assert finish(server, second, begun["challenge_id"], made).status_code == 400
    assert finish(server, first, begun["challenge_id"], made).status_code == 200
    other = begin(server, second)
    again = device.make(other["options"])
    server.root_sql(f"update auth.passkeys set credential_id = decode('{decode(again['id']).hex()}', 'hex') where user_id = '{first.id}'")
    refused = finish(server, second, other["challenge_id"], again)
    assert (refused.status_code, refused.json()["error_code"]) == (422, "webauthn_credential_exists")


def test_adding_a_passkey_wants_a_fresh_proof(server: Server) -> None:
    """Six minutes after sign-in a lifted token adds no way in; with a second factor not even a fresh aal1 session does (B25)."""
    account = sign_up(server)
    server.root_sql(
        f"update auth.sessions set authenticated_at = now() - interval '6 minutes' where id = '{claims(account.access)['session_id']}'"
    )
    refused = server.post(f"{ROOT}/registration/options", key=account.access, json={})
    assert (refused.status_code, refused.json()["error_code"]) == (400, "reauthentication_needed")
    user = guarded(server)
    assert server.post(f"{ROOT}/registration/options", key=user.pending(), json={}).status_code == 403
    assert server.post(f"{ROOT}/registration/options", key=user.access, json={}).status_code == 200


def test_another_users_passkey_is_not_there(server: Server) -> None:
    """Rename and remove with another's id: the answer of an unknown one (B30)."""
    first, second = sign_up(server), sign_up(server)
    passkey = register(server, first, Authenticator(origin_of(server)))
    for method in ("PATCH", "DELETE"):
        answers = [
            server.request(method, f"{ROOT}/{each}", key=second.access, json={"friendly_name": "mine"})
            for each in (passkey, str(uuid.uuid4()))
        ]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].json() == answers[1].json()


def test_an_administrator_removes_a_passkey(server: Server) -> None:
    """Listed and removed with the service key; audited."""
    account = sign_up(server)
    passkey = register(server, account, Authenticator(origin_of(server)))
    path = f"{GOTRUE}/admin/users/{account.id}/passkeys"
    assert [each["id"] for each in server.get(path, key="service").json()] == [passkey]
    assert server.request("DELETE", f"{path}/{passkey}", key=account.access).status_code == 403
    assert server.request("DELETE", f"{path}/{passkey}", key="service").status_code == 204
    assert server.get(path, key="service").json() == []


def test_a_security_key_as_second_factor(server: Server) -> None:
    """factor_type webauthn: made inside the session, shown in a pending one, worth nothing as a passkey."""
    account = sign_up(server)
    device = Authenticator(origin_of(server), verifies=False)
    factor = server.post(f"{GOTRUE}/factors", key=account.access, json={"factor_type": "webauthn", "friendly_name": "key"}).json()["id"]

    def answer(token: str, make: Any) -> httpx.Response:
        challenge = server.post(f"{GOTRUE}/factors/{factor}/challenge", key=token, json={}).json()
        kind, options = challenge["webauthn"]["type"], challenge["webauthn"]["credential_options"]["publicKey"]
        body = {"challenge_id": challenge["id"], "webauthn": {"type": kind, "credential_response": make(options)}}
        return server.post(f"{GOTRUE}/factors/{factor}/verify", key=token, json=body)

    made = answer(account.access, device.make)
    assert made.status_code == 200, made.text
    token = server.post(f"{GOTRUE}/token?grant_type=password", json={"email": account.email, "password": "violet tunnel 93 cup"}).json()[
        "access_token"
    ]
    assert claims(token)["factor_required"] is True
    stranger = Authenticator(origin_of(server), verifies=False)
    stranger.cred_init("localhost", account.id.encode())
    assert answer(token, stranger.show).status_code == 400
    shown = answer(token, device.show)
    assert shown.status_code == 200, shown.text
    assert claims(shown.json()["access_token"])["aal"] == "aal2"
    assert sign_in_with(server, device).status_code == 400
