"""Threats B12, B18, B22 by SAML: forged, wrapped, stolen, replayed and misdirected answers; single logout that is not signed.

The identity provider signs with xmlsec itself (tests/support/saml_idp.py), so that every answer differs from a good one in one thing.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.support.openid import APP, Browser, pkce
from tests.support.parallel import PARALLEL, at_once
from tests.support.saml_idp import SHA1, IdentityProvider, Request, key_pair, request_of
from tests.support.server import Server, start_server

ACS = "/auth/v1/saml/acs"


@dataclass
class World:
    """A server and its identity provider."""

    server: Server
    idp: IdentityProvider


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A server with one identity provider, and another one's key that it does not know."""
    idp = IdentityProvider()
    env = {
        "FLUXBASE_SAML_IDP": json.dumps({"corp": idp.settings(display_name="Corp")}),
        "FLUXBASE_AUTH_REDIRECT_URLS": json.dumps([APP]), "FLUXBASE_AUTH_REQUIRE_EMAIL_VERIFICATION": "true",
    }  # fmt: skip
    server = start_server(is_twin=True, env=env)
    yield World(server, idp)
    server.stop()


class Visit:
    """One browser on its way: it has been sent to the identity provider."""

    def __init__(self, world: World, *, without: str = "") -> None:
        self.world = world
        self.browser = Browser(world.server, without=without)
        self.verifier, challenge = pkce()
        body = {
            "domain": "corp.test", "redirect_to": APP, "skip_http_redirect": True, "code_challenge": challenge, "code_challenge_method": "s256",
        }  # fmt: skip
        url = self.browser.client.post(f"{world.server.url}/auth/v1/sso", json=body).json()["url"]
        departed = self.browser.client.get(url)
        self.request = request_of(departed.headers["location"])
        secret = self.browser.client.cookies["fluxbase-flow-post"]
        self.browser.client.cookies.set("fluxbase-flow-post", secret)

    def answer(self, encoded: str, relay_state: str | None = None, browser: Browser | None = None) -> httpx.Response:
        """The identity provider's form, posted by the browser."""
        form = {"SAMLResponse": encoded, "RelayState": self.request.relay_state if relay_state is None else relay_state}
        return (browser or self.browser).client.post(self.world.server.url + ACS, data=form)

    def session(self, encoded: str) -> httpx.Response:
        """Answer, then trade the code; an error of either as a 400."""
        answered = self.answer(encoded)
        if answered.status_code != 303:
            return answered
        return self.browser.exchange(httpx.URL(answered.headers["location"]), self.verifier)


def good(world: World, request: Request, **told: Any) -> str:
    """An answer with one signed assertion."""
    return world.idp.response(request, world.idp.sign(world.idp.assertion(request, **told)))


def has_session(answer: httpx.Response) -> bool:
    """Whether somebody is signed in."""
    return answer.status_code == 200 and "access_token" in answer.json()


def test_a_browser_signs_in_with_saml(world: World) -> None:
    """The second time it is the same user; the address is verified under the provider's domain; the session says sso/saml."""
    subject = uuid.uuid4().hex
    found = []
    for _ in range(2):
        visit = Visit(world)
        answer = visit.session(good(world, visit.request, subject=subject, email=f"{subject}@corp.test"))
        assert answer.status_code == 200, answer.text
        found.append(answer.json()["user"])
    assert found[0]["id"] == found[1]["id"]
    assert (found[0]["email"], found[0]["app_metadata"]["provider"]) == (f"{subject}@corp.test", "sso:corp")
    claims = json.loads(base64.urlsafe_b64decode(answer.json()["access_token"].split(".")[1] + "=="))
    assert claims["amr"][0]["method"] == "sso/saml"


def test_an_address_of_another_domain_is_not_believed(world: World) -> None:
    """A provider vouches for its own domains alone: no account with the address is joined."""
    email = f"{uuid.uuid4().hex}@elsewhere.test"
    rows = world.server.sql(
        "insert into auth.users (tenant_id, email, email_confirmed_at) select id, %s, now() from platform.tenants where slug = 'default' returning id::text",
        email,
    )
    visit = Visit(world)
    answer = visit.session(good(world, visit.request, subject=uuid.uuid4().hex, email=email)).json()
    assert answer["user"]["id"] != rows[0][0]
    assert answer["user"]["email"] == ""


def unsigned(world: World, request: Request) -> str:
    """No signature at all."""
    return world.idp.response(request, world.idp.assertion(request, subject=uuid.uuid4().hex))


def altered(world: World, request: Request) -> str:
    """Another subject after signing."""
    return world.idp.response(request, world.idp.sign(world.idp.assertion(request)).replace(">u-1<", ">u-2<"))


def other_key(world: World, request: Request) -> str:
    """Signed by somebody else, with his certificate inside."""
    return world.idp.response(request, world.idp.sign(world.idp.assertion(request, subject=uuid.uuid4().hex), key=key_pair()))


def sha1(world: World, request: Request) -> str:
    """A signature by SHA-1."""
    return world.idp.response(request, world.idp.sign(world.idp.assertion(request, subject=uuid.uuid4().hex), algorithm=SHA1))


def wrapped_before(world: World, request: Request) -> str:
    """Signature wrapping: a forged assertion before the signed one."""
    return world.idp.response(request, world.idp.assertion(request, subject="admin") + world.idp.sign(world.idp.assertion(request)))


def wrapped_after(world: World, request: Request) -> str:
    """Signature wrapping: a forged assertion after the signed one."""
    return world.idp.response(request, world.idp.sign(world.idp.assertion(request)) + world.idp.assertion(request, subject="admin"))


def wrapped_inside(world: World, request: Request) -> str:
    """Signature wrapping: the signed assertion hidden in the forged one's signature, under the same id."""
    signed = world.idp.sign(world.idp.assertion(request, id="_same"))
    forged = world.idp.assertion(request, id="_same", subject="admin")
    start, end = signed.index("<ds:Signature"), signed.index("</ds:Signature>")
    signature = signed[start:end] + f"<ds:Object>{signed[:start] + signed[end + 15 :]}</ds:Object></ds:Signature>"
    return world.idp.response(request, forged.replace("</saml:Issuer>", "</saml:Issuer>" + signature, 1))


def comment_in_name(world: World, request: Request) -> str:
    """A comment that cuts the name id short, after signing (canonicalisation drops it)."""
    signed = world.idp.sign(world.idp.assertion(request, subject="admin.evil.test"))
    return world.idp.response(request, signed.replace("admin.evil.test", "admin<!-- -->.evil.test"))


def entity(world: World, request: Request) -> str:
    """A document type with an entity."""
    xml = base64.b64decode(good(world, request, subject=uuid.uuid4().hex)).decode()
    return base64.b64encode(f'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>{xml}'.encode()).decode()


def told(**what: Any) -> Callable[[World, Request], str]:
    """A signed assertion that says something else."""
    return lambda world, request: good(world, request, **{"subject": uuid.uuid4().hex, **what})


BAD: dict[str, Callable[[World, Request], str]] = {
    "unsigned": unsigned, "altered": altered, "other-key": other_key, "sha1": sha1, "wrapped-before": wrapped_before,
    "wrapped-after": wrapped_after, "wrapped-inside": wrapped_inside, "entity": entity,
    "issuer": told(issuer="https://evil.test"), "audience": told(audience="https://other-sp.test"), "no-audience": told(audience=""),
    "recipient": told(recipient="https://other-sp.test/acs"), "no-recipient": told(recipient=""),
    "recipient-inside": lambda world, request: good(world, request, recipient=request.acs_url + ".evil.test", subject=uuid.uuid4().hex),
    "expired": told(begins=-4000, ends=-3600), "not-yet": told(begins=3600, ends=7200),
    "in-response-to": told(in_response_to="_another"), "no-in-response-to": told(in_response_to=""),
    "transient": told(format="urn:oasis:names:tc:SAML:2.0:nameid-format:transient"),
    "status": lambda world, request: world.idp.response(request, world.idp.sign(world.idp.assertion(request)), status="Requester"),
    "destination": lambda world, request: world.idp.response(request, world.idp.sign(world.idp.assertion(request)), destination="https://other.test/acs"),
    "not-xml": lambda *_: base64.b64encode(b"hello").decode(), "not-base64": lambda *_: "%%%", "empty": lambda *_: "",
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_answer_signs_nobody_in(world: World, case: str) -> None:
    """One thing wrong: the app's page gets an error that does not say what."""
    visit = Visit(world)
    answer = visit.session(BAD[case](world, visit.request))
    assert answer.status_code == 400
    assert answer.json()["error_code"] in {"saml_assertion_invalid", "validation_failed"}


TWINS = {
    "saml:response": ["unsigned", "altered", "other-key", "issuer", "not-yet"],
    "saml:response,saml:request": ["expired"],
    "saml:request": ["no-audience", "no-recipient", "recipient-inside", "no-in-response-to"],
}


@pytest.mark.twin("saml:response", "saml:request")
@pytest.mark.parametrize(("control", "case"), [(control, case) for control, cases in TWINS.items() for case in cases])
def test_without_the_check_the_same_answer_signs_in(world: World, control: str, case: str) -> None:
    """Twin: the toolkit's check, or what ours adds to it, taken away lets the same answer in."""
    visit = Visit(world, without=control)
    assert has_session(visit.session(BAD[case](world, visit.request)))


def test_a_comment_does_not_shorten_a_name(world: World) -> None:
    """CVE-2017-11427: the whole name id is the subject, whatever comment stands in it."""
    visit = Visit(world)
    answer = visit.session(comment_in_name(world, visit.request))
    if has_session(answer):
        assert answer.json()["user"]["identities"][0]["id"] == "admin.evil.test"


def test_an_assertion_is_good_once(world: World) -> None:
    """The same form again, and the same assertion with a new flow of the same browser, sign nobody in."""
    visit = Visit(world)
    encoded = good(world, visit.request, subject=uuid.uuid4().hex)
    assert has_session(visit.session(encoded))
    assert visit.answer(encoded).json()["error_code"] == "bad_oauth_state"
    assert Visit(world).session(encoded).status_code == 400


def test_two_hundred_parallel_posts_of_one_assertion(world: World) -> None:
    """One of them signs in (threat B22); where only the assertion's own id counts, one too."""
    for without in ("", "saml:request,saml:response,oauth:state-once"):
        visit = Visit(world, without=without)
        cookie = "; ".join(f"{each.name}={each.value}" for each in visit.browser.client.cookies.jar)
        form = {"SAMLResponse": good(world, visit.request, subject=uuid.uuid4().hex), "RelayState": visit.request.relay_state}
        headers = {"cookie": cookie, "x-twin-without": without}
        found = at_once(world.server, "POST", ACS, headers=headers, data=form, follow_redirects=False)
        signed_in = [answer for answer in found if "code" in httpx.URL(answer.headers.get("location", "")).params]
        assert (len(found), len(signed_in)) == (PARALLEL, 1), (without, found[0].headers, found[0].text)


def test_an_assertion_replayed_past_the_other_checks_is_refused(world: World) -> None:
    """Where the answer's request is not looked at (twin of saml:request and saml:response) its id still counts once; without that too, it works again."""
    first, both = Visit(world, without="saml:request,saml:response"), "saml:request,saml:response"
    encoded = good(world, first.request, subject=uuid.uuid4().hex)
    assert has_session(first.session(encoded))
    assert Visit(world, without=both).session(encoded).status_code == 400
    assert has_session(Visit(world, without=both + ",oauth:token-once").session(encoded))


def test_an_answer_counts_only_in_the_browser_that_began(world: World) -> None:
    """Login CSRF: the attacker's answer posted by the victim's browser is 400, and so is one nobody asked for."""
    visit, victim = Visit(world), Visit(world)
    encoded = good(world, visit.request, subject=uuid.uuid4().hex)
    assert visit.answer(encoded, browser=victim.browser).json()["error_code"] == "bad_oauth_state"
    assert visit.answer(encoded, browser=Browser(world.server)).status_code == 400
    assert has_session(visit.session(encoded))


@pytest.mark.parametrize("relay_state", ["", "https://evil.test/", "//evil.test", "/app", "fb_ss_" + "0" * 64, "javascript:alert(1)"])
def test_relay_state_is_no_address(world: World, relay_state: str) -> None:
    """CVE-2026-22032: an address in RelayState is 400, never a redirect."""
    visit = Visit(world)
    answer = visit.answer(good(world, visit.request), relay_state)
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_our_metadata_and_the_list(world: World) -> None:
    """Both dialects show the metadata that an identity provider's administrator needs, and the provider."""
    for path in ("/auth/v1/saml/metadata", "/api/v1/auth/saml/metadata/corp"):
        answer = world.server.get(path, key=None)
        assert answer.headers["content-type"].startswith("application/samlmetadata+xml")
        assert world.server.url + ACS in answer.text
    listed = world.server.get("/api/v1/auth/saml/providers", key=None).json()["providers"]
    assert [(each["id"], each["name"]) for each in listed] == [("corp", "Corp")]
    assert world.server.get("/auth/v1/settings", key=None).json()["saml_enabled"] is True
    unknown = world.server.post(
        "/auth/v1/sso", key=None, json={"domain": "nobody.test", "code_challenge": pkce()[1], "code_challenge_method": "s256"}
    )
    assert (unknown.status_code, unknown.json()["error_code"]) == (404, "sso_provider_not_found")


def test_the_native_dialect_signs_in_with_json(world: World) -> None:
    """login gives the start link, acs takes the answer as JSON and gives the session."""
    browser = Browser(world.server)
    root = f"{world.server.url}/api/v1/auth/saml"
    url = browser.client.get(f"{root}/login/corp", params={"redirect_url": APP}).json()["url"]
    request = request_of(browser.client.get(url).headers["location"])
    body = {"saml_response": good(world, request, subject=uuid.uuid4().hex), "relay_state": request.relay_state, "provider": "corp"}
    answer = browser.client.post(f"{root}/acs", json=body)
    assert has_session(answer), answer.text
    assert answer.json()["is_new_user"] is True
    logout = world.server.get("/api/v1/auth/saml/logout/corp", key=answer.json()["access_token"]).json()
    assert logout["slo_url"].startswith("https://idp.test/slo?SAMLRequest=")


def test_single_logout_ends_the_sessions_of_its_user(world: World) -> None:
    """A signed request of the identity provider ends them on the next request; unsigned, altered, or another's changes nothing."""
    subject = uuid.uuid4().hex
    visit = Visit(world)
    session = visit.session(good(world, visit.request, subject=subject)).json()
    slo = f"{world.server.url}/auth/v1/saml/slo"

    def is_alive() -> bool:
        return world.server.get("/auth/v1/user", key=session["access_token"]).status_code == 200

    signed = world.idp.logout_request(slo, subject)
    for query in (
        world.idp.logout_request(slo, subject, is_signed=False), world.idp.logout_request(slo, subject, key=key_pair()),
        signed.replace("RelayState=", "RelayState=x"), signed + "&Signature=AAAA",
    ):  # fmt: skip
        assert httpx.get(f"{slo}?{query}", trust_env=False).status_code == 400
    assert is_alive()
    answered = httpx.get(f"{slo}?{signed}", trust_env=False)
    assert (answered.status_code, answered.headers["location"].partition("?")[0]) == (302, "https://idp.test/slo")
    assert not is_alive()
