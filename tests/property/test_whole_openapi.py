"""Schemathesis over the whole OpenAPI document: no 5xx, and no answer that the document does not promise (issue 6).

In every run each operation is called by somebody who may; in the long one everybody calls everything that his document names.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from tests.support.accounts import sign_up
from tests.support.administrator import administrator
from tests.support.mail_server import MailServer, smtp_env
from tests.support.server import Server, start_server

IS_LONG = os.environ.get("TESTS_LONG") == "1"
EXAMPLES = 20 if IS_LONG else 2
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE) if IS_LONG else (GenerationMode.POSITIVE,)
LONGEST_URL = 65_534
"""What hyper reads; ours is far below (``server.url_limit_bytes``) and refused in words."""
CONFIG = {"generation": {"with-security-parameters": False}}
"""Credentials are ours: made-up ones would only meet Authenticate."""
SCHEMA = """
create table book (id int primary key, title text not null, price numeric, tags text[], added timestamptz default now());
create policy everybody on book using (true) with check (true);
insert into book values (1, 'a', 1.5, '{x}'), (2, 'b', null, null);
create function add(a int, b int) returns int language sql immutable as 'select a + b';
"""


def only_named_server_errors(_: object, response: schemathesis.Response, case: schemathesis.Case) -> None:
    """A 5xx is a defect, unless the operation itself says when it gives it: /health without its database, phone numbers."""
    if response.status_code >= 500 and str(response.status_code) not in case.operation.definition.raw["responses"]:
        raise AssertionError(f"{response.status_code}: {response.text[:200]}\n{case.as_curl_command()}")


def success_is_named(_: object, response: schemathesis.Response, case: schemathesis.Case) -> None:
    """A success has a status of its own in the document: ``default`` is the word for errors."""
    documented = case.operation.definition.raw["responses"]
    if response.status_code < 400 and str(response.status_code) not in documented:
        raise AssertionError(f"{response.status_code} is not documented, only {sorted(documented)}: {response.text[:200]}")


CHECKS = [
    only_named_server_errors, status_code_conformance, content_type_conformance, response_schema_conformance, success_is_named,
]  # fmt: skip


@pytest.fixture(scope="module")
def documented(post: MailServer) -> Iterator[Server]:
    """A server of its own, which mails: what is sent may change anything."""
    running = start_server(env={**smtp_env(post), "FLUXBASE_AUTH_REQUIRE_EMAIL_VERIFICATION": "false"})
    running.sql(SCHEMA)
    yield running
    running.stop()


class Caller:
    """Somebody who calls everything; when a call ended his session he signs in anew."""

    def __init__(self, server: Server, sign_in: Callable[[], str], alive: str) -> None:
        self._server = server
        self._sign_in = sign_in
        self._alive = alive
        self.credential = sign_in()
        document = server.request("GET", "/api/v1/openapi.json", key=self.credential).json()
        schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig.from_dict(CONFIG))
        found = [operation.ok() for operation in schema.get_all_operations()]
        self.operations = sorted(found, key=lambda operation: operation.method == "delete")
        """What takes away comes last."""
        self.succeeded: set[str] = set()
        self._is_doubtful = False

    def live(self) -> str:
        """A credential that is good for something."""
        if self._is_doubtful and self._alive and self._server.get(self._alive, key=self.credential).status_code != 200:
            self.credential = self._sign_in()
        self._is_doubtful = False
        return self.credential

    def failures_of(self, operation: schemathesis.APIOperation, mode: GenerationMode, real: dict[str, str]) -> list[str]:
        """What is wrong with the answers to generated calls of one operation; every second one names things that are there."""
        found: list[str] = []
        credential, number = self.live(), count()

        @settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=[*HealthCheck])
        @given(case=operation.as_strategy(generation_mode=mode))
        def run(case: schemathesis.Case) -> None:
            if next(number) % 2 == 0 and case.path_parameters:
                case.path_parameters = {name: real.get(name, value) for name, value in case.path_parameters.items()}
            answer = case.call(base_url=self._server.url, headers={"authorization": f"Bearer {credential}"}, timeout=40)
            if answer.status_code == 414 and not answer.content and len(str(answer.request.url)) > LONGEST_URL:
                return  # the listener's own answer to what it cannot read (tests/attack/test_wire.py), before any operation
            self._is_doubtful |= answer.status_code == 401 or operation.path.endswith(("/signout", "/logout"))
            if answer.status_code < 400:
                self.succeeded.add(operation.label)
            try:
                case.validate_response(answer, checks=CHECKS)
            except (AssertionError, FailureGroup) as error:
                found.append(f"{operation.label}: {error}")

        try:
            run()
        except Unsatisfiable:  # of a call that takes nothing no value can be wrong
            assert mode is GenerationMode.NEGATIVE, operation.label
        return found[:3]


def real_things(server: Server, path: str) -> dict[str, str]:
    """Names and ids for the parameters of a path, which the call may use up."""
    found = {
        "schema": "public", "table": "book", "relation": "book", "namespace": "default", "function": "add", "id": "1", "name": "editor",
        "key": "auth.signup_enabled",
    }  # fmt: skip

    def made(route: str, **body: Any) -> str:
        answer = server.post(route, key="service", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json().get("id") or answer.json()["token"])

    fresh = f"a{uuid.uuid4().hex[:12]}"
    if "{tenant}" in path:
        found["tenant"] = made("/api/v1/admin/tenants", slug=fresh, isolation="row")
    if "{user}" in path or "{session}" in path or "orgs/" in path or "client-keys/" in path:
        account = sign_up(server)
        found["user"] = account.id
        found["session"] = str(server.get("/api/v1/auth/sessions", key=account.access).json()["sessions"][0]["id"])
    if "orgs/" in path:
        found["organisation"] = made("/api/v1/orgs", slug=fresh, name=fresh, owner_id=found["user"])
        found["team"] = made(f"/api/v1/orgs/{found['organisation']}/teams", name=fresh)
    if "client-keys/" in path:
        found["key"] = made("/api/v1/client-keys", name=fresh, user_id=found["user"], scopes=["tables:read"])
    if "service-keys/" in path:
        found["key"] = made("/api/v1/admin/service-keys", name=fresh, scopes=["tables:read"])
    if "invitations/" in path:
        found["token"] = made("/api/v1/admin/invitations", email=f"{fresh}@example.test")
    return found


WHO: dict[str, tuple[Callable[[Server], str], str]] = {
    "anon": (lambda server: server.anon_key, ""),
    "user": (lambda server: sign_up(server).access, "/api/v1/auth/user"),
    "service": (lambda server: server.service_key, ""),
    "administrator": (lambda server: administrator(server).access, "/api/v1/dashboard/auth/me"),
}


@pytest.fixture(scope="module")
def called() -> set[str]:
    """Operations that somebody called already."""
    return set()


@pytest.mark.timeout(3600 if IS_LONG else 300)
@pytest.mark.parametrize(("who", "successes"), [("service", 90), ("user", 45), ("administrator", 90), ("anon", 30)])
def test_no_server_error_and_no_undocumented_answer(documented: Server, called: set[str], who: str, successes: int) -> None:
    """Every operation that the caller's own document names, with generated values; many of them succeed, so that says something."""
    sign_in, alive = WHO[who]
    caller = Caller(documented, lambda: sign_in(documented), alive)
    assert len(caller.operations) > 100
    operations = [operation for operation in caller.operations if IS_LONG or operation.label not in called]
    called |= {operation.label for operation in operations}
    failures = [
        failure
        for operation in operations
        for mode in MODES
        for failure in caller.failures_of(operation, mode, real_things(documented, operation.path))
    ]
    assert not failures, "\n\n".join(failures)
    assert len(caller.succeeded) >= (successes if len(operations) == len(caller.operations) else 0)
