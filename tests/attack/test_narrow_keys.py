"""A key that is limited gives nobody more than it has: not by making, widening, rotating or switching on another (threat B30, DESIGN invariant 8)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.attack.test_keys import CLIENT, NAMED, make
from tests.support.second_factor import without
from tests.support.server import Server

SOON, LATER = "2099-01-01T00:00:00+00:00", "2099-06-01T00:00:00+00:00"
LIMITS: dict[str, dict[str, Any]] = {
    "tables": {"tables": {"public.parcel": ["select", "insert"]}},
    "networks": {"networks": ["127.0.0.0/8"]},
    "expires_at": {"expires_at": SOON},
}
"""What limits a service key of every scope, by the member that says it."""
WIDER: dict[str, list[dict[str, Any]]] = {
    "tables": [{}, {"tables": {"public.depot": ["select"]}}, {"tables": {"public.parcel": ["delete"]}}],
    "networks": [{}, {"networks": ["0.0.0.0/0"]}, {"networks": ["127.0.0.0/8", "203.0.113.0/24"]}, {"networks": ["::/0"]}],
    "expires_at": [{}, {"expires_at": LATER}],
}
NARROWER: dict[str, dict[str, Any]] = {
    "tables": {"tables": {"public.parcel": ["select"]}},
    "networks": {"networks": ["127.0.0.1/32"]},
    "expires_at": {"expires_at": "2098-01-01T00:00:00+00:00"},
}


WIDENS = (403, True)


def ask(server: Server, method: str, path: str, key: str, **body: Any) -> tuple[int, bool]:
    """Status of one call, and whether it was refused for giving more than the key has."""
    answer = server.request(method, path, key=key, json=body)
    return answer.status_code, str(answer.json().get("error")).startswith(
        ("A key can give only", "A key makes no", "A key with scopes makes no")
    )


def stored(server: Server) -> list[tuple[Any, ...]]:
    """Every key as it is stored, but for when it was used."""
    return server.root_sql("select (to_jsonb(k) - '{last_used_at,last_used_address}'::text[])::text from auth.api_keys k order by id")


@pytest.mark.parametrize("limit", LIMITS)
def test_a_narrow_key_makes_no_wider_one(server: Server, limit: str) -> None:
    """By no route: both kinds of new keys, a change of itself or another, a rotation, switching on; refused, nothing is written."""
    narrow = make(server, path=NAMED, **LIMITS[limit])
    wide, off = make(server, path=NAMED), make(server, path=NAMED)
    assert server.post(f"{NAMED}/{off['id']}/disable", key="service").status_code == 200
    before = stored(server)
    for members in WIDER[limit]:
        for path in (NAMED, CLIENT):
            answer = ask(server, "POST", path, narrow["key"], name="wider", scopes=["*"], **members)
            assert answer == WIDENS, f"{path} {members}"
        if members:
            assert ask(server, "PUT", f"{NAMED}/{narrow['id']}", narrow["key"], **members) == WIDENS
    for method, path, body in (
        ("PUT", f"{NAMED}/{narrow['id']}", {limit: [] if limit == "networks" else None}), ("PUT", f"{NAMED}/{wide['id']}", {"name": "mine"}),
        ("POST", f"{NAMED}/{wide['id']}/rotate", {}), ("POST", f"{NAMED}/{off['id']}/enable", {}),
    ):  # fmt: skip
        assert ask(server, method, path, narrow["key"], **body) == WIDENS, path
    assert stored(server) == before
    assert ask(server, "POST", NAMED, narrow["key"], name="equal", **LIMITS[limit])[0] == 201
    assert ask(server, "POST", CLIENT, narrow["key"], name="narrower", scopes=["tables:read"], **NARROWER[limit])[0] == 201


def test_a_key_of_few_scopes_makes_no_key_of_more(server: Server) -> None:
    """Not of a scope it lacks, not of all, not of a user, in whose name it would be somebody."""
    key = make(server, path=NAMED, scopes=["clientkeys:write", "tables:read"])["key"]
    user = "00000000-0000-4000-8000-000000000001"
    for members in ({"scopes": ["*"]}, {"scopes": ["tables:read", "tables:write"]}, {"scopes": ["tables:read"], "user_id": user}):
        assert ask(server, "POST", CLIENT, key, name="more", **members) == WIDENS
    assert ask(server, "POST", CLIENT, key, name="less", scopes=["tables:read"])[0] == 201


@pytest.mark.twin("keys:narrow")
@pytest.mark.parametrize("limit", LIMITS)
def test_twin_without_the_comparison_gives_itself_everything(twin: Server, limit: str) -> None:
    """Without it the limited key makes one without limits."""
    key = make(twin, path=NAMED, **LIMITS[limit])["key"]
    body = {"name": "wider", "scopes": ["*"]}
    assert twin.post(NAMED, key=key, json=body).status_code == 403
    lifted = twin.post(NAMED, key=key, json=body, headers=without("keys:narrow"))
    assert lifted.status_code == 201, lifted.text
    assert lifted.json()[limit] in (None, [])
