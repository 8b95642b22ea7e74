"""What must hold although one login serves every role, each with a twin that lacks the control."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from fluxbase.db.cleaning import cleaning
from fluxbase.db.peer_settings import PeerSettings, owned
from tests.contract.byo.conftest import Library, sign
from tests.support.server import Server

USER, ANON = sign({"role": "web_user", "sub": "ada"}), None


def _who(server: Server, key: str | None) -> dict[str, object]:
    answer = server.request("GET", "/rest/v1/rpc/whoami", key=key)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def single(library: Library):
    """One connection only, so that a request meets whatever the one before left."""
    with library.serve(FLUXBASE_DATABASE_POOL_SIZE="1") as server:
        yield server


def test_claims_and_role_cannot_leak_to_the_next_request(single: Server) -> None:
    """Sequential and parallel callers on one connection see their own identity only (threats F55, F56)."""
    tokens = {name: sign({"role": "web_user", "sub": name}) for name in ("ada", "bob")}

    def ask(number: int) -> None:
        name = ("ada", "bob", None)[number % 3]
        seen = _who(single, tokens.get(name) if name else None)
        claims = {"role": "web_user", "sub": name} if name else {"role": "web_anon"}
        assert (seen["role"], seen["claims"]) == (claims["role"], claims)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(ask, range(90)))


def test_role_and_settings_set_by_user_sql_do_not_survive(single: Server) -> None:
    """A function that takes another role and plants settings for the session leaves neither behind (threat F56)."""
    stolen = single.request("POST", "/rest/v1/rpc/steal_role", key=ANON, json={})
    assert (stolen.status_code, stolen.json()) == (200, "web_user")
    assert single.request("GET", "/rest/v1/loans", key=ANON).status_code == 401
    seen = _who(single, ANON)
    assert (seen["role"], seen["claims"]) == ("web_anon", {"role": "web_anon"})
    assert seen["planted"] in ("", None)


def test_twin_without_cleaning_keeps_what_was_planted(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same steps against a session that is not cleaned show the planted setting, so the test above can fail."""
    monkeypatch.setenv("BYO_TWIN", "cleaning")
    with library.serve(is_twin=True, FLUXBASE_DATABASE_POOL_SIZE="1") as twin:
        assert twin.request("POST", "/rest/v1/rpc/steal_role", key=ANON, json={}).status_code == 200
        assert _who(twin, ANON)["planted"] == "left behind"


def test_twin_without_role_shows_the_login(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the role in the settings statement a request runs as the login or as what was left, so the leak test can fail."""
    monkeypatch.setenv("BYO_TWIN", "role")
    with library.serve(is_twin=True, FLUXBASE_DATABASE_POOL_SIZE="1") as twin:
        assert twin.request("GET", "/rest/v1/rpc/whoami", key=ANON).status_code != 200 or _who(twin, ANON)["role"] != "web_anon"


@pytest.mark.parametrize(
    ("role", "status", "code"),
    [("web_outsider", 403, "42501"), ("nobody", 401, "22023"), ("none", 401, "22023"), ("NONE", 401, "22023"), ("", 401, "22023"),
     ("postgres", 403, "42501"), ("web_user; reset role", 401, "22023")],
)  # fmt: skip
def test_a_role_the_login_may_not_assume_is_refused(byo: Server, library: Library, role: str, status: int, code: str) -> None:
    """Only roles granted to the login can be taken, whatever a verified token says; ``none`` would be the login itself."""
    superuser = library.cluster.info.superuser
    answer = byo.request("GET", "/rest/v1/books", key=sign({"role": superuser if role == "postgres" else role}))
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_plan_made_under_another_role_is_not_used(single: Server) -> None:
    """A function whose body is inlined is refused to a role without EXECUTE, after a role with it made the statement hot."""
    for _ in range(8):
        assert single.request("GET", "/rest/v1/rpc/members_only", key=USER).status_code == 200
    assert single.request("GET", "/rest/v1/rpc/members_only", key=ANON).status_code == 401


def test_statements_of_two_roles_have_two_names() -> None:
    """The text under which a statement is prepared names its role, and nothing of a role's name reaches the SQL."""
    assert owned("a", "select 1") != owned("b", "select 1")
    assert "*/ drop" not in owned("*/ drop table x --", "select 1")
    assert PeerSettings.is_role_for_life is False
    assert cleaning("authenticator")[0] == ("reset all", ())


def test_schemas_that_are_not_exposed_stay_hidden(byo: Server) -> None:
    """Neither by profile nor by embedding nor by a dotted name."""
    for schema in ("private", "pg_catalog", "information_schema"):
        answer = byo.request("GET", "/rest/v1/secrets", key=USER, headers={"accept-profile": schema})
        assert (answer.status_code, answer.json()["code"]) == (406, "PGRST106")
    assert byo.request("GET", "/rest/v1/private.secrets", key=USER).status_code == 404
