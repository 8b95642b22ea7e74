"""Section 1.9: which schema a request speaks of."""

from __future__ import annotations

import pytest

from tests.contract.case import Case, check
from tests.support.server import Server

CASES = (
    Case("1.9", "the first schema is the default", "GET /films?select=title&id=eq.1", 200, {}, [{"title": "Cleo"}]),
    Case("1.9", "Accept-Profile for reads", "GET /films?select=title\nAccept-Profile: archive", 200,
         {"content-profile": "archive"}, [{"title": "Old Cleo"}]),
    Case("1.9", "Accept-Profile for reads", "HEAD /films\nAccept-Profile: archive", 200, {"content-profile": "archive"}, b""),
    Case("1.9", "Content-Profile for writes",
         'POST /films?select=title\nContent-Profile: archive\nPrefer: return=representation\n\n{"id": 2, "title": "Older"}',
         201, {"content-profile": "archive"}, [{"title": "Older"}]),
    Case("1.9", "an unknown schema is 406 PGRST106", "GET /films\nAccept-Profile: secret", 406, {},
         {"code": "PGRST106", "message": "Invalid schema: secret", "details": None,
          "hint": "Only the following schemas are exposed: public, archive"}),
    Case("1.9", "the answer names the schema when there are several", "GET /films?limit=0", 200, {"content-profile": "public"}, []),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(contract: Server, case: Case) -> None:
    """The literal request has the literal answer."""
    check(contract, case)
