"""Schemathesis over the whole OpenAPI document: no 5xx, and no answer that the document does not promise (issue 6)."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from tests.support.accounts import sign_up
from tests.support.mail_server import MailServer, smtp_env
from tests.support.server import Server, start_server

EXAMPLES = 20 if os.environ.get("TESTS_LONG") == "1" else 2
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
    running = start_server(env=smtp_env(post))
    running.sql(SCHEMA)
    yield running
    running.stop()


def failures_of(operation: schemathesis.APIOperation, server: Server, credential: str) -> list[str]:
    """What is wrong with the answers to generated calls of one operation."""

    @settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=[*HealthCheck])
    @given(case=operation.as_strategy())
    def run(case: schemathesis.Case) -> None:
        answer = case.call(base_url=server.url, headers={"authorization": f"Bearer {credential}"}, timeout=40)
        case.validate_response(answer, checks=CHECKS)

    try:
        run()
    except FailureGroup as group:
        return [f"{operation.label}: {group}"]
    except AssertionError as error:
        return [f"{operation.label}: {error}"]
    return []


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("who", ["anon", "user", "service"])
def test_no_server_error_and_no_undocumented_answer(documented: Server, who: str) -> None:
    """Every operation that the caller's own document names, with generated values."""
    credential = {
        "anon": lambda: documented.anon_key,
        "user": lambda: sign_up(documented).access,
        "service": lambda: documented.service_key,
    }[who]()
    document = documented.request("GET", "/api/v1/openapi.json", key=credential).json()
    operations = [found.ok() for found in schemathesis.openapi.from_dict(document).get_all_operations()]
    assert len(operations) > 60
    failures = [failure for operation in operations for failure in failures_of(operation, documented, credential)]
    assert not failures, "\n\n".join(failures)
