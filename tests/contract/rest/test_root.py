"""Sections 1.1, 1.8 and 1.11: the root of the REST surface, literally. The document itself is read in test_openapi.py."""

from __future__ import annotations

import pytest

from tests.contract.case import Case, check
from tests.support.server import Server

OPENAPI = "application/openapi+json; charset=utf-8"
CASES = (
    Case("1.1", "root: GET answers the OpenAPI document", "GET /", 200, {"content-type": OPENAPI, "content-profile": "public"}),
    Case("1.1", "root: GET answers the OpenAPI document", "GET /\nAccept: application/json", 200, {"content-type": OPENAPI}),
    Case("1.1", "root: GET answers the OpenAPI document", "GET /\nAccept: text/csv", 406, {"proxy-status": "PostgREST; error=PGRST107"},
         {"code": "PGRST107", "message": "None of these media types are available: text/csv", "details": None, "hint": None}),
    Case("1.1", "root: HEAD answers its headers", "HEAD /", 200, {"content-type": OPENAPI}, b""),
    Case("1.1", "root: OPTIONS", "OPTIONS /", 200, {"allow": "OPTIONS,GET,HEAD"}, b""),
    Case("1.8", "OPTIONS of the root", "OPTIONS /", 200, {"allow": "OPTIONS,GET,HEAD"}, b""),
    Case("1.1", "table: other verbs are 405 PGRST117", "PATCH /\n\n{}", 405, {"allow": "OPTIONS, GET, HEAD"},
         {"code": "PGRST117", "message": "Unsupported HTTP method: PATCH", "details": None, "hint": None}),
    Case("1.9", "an unknown schema is 406 PGRST106", "GET /\nAccept-Profile: secret", 406, {},
         {"code": "PGRST106", "message": "Invalid schema: secret", "details": None,
          "hint": "Only the following schemas are exposed: public, archive"}),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(contract: Server, case: Case) -> None:
    """The literal request has the literal answer."""
    check(contract, case)


def test_profiles_have_their_own_documents(contract: Server) -> None:
    """Accept-Profile picks the schema that is described."""
    headers = {"accept-profile": "archive"}
    answer = contract.get("/rest/v1/", headers=headers)
    assert answer.headers["content-profile"] == "archive"
    assert "Old Cleo" not in answer.text
    assert set(answer.json()["definitions"]) != set(contract.get("/rest/v1/").json()["definitions"])
