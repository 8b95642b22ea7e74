"""Threats B9-B19, B22: signing in with identity providers, against a certified provider and against ones that lie.

Each refusal has a twin without the control, on which the same attack signs in.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.accounts import sign_up
from tests.support.openid import APP, CLIENT_ID, OTHER_APP, Browser, OpenIdServer, openid_server, pkce
from tests.support.parallel import PARALLEL, at_once, statuses
from tests.support.server import Server

HOOK = """
create schema if not exists hooks;
create or replace function hooks.refuses(event jsonb) returns jsonb language sql as $$
  select jsonb_build_object('decision', 'reject', 'message', 'Not here.') where event #>> '{user,email}' like 'refused%' $$;
grant usage on schema hooks to service_role; grant execute on function hooks.refuses(jsonb) to service_role
"""


@pytest.fixture(scope="module")
def world() -> Iterator[OpenIdServer]:
    """A server that asks for confirmed addresses, a certified provider and two that lie."""
    env = {"FLUXBASE_AUTH_REQUIRE_EMAIL_VERIFICATION": "true", "FLUXBASE_HOOKS_BEFORE_SIGN_UP": "sql:hooks.refuses"}
    with openid_server(**env) as running:
        running.server.sql(HOOK)
        yield running


def address() -> str:
    """One nobody has."""
    return f"{uuid.uuid4().hex}@op.test"


def has_session(answer: httpx.Response) -> bool:
    """Whether an answer signs somebody in."""
    return answer.status_code == 200 and "access_token" in answer.json()


def account(server: Server, email: str, *, is_confirmed: bool) -> str:
    """An account as sign-up leaves it, its address confirmed by mail or not; its id."""
    rows = server.sql(
        "with made as (insert into auth.users (tenant_id, email, email_confirmed_at) select id, %s, case when %s then now() end "
        "from platform.tenants where slug = 'default' returning tenant_id, id, email, email_confirmed_at) "
        "insert into auth.identities (tenant_id, user_id, provider, issuer, subject, identity_data) select tenant_id, id, 'email', 'email', "
        "id::text, jsonb_build_object('email', email, 'email_verified', email_confirmed_at is not null) from made returning user_id::text",
        email, is_confirmed,
    )  # fmt: skip
    return str(rows[0][0])


# -- the way through ----------------------------------------------------------------------------------------------------


def test_a_browser_signs_in_with_a_certified_provider(world: OpenIdServer) -> None:
    """Login and consent end in a session whose user has the provider's verified address; the second time it is the same user."""
    first = Browser(world.server).sign_in("peer", "ada|ada@op.test|yes|Ada")
    assert first.status_code == 200, first.text
    session = first.json()
    assert (session["user"]["email"], session["user"]["app_metadata"]["provider"]) == ("ada@op.test", "peer")
    assert session["user"]["user_metadata"]["full_name"] == "Ada"
    assert world.server.get("/auth/v1/user", key=session["access_token"]).json()["id"] == session["user"]["id"]
    again = Browser(world.server).sign_in("peer", "ada|ada@op.test|yes|Ada").json()
    assert again["user"]["id"] == session["user"]["id"]


def test_no_token_is_ever_in_an_address(world: OpenIdServer) -> None:
    """Threat B17: no address the browser was sent to, and no log line, has a token of ours or of the provider."""
    browser = Browser(world.server)
    session = browser.sign_in("peer", f"grace|{address()}|yes").json()
    secrets = [session["access_token"], session["refresh_token"], session["provider_token"]]
    assert [url for url in browser.seen if any(secret in url for secret in secrets)] == []
    assert "eyJ" not in "".join(browser.seen)
    codes = [url.split("code=")[1].split("&")[0] for url in browser.seen if "code=" in url]
    assert len(codes) == 2
    assert [code for code in [*secrets, *codes] if code in world.server.log] == []


def test_each_sign_in_has_its_own_pkce_challenge(world: OpenIdServer) -> None:
    """S256 towards the provider, never the same twice."""
    world.liar.tell()
    for _ in range(2):
        Browser(world.server).sign_in("liar")
    last = world.liar.seen_challenges[-2:]
    assert [each[:4] for each in last] == ["S256", "S256"]
    assert last[0] != last[1]


# -- hostile answers ----------------------------------------------------------------------------------------------------

LIES: dict[str, tuple[str | None, dict[str, Any]]] = {
    "issuer": ("oauth:issuer", {"iss": "https://accounts.google.com"}),
    "no-issuer": (None, {"iss": None}),
    "issuer-slash": ("oauth:issuer", {"iss": "http://127.0.0.1/"}),
    "audience": ("oauth:audience", {"aud": "another-client"}),
    "audiences": ("oauth:audience", {"aud": [CLIENT_ID, "another-client"]}),
    "audiences-azp": ("oauth:audience", {"aud": [CLIENT_ID, "another-client"], "azp": "another-client"}),
    "nonce": ("oauth:nonce", {"nonce": "from another flow"}),
    "no-nonce": ("oauth:nonce", {"nonce": None}),
    "unknown-key": ("oauth:signature", {"header": {"kid": "other"}}),
    "no-key-id": (None, {"header": {"kid": "../../etc/passwd"}}),
    "public-key-as-secret": ("oauth:signature", {"symmetric": True}),
    "expired": ("oauth:times", {"exp": 1_700_000_000}),
    "from-the-future": ("oauth:times", {"iat": 4_000_000_000, "exp": 4_100_000_000}),
    "never-expires": ("oauth:times", {"exp": None}),
    "not-yet": ("oauth:times", {"nbf": 4_000_000_000}),
    "no-subject": (None, {"sub": None}),
    "subject-number": (None, {"sub": 7}),
    "access-token": ("oauth:access-token", {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}),
    "answer-issuer": ("oauth:answer-issuer", {"answer_issuer": "https://accounts.google.com"}),
    "no-answer-issuer": ("oauth:answer-issuer", {"answer_issuer": None}),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_provider_signs_nobody_in(world: OpenIdServer, lie: str) -> None:
    """Threat B12: everything right except one thing is refused, and the page gets an error without a value of the token."""
    world.liar.tell(**LIES[lie][1])
    answer = Browser(world.server).sign_in("liar")
    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "error_code", "error_description"}
    assert "accounts.google.com" not in answer.text


@pytest.mark.twin(*{control for control, _ in LIES.values() if control})
@pytest.mark.parametrize("lie", [name for name, (control, _) in LIES.items() if control])
def test_without_the_check_the_same_lie_signs_in(world: OpenIdServer, lie: str) -> None:
    """Twin: without that one check the same token makes a session."""
    control, told = LIES[lie]
    world.liar.tell(**{**told, "sub": uuid.uuid4().hex})
    assert has_session(Browser(world.server, without=control or "").sign_in("liar"))


def test_a_token_signed_by_another_provider_is_refused(world: OpenIdServer) -> None:
    """A key under the right id that is not the issuer's own."""
    world.liar.tell(signing_key=world.second.key)
    assert Browser(world.server).sign_in("liar").status_code == 400
    world.liar.tell()
    assert has_session(Browser(world.server).sign_in("liar"))


def test_two_providers_with_one_subject_are_two_people(world: OpenIdServer) -> None:
    """The key is (issuer, subject): the second provider's 'somebody' is not the first's, whatever address it shows."""
    shown = address()
    world.liar.tell(sub="same", email=shown, email_verified=False)
    world.second.tell(sub="same", email=shown, email_verified=False)
    one, two = (Browser(world.server).sign_in(name).json()["user"]["id"] for name in ("liar", "second"))
    assert one != two


def test_a_changed_address_changes_nothing(world: OpenIdServer) -> None:
    """nOAuth (threat B13): an attacker who writes the victim's address into his profile keeps his own account."""
    victim, subject = address(), uuid.uuid4().hex
    victims = account(world.server, victim, is_confirmed=True)
    world.liar.tell(sub=subject, email=address(), email_verified=True)
    attackers = Browser(world.server).sign_in("liar").json()["user"]["id"]
    world.liar.tell(sub=subject, email=victim, email_verified=True)
    assert Browser(world.server).sign_in("liar").json()["user"]["id"] == attackers != victims


# -- joining accounts by address ----------------------------------------------------------------------------------------

WORDS: list[Any] = [True, False, None, "true", 1, "True", ["true"]]


@pytest.mark.parametrize("provider", ["liar", "second"])
@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("is_confirmed", [True, False])
def test_accounts_are_joined_only_verified_to_verified(world: OpenIdServer, provider: str, word: Any, is_confirmed: bool) -> None:
    """Threats B9-B11: of the whole matrix one cell joins; nothing else reads or takes the account."""
    email = address()
    user = account(world.server, email, is_confirmed=is_confirmed)
    getattr(world, provider).tell(sub=uuid.uuid4().hex, email=email, email_verified=word)
    answer = Browser(world.server).sign_in(provider)
    if word is True and is_confirmed:
        assert answer.json()["user"]["id"] == user
    elif word is True:
        assert (answer.status_code, answer.json()["error_code"]) == (422, "email_exists")
    else:
        assert answer.json()["user"]["id"] != user
        assert answer.json()["user"]["email"] == ""
    assert len(world.server.sql("select 1 from auth.identities where user_id = %s and provider <> 'email'", user)) == int(
        word is True and is_confirmed
    )


@pytest.mark.twin("oauth:linking", "oauth:verified")
@pytest.mark.parametrize(("control", "word", "is_confirmed"), [("oauth:linking", True, False), ("oauth:verified", "true", True)])
def test_without_the_rule_an_account_is_taken(world: OpenIdServer, control: str, word: Any, is_confirmed: bool) -> None:
    """Twin: without the rule, or where the text "true" counts, the attacker is in the victim's account."""
    email = address()
    user = account(world.server, email, is_confirmed=is_confirmed)
    world.liar.tell(sub=uuid.uuid4().hex, email=email, email_verified=word)
    assert Browser(world.server, without=control).sign_in("liar").json()["user"]["id"] == user


@pytest.mark.twin("oauth:subject")
def test_userinfo_of_somebody_else_is_not_believed(world: OpenIdServer) -> None:
    """Threat B14: the userinfo answer counts only for the token's own subject."""
    email, subject = address(), uuid.uuid4().hex
    user = account(world.server, email, is_confirmed=True)
    world.liar.tell(sub=subject)
    world.liar.userinfo = {"sub": "somebody else", "email": email, "email_verified": True}
    assert Browser(world.server).sign_in("liar").json()["user"]["id"] != user
    world.liar.tell(sub=uuid.uuid4().hex)
    assert Browser(world.server, without="oauth:subject").sign_in("liar").json()["user"]["id"] == user
    world.liar.userinfo = {}


# -- whose flow it is ---------------------------------------------------------------------------------------------------


def provider_answer(world: OpenIdServer, browser: Browser) -> tuple[str, str]:
    """Our callback's address as the provider would send ``browser`` there, not yet followed, and the app's verifier."""
    verifier, challenge = pkce()
    world.liar.tell(sub=uuid.uuid4().hex)
    departed = browser.client.get(browser.authorize_url("liar", challenge))
    answered = browser.client.get(departed.headers["location"])
    return answered.headers["location"], verifier


@pytest.mark.twin("oauth:browser")
def test_an_answer_counts_only_in_the_browser_that_began(world: OpenIdServer) -> None:
    """Login CSRF (threat B19): the callback's address in another browser is 400 and leaves the flow to its owner."""
    first, second = Browser(world.server), Browser(world.server)
    url, verifier = provider_answer(world, first)
    stolen = second.client.get(url)
    assert (stolen.status_code, stolen.json()["error_code"]) == (400, "bad_oauth_state")
    forged = Browser(world.server)
    forged.client.cookies.set("fluxbase-flow", "A" * 43)
    assert forged.client.get(url).status_code == 400
    page = first.visit(url)
    assert has_session(first.exchange(page, verifier))
    url, verifier = provider_answer(world, first)
    weak = Browser(world.server, without="oauth:browser")
    assert has_session(weak.exchange(weak.visit(url), verifier))


@pytest.mark.twin("oauth:state-once")
def test_a_state_is_good_once(world: OpenIdServer) -> None:
    """The callback's address again in the same browser is 400; twin: it asks the provider again."""
    browser = Browser(world.server)
    url, _ = provider_answer(world, browser)
    browser.visit(url)
    assert browser.client.get(url).json()["error_code"] == "bad_oauth_state"
    weak = Browser(world.server, without="oauth:state-once")
    url, _ = provider_answer(world, weak)
    weak.visit(url)
    assert weak.client.get(url).is_redirect


def test_two_hundred_parallel_answers_with_one_state(world: OpenIdServer) -> None:
    """The callback's address two hundred times at once in the browser that began: one goes on to the provider's token (threat B22)."""
    browser = Browser(world.server)
    url, _ = provider_answer(world, browser)
    cookie = "; ".join(f"{each.name}={each.value}" for each in browser.client.cookies.jar)
    found = at_once(world.server, "GET", url, headers={"cookie": cookie}, follow_redirects=False)
    on_their_way = [answer for answer in found if "code=" in answer.headers.get("location", "")]
    assert (len(found), len(on_their_way)) == (PARALLEL, 1)
    assert {answer.status_code for answer in found if answer not in on_their_way} == {400}


@pytest.mark.parametrize("state", ["", "x", "fb_os_" + "A" * 64, "é" * 70, "fb_oc_" + "0" * 64])
def test_a_made_up_state_is_refused(world: OpenIdServer, state: str) -> None:
    """No state, a malformed one, one of another kind: 400 and no redirect."""
    answer = Browser(world.server).client.get(f"{world.server.url}/auth/v1/callback", params={"state": state, "code": "x"})
    assert answer.status_code == 400
    assert not answer.is_redirect


@pytest.mark.twin("oauth:bound")
def test_a_code_needs_its_verifier(world: OpenIdServer) -> None:
    """RFC 7636: the code without the app's verifier is worth nothing, and is used up by the attempt."""
    browser = Browser(world.server)
    url, verifier = provider_answer(world, browser)
    code = str(browser.visit(url).params["code"])
    assert browser.token(code, pkce()[0]).json()["error_code"] == "bad_code_verifier"
    assert browser.token(code, verifier).json()["error_code"] == "flow_state_not_found"
    weak = Browser(world.server, without="oauth:bound")
    url, _ = provider_answer(world, weak)
    assert has_session(weak.token(str(weak.visit(url).params["code"]), pkce()[0]))


@pytest.mark.twin("oauth:code-once")
def test_two_hundred_redemptions_give_one_session(world: OpenIdServer) -> None:
    """Threat B22: of two hundred parallel redemptions of one code one succeeds; twin: several."""

    def successes(without: str, tries: int) -> int:
        browser = Browser(world.server, without=without)
        url, verifier = provider_answer(world, browser)
        body = {"auth_code": str(browser.visit(url).params["code"]), "code_verifier": verifier}
        headers = {"x-twin-without": without} if without else {}

        async def all_at_once() -> list[httpx.Response]:
            async with httpx.AsyncClient(trust_env=False, verify=False, timeout=60, limits=httpx.Limits(max_connections=50)) as client:
                target = f"{world.server.url}/auth/v1/token?grant_type=pkce"
                return await asyncio.gather(*(client.post(target, json=body, headers=headers) for _ in range(tries)))

        return sum(has_session(answer) for answer in asyncio.run(all_at_once()))

    assert successes("", 200) == 1
    assert successes("oauth:code-once", 5) > 1


# -- where one returns to -----------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        "/",
        "//",
        "\\",
        "..",
        ".",
        "%2e",
        "%2f",
        "%00",
        "?",
        "?x=1",
        "#",
        "#x",
        "@",
        "@evil.test",
        ".evil.test",
        ":80",
        " ",
        "\t",
        "%0a",
        "é",
        "/app",
        "evil.test",
    ]
)
VARIANTS = st.one_of(
    st.tuples(st.integers(0, len(APP)), PIECES).map(lambda pair: APP[: pair[0]] + pair[1] + APP[pair[0] :]),
    st.integers(0, len(APP) - 1).map(lambda at: APP[:at] + APP[at + 1 :]),
    st.integers(0, len(APP) - 1).map(lambda at: APP[:at] + APP[at].swapcase() + APP[at + 1 :]),
    st.lists(PIECES, min_size=1, max_size=6).map("".join),
    st.sampled_from(
        [
            "https:" + APP[5:],
            "javascript:alert(1)//" + APP,
            "data:text/html," + APP,
            APP.replace("127.0.0.1", "localhost"),
            OTHER_APP.upper(),
        ]
    ),
).filter(lambda url: url not in (APP, OTHER_APP))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(url=VARIANTS)
def test_only_the_configured_address_is_returned_to(world: OpenIdServer, url: str) -> None:
    """Threat B18: no variant of a configured address passes, in either dialect."""
    _, challenge = pkce()
    values = {"provider": "liar", "redirect_to": url, "code_challenge": challenge, "code_challenge_method": "s256"}
    with httpx.Client(base_url=world.server.url, trust_env=False, verify=False) as client:
        answer = client.get("/auth/v1/authorize", params=values)
        assert answer.status_code == 400
        assert not answer.is_redirect
        assert client.get("/api/v1/auth/oauth/liar/authorize", params=values).status_code == 400


@pytest.mark.twin("oauth:redirect")
def test_without_the_rule_the_code_goes_to_the_attacker(world: OpenIdServer) -> None:
    """Twin: any address gets the code."""
    _, challenge = pkce()
    world.liar.tell()
    browser = Browser(world.server, without="oauth:redirect")
    evil = "https://evil.test/"
    assert "code=" in str(browser.visit(browser.authorize_url("liar", challenge, redirect_to=evil), until=evil))


def test_sign_in_without_pkce_is_refused(world: OpenIdServer) -> None:
    """No challenge, a plain one, a malformed one: 400 with what to do."""
    base = f"{world.server.url}/auth/v1/authorize?provider=liar&redirect_to={APP}"
    _, challenge = pkce()
    for more in (
        "",
        f"&code_challenge={challenge}&code_challenge_method=plain",
        "&code_challenge=short&code_challenge_method=s256",
        f"&code_challenge={challenge}",
    ):
        assert httpx.get(base + more, trust_env=False, verify=False).json()["error_code"] == "validation_failed"


# -- ID tokens of apps --------------------------------------------------------------------------------------------------


def id_token_sign_in(world: OpenIdServer, token: str, *, without: str = "", **more: str) -> httpx.Response:
    """POST /token?grant_type=id_token."""
    body = {"provider": "liar", "id_token": token, **more}
    headers = {"x-twin-without": without} if without else {}
    return world.server.post("/auth/v1/token?grant_type=id_token", key=None, json=body, headers=headers)


@pytest.mark.twin("oauth:token-once")
def test_an_id_token_signs_in_once_with_its_nonce(world: OpenIdServer) -> None:
    """The right nonce signs in, in plain or hashed; a wrong one, none, or the same token again does not; twin: again and again."""
    world.liar.tell(sub=uuid.uuid4().hex)
    token = world.liar.id_token("n-1")
    for wrong in ({}, {"nonce": "n-2"}):
        assert id_token_sign_in(world, token, **wrong).json()["error_code"] == "bad_id_token"
    assert has_session(id_token_sign_in(world, token, nonce="n-1"))
    assert id_token_sign_in(world, token, nonce="n-1").json()["error_code"] == "bad_id_token"
    assert has_session(id_token_sign_in(world, token, nonce="n-1", without="oauth:token-once"))
    hashed = world.liar.id_token(hashlib.sha256(b"n-3").hexdigest())
    assert has_session(id_token_sign_in(world, hashed, nonce="n-3"))


def test_two_hundred_parallel_sign_ins_with_one_id_token(world: OpenIdServer) -> None:
    """One session (threat B22)."""
    world.liar.tell(sub=uuid.uuid4().hex)
    body = {"provider": "liar", "id_token": world.liar.id_token("n-1"), "nonce": "n-1"}
    found = statuses(at_once(world.server, "POST", "/auth/v1/token?grant_type=id_token", json=body))
    assert (len(found), found.count(200)) == (PARALLEL, 1)
    assert set(found) == {200, 400}


@pytest.mark.parametrize(
    "lie", ["issuer", "no-issuer", "audience", "audiences", "unknown-key", "public-key-as-secret", "expired", "never-expires", "no-subject"]
)
def test_a_bad_id_token_is_refused(world: OpenIdServer, lie: str) -> None:
    """The same lies in a token that an app hands in, natively and as GoTrue."""
    world.liar.tell(**LIES[lie][1])
    token = world.liar.id_token("n-1")
    assert id_token_sign_in(world, token, nonce="n-1").status_code == 400
    native = world.server.post("/api/v1/auth/signin/idtoken", key=None, json={"provider": "liar", "token": token, "nonce": "n-1"})
    assert native.status_code == 400


def test_a_token_of_one_provider_is_nothing_at_another(world: OpenIdServer) -> None:
    """The second provider's token under the first's name, and under no provider's issuer, is refused."""
    world.second.tell()
    token = world.second.id_token("n-1")
    assert id_token_sign_in(world, token, nonce="n-1").status_code == 400
    stranger = {"provider": "", "issuer": "https://evil.test", "client_id": CLIENT_ID}
    assert id_token_sign_in(world, token, nonce="n-1", **stranger).json()["error_code"] == "provider_disabled"


# -- linking and unlinking ----------------------------------------------------------------------------------------------


def signed_in(world: OpenIdServer, provider: str = "liar") -> dict[str, Any]:
    """A session of somebody new."""
    getattr(world, provider).tell(sub=uuid.uuid4().hex, email=address(), email_verified=True)
    return Browser(world.server).sign_in(provider).json()


def link_url(world: OpenIdServer, session: dict[str, Any], provider: str, challenge: str) -> httpx.Response:
    """What supabase-js asks for."""
    path = f"/auth/v1/user/identities/authorize?provider={provider}&redirect_to={APP}&code_challenge={challenge}&code_challenge_method=s256"
    return world.server.get(path + "&skip_http_redirect=true", key=session["access_token"])


def test_a_user_links_and_unlinks_another_provider(world: OpenIdServer) -> None:
    """Explicitly: two identities, either signs in, and unlinking leaves the other."""
    session = signed_in(world)
    verifier, challenge = pkce()
    subject = uuid.uuid4().hex
    world.second.tell(sub=subject)
    browser = Browser(world.server)
    linked = browser.exchange(browser.visit(link_url(world, session, "second", challenge).json()["url"]), verifier)
    assert linked.json()["user"]["id"] == session["user"]["id"]
    assert sorted(each["provider"] for each in linked.json()["user"]["identities"]) == ["liar", "second"]
    assert Browser(world.server).sign_in("second").json()["user"]["id"] == session["user"]["id"]
    extra = next(each for each in linked.json()["user"]["identities"] if each["provider"] == "second")
    assert (
        world.server.request("DELETE", f"/auth/v1/user/identities/{extra['identity_id']}", key=session["access_token"]).status_code == 200
    )
    assert Browser(world.server).sign_in("second").json()["user"]["id"] != session["user"]["id"]


def test_a_link_goes_to_who_began_it(world: OpenIdServer) -> None:
    """An attacker's start link followed by the victim links nothing: the attacker's verifier never meets the victim's code."""
    attacker = signed_in(world)
    _, challenge = pkce()
    world.second.tell(sub=uuid.uuid4().hex)
    victim = Browser(world.server)
    page = victim.visit(link_url(world, attacker, "second", challenge).json()["url"])
    assert victim.exchange(page, pkce()[0]).json()["error_code"] == "bad_code_verifier"
    rows = world.server.sql("select 1 from auth.identities where user_id = %s", attacker["user"]["id"])
    assert len(rows) == 1


def test_an_identity_of_another_user_is_not_linked(world: OpenIdServer) -> None:
    """422, and it stays where it was."""
    world.second.tell(sub=uuid.uuid4().hex)
    owner = Browser(world.server).sign_in("second").json()
    told = dict(world.second.claims)
    other = signed_in(world)
    world.second.tell(**told)
    verifier, challenge = pkce()
    browser = Browser(world.server)
    refused = browser.exchange(browser.visit(link_url(world, other, "second", challenge).json()["url"]), verifier)
    assert (refused.status_code, refused.json()["error_code"]) == (422, "identity_already_exists")
    assert Browser(world.server).sign_in("second").json()["user"]["id"] == owner["user"]["id"]


def test_linking_needs_a_fresh_sign_in(world: OpenIdServer) -> None:
    """A session whose sign-in is an hour old is told to reauthenticate, for linking and for unlinking."""
    session = signed_in(world)
    world.server.root_sql(
        f"update auth.sessions set authenticated_at = now() - interval '1 hour' where user_id = '{session['user']['id']}'"
    )
    assert link_url(world, session, "second", pkce()[1]).json()["error_code"] == "reauthentication_needed"
    mine = session["user"]["identities"][0]["identity_id"]
    answer = world.server.request("DELETE", f"/auth/v1/user/identities/{mine}", key=session["access_token"])
    assert answer.json()["error_code"] == "reauthentication_needed"


@pytest.mark.twin("oauth:last-way-in")
def test_the_last_way_in_stays(world: OpenIdServer) -> None:
    """Without password and address the only identity cannot be unlinked; twin: it can, and nobody gets in again."""
    world.liar.tell(sub=uuid.uuid4().hex)
    session = Browser(world.server).sign_in("liar").json()
    path = f"/auth/v1/user/identities/{session['user']['identities'][0]['identity_id']}"
    refused = world.server.request("DELETE", path, key=session["access_token"])
    assert (refused.status_code, refused.json()["error_code"]) == (422, "single_identity_not_deletable")
    assert (
        world.server.request("DELETE", path, key=session["access_token"], headers={"x-twin-without": "oauth:last-way-in"}).status_code
        == 200
    )


def test_anothers_identity_cannot_be_unlinked(world: OpenIdServer) -> None:
    """Threat B30: another user's identity and one that is not there are the same answer."""
    one, two = signed_in(world), signed_in(world)
    for identity in (one["user"]["identities"][0]["identity_id"], str(uuid.uuid4()), "x"):
        for path in ("/auth/v1", "/api/v1/auth"):
            answer = world.server.request("DELETE", f"{path}/user/identities/{identity}", key=two["access_token"])
            assert answer.status_code == (422 if path == "/auth/v1" else 404)


# -- provider tokens, the native dialect, and our own requests ----------------------------------------------------------


def test_provider_tokens_are_sealed_for_their_row(world: OpenIdServer) -> None:
    """In the database stands no token, and a row copied to another user's identity does not open there."""
    one, two = signed_in(world), signed_in(world)
    stored = world.server.root_sql("select string_agg(encode(tokens_sealed, 'escape'), '') from auth.provider_tokens")[0][0]
    assert "lying-access-token" not in stored
    path = "/api/v1/auth/oauth/liar/token"
    assert world.server.get(path, key=one["access_token"]).json()["access_token"] == "lying-access-token"
    world.server.root_sql(
        f"update auth.provider_tokens t set tokens_sealed = (select tokens_sealed from auth.provider_tokens where user_id = '{one['user']['id']}') "
        f"where user_id = '{two['user']['id']}'"
    )
    answer = world.server.get(path, key=two["access_token"])
    assert answer.status_code == 500
    assert "lying" not in answer.text


def test_the_native_sdk_signs_in(world: OpenIdServer) -> None:
    """authorize by fetch, navigation, and callback by fetch from the app's page: session and is_new_user."""
    world.liar.tell(sub=uuid.uuid4().hex, email=address(), email_verified=True)
    browser = Browser(world.server)
    started = browser.client.get(
        f"{world.server.url}/api/v1/auth/oauth/liar/authorize", params={"redirect_uri": APP, "scopes": "calendar,mail"}
    ).json()
    assert started["provider"] == "liar"
    page = browser.visit(started["url"])
    assert "scope=openid+email+profile+calendar+mail" in browser.seen[0]
    values = {"code": page.params["code"], "state": page.params["state"], "redirect_uri": APP}
    answer = browser.client.get(f"{world.server.url}/api/v1/auth/oauth/liar/callback", params=values)
    assert answer.json()["is_new_user"] is True
    assert browser.client.get(f"{world.server.url}/api/v1/auth/oauth/liar/callback", params=values).status_code == 400
    mine = world.server.get("/api/v1/auth/user/identities", key=answer.json()["access_token"]).json()["identities"]
    assert [each["provider"] for each in mine] == ["liar"]


def test_without_a_verifier_a_code_is_bound_to_the_device(world: OpenIdServer) -> None:
    """The native SDK has no verifier: its code works from the browser that came back alone."""
    world.liar.tell(sub=uuid.uuid4().hex)
    browser = Browser(world.server)
    url = browser.client.get(f"{world.server.url}/api/v1/auth/oauth/liar/authorize", params={"redirect_uri": APP}).json()["url"]
    page = browser.visit(url)
    other = Browser(world.server, agent="Browser 2")
    values = {"code": page.params["code"], "state": page.params["state"]}
    assert other.client.get(f"{world.server.url}/api/v1/auth/oauth/liar/callback", params=values).status_code == 400


def test_a_start_link_works_once(world: OpenIdServer) -> None:
    """The second browser that follows it is told to begin again."""
    url = httpx.get(
        f"{world.server.url}/api/v1/auth/oauth/liar/authorize", params={"redirect_uri": APP}, trust_env=False, verify=False
    ).json()["url"]
    assert httpx.get(url, trust_env=False, verify=False).is_redirect
    assert httpx.get(url, trust_env=False, verify=False).json()["error_code"] == "bad_oauth_state"


def test_providers_are_listed(world: OpenIdServer) -> None:
    """Both dialects name what is configured and nothing else."""
    listed = world.server.get("/api/v1/auth/oauth/providers", key=None).json()["providers"]
    assert [each["id"] for each in listed] == ["peer", "liar", "second"]
    assert world.server.get("/auth/v1/settings", key=None).json()["external"]["peer"] is True
    assert httpx.get(f"{world.server.url}/auth/v1/authorize?provider=google", trust_env=False, verify=False).status_code == 400


def test_a_refused_consent_comes_back_as_an_error(world: OpenIdServer) -> None:
    """The provider's error reaches the app's page; a text of its own does not."""
    browser = Browser(world.server)
    departed = browser.client.get(browser.authorize_url("liar", pkce()[1]))
    state = httpx.URL(departed.headers["location"]).params["state"]
    values = {"state": state, "error": "access_denied", "error_description": "<script>", "iss": world.liar.issuer}
    answer = browser.client.get(f"{world.server.url}/auth/v1/callback", params=values)
    assert answer.headers["location"].startswith(APP + "?error=access_denied&error_code=provider_refused")
    assert "%3C" not in answer.headers["location"]


@pytest.mark.twin("oauth:proven")
def test_an_auto_confirmed_account_is_not_joined() -> None:
    """Where sign-up takes any address at its word, an attacker who took the victim's gets nothing of the victim's sign-in (the twin that
    counts a confirmed address as proven gives it to him); nor does he when he changes his own address to the victim's."""
    with openid_server() as world:
        for is_taken_later in (False, True):
            victim = address()
            attacker = sign_up(world.server, address() if is_taken_later else victim)
            assert attacker.user().json()["email_verified"] is False
            if is_taken_later:
                changed = world.server.request("PATCH", "/api/v1/auth/user", key=attacker.access, json={"email": victim})
                assert changed.json()["email"] == victim
            assert world.server.sql("select 1 from auth.users where id = %s and email_confirmed_at is not null", attacker.id) == [(1,)]
            world.liar.tell(sub=uuid.uuid4().hex, email=victim, email_verified=True)
            answer = Browser(world.server).sign_in("liar")
            assert (answer.status_code, answer.json()["error_code"]) == (422, "email_exists")
            assert world.server.sql("select provider from auth.identities where user_id = %s", attacker.id) == [("email",)]
            assert Browser(world.server, without="oauth:proven").sign_in("liar").json()["user"]["id"] == attacker.id


def test_an_account_from_before_confirmation_was_asked_is_not_joined(world: OpenIdServer) -> None:
    """Switching auth.require_email_verification on makes no proof of what was taken at its word before: such an account is not joined."""
    victim = address()
    user = account(world.server, victim, is_confirmed=False)
    world.server.sql("update auth.users set email_confirmed_at = now() where id = %s", user)
    world.liar.tell(sub=uuid.uuid4().hex, email=victim, email_verified=True)
    assert Browser(world.server).sign_in("liar").status_code == 422


def test_what_an_administrator_vouches_for_is_joined(world: OpenIdServer) -> None:
    """An account made with email_confirm is proven by his word, one made without is not; another address is vouched for anew."""
    for is_vouched, status in ((True, 200), (False, 422)):
        email = address()
        made = world.server.post("/auth/v1/admin/users", key="service", json={"email": email, "email_confirm": is_vouched}).json()
        world.liar.tell(sub=uuid.uuid4().hex, email=email, email_verified=True)
        answer = Browser(world.server).sign_in("liar")
        assert answer.status_code == status
        if is_vouched:
            assert answer.json()["user"]["id"] == made["id"]
    email = address()
    made = world.server.post("/auth/v1/admin/users", key="service", json={"email": address(), "email_confirm": True}).json()
    world.server.request("PUT", f"/auth/v1/admin/users/{made['id']}", key="service", json={"email": email})
    world.liar.tell(sub=uuid.uuid4().hex, email=email, email_verified=True)
    assert Browser(world.server).sign_in("liar").status_code == 422


def test_the_hook_before_sign_up_is_asked_about_providers_too(world: OpenIdServer) -> None:
    """Whom it refuses has no account through a provider either, and no identity waits for him."""
    subject = uuid.uuid4().hex
    world.liar.tell(sub=subject, email=f"refused-{subject}@op.test", email_verified=True)
    answer = Browser(world.server).sign_in("liar")
    assert (answer.status_code, answer.json()["error_code"]) == (403, "hook_rejected")
    assert world.server.sql("select 1 from auth.identities where subject = %s", subject) == []


def test_the_certified_provider_is_linked_refreshed_and_logged_out_of(world: OpenIdServer) -> None:
    """Against the real peer: an explicit link, its token refreshed because it ends soon, revoked there and forgotten here."""
    session = signed_in(world)
    verifier, challenge = pkce()
    browser = Browser(world.server)
    page = browser.visit(link_url(world, session, "peer", challenge).json()["url"], f"linked-{uuid.uuid4().hex}|{address()}|yes")
    linked = browser.exchange(page, verifier).json()
    assert linked["user"]["id"] == session["user"]["id"]
    path = "/api/v1/auth/oauth/peer"
    first = world.server.get(f"{path}/token", key=session["access_token"]).json()
    second = world.server.get(f"{path}/token", key=session["access_token"]).json()
    assert len({linked["provider_token"], first["access_token"], second["access_token"]}) == 3
    done = world.server.post(f"{path}/logout", key=session["access_token"], json={"redirect_url": APP}).json()
    assert (done["local_tokens_revoked"], done["provider_token_revoked"], done["requires_redirect"]) == (True, True, True)
    assert world.server.get(f"{path}/token", key=session["access_token"]).json()["error_code"] == "oauth_token_not_found"
    refused = world.server.post(f"{path}/logout", key=session["access_token"], json={"redirect_url": "https://evil.test"})
    assert refused.json()["code"] == "INVALID_REDIRECT_URL"
