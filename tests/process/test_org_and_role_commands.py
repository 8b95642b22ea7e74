"""``fluxbase org`` and ``fluxbase role`` against a running instance: what they change acts on the user's next request."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.support.accounts import sign_up
from tests.support.server import Server


def run(server: Server, *words: str, status: int = 0) -> Any:
    """A command's JSON answer."""
    line = [sys.executable, "-m", "fluxbase", *words, "--data", str(server.data_dir), "--json"]
    done = subprocess.run(line, cwd=server.data_dir, env=server.env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == status, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_a_role_is_made_granted_and_revoked(server: Server) -> None:
    """By e-mail address; what a user holds is what the routes say; an unknown user and an unknown role are told apart."""
    account = sign_up(server)
    made = run(server, "role", "set", "clerk", "--permission", "papers:paper:read", "--permission", "papers:paper:write")
    assert made["permissions"] == ["papers:paper:read", "papers:paper:write"]
    assert run(server, "role", "grant", account.email, "clerk") == {"user_id": account.id, "roles": ["clerk"]}
    assert server.get(f"/api/v1/admin/users/{account.id}/roles", key="service").json() == {"roles": ["clerk"]}
    assert [row["name"] for row in run(server, "role", "list", "--user", account.email)["roles"]] == ["clerk"]
    assert run(server, "role", "revoke", account.id, "clerk")["roles"] == []
    assert run(server, "role", "revoke", account.email, "clerk", status=1)["error"] == "The user has not this role."
    assert run(server, "role", "grant", "nobody@nowhere.example", "clerk", status=1)["error"] == "There is no user nobody@nowhere.example."
    assert run(server, "role", "set", "service_role", status=1)["error"] == "Not a name of a role."
    assert run(server, "role", "delete", "clerk") == {"role": "clerk", "status": "deleted"}
    assert "clerk" not in [row["name"] for row in run(server, "role", "list")["roles"]]


def test_an_organisation_from_its_making_to_its_end(server: Server) -> None:
    """Owner and members by e-mail address, the organisation by its slug; the last owner stays; a stranger to it sees none of it."""
    owner, member = sign_up(server), sign_up(server)
    made = run(server, "org", "create", "makers", "--name", "The Makers", "--owner", owner.email)
    assert (made["slug"], made["name"]) == ("makers", "The Makers")
    assert run(server, "org", "create", "makers", status=1)["error"] == "An organisation with this slug exists."
    assert run(server, "org", "add", "makers", member.email, "--role", "admin")["role"] == "admin"
    assert run(server, "org", "add", "makers", member.email, status=1)["error"] == "Already a member."
    assert {row["user_id"]: row["role"] for row in run(server, "org", "members", "makers")["members"]} == {
        owner.id: "owner", member.id: "admin",
    }  # fmt: skip
    assert made["id"] in [row["id"] for row in server.get("/api/v1/orgs", key=member.access).json()["organisations"]]
    assert run(server, "org", "remove", made["id"], owner.email, status=1)["error"] == "An organisation keeps an owner."
    assert run(server, "org", "remove", "makers", member.email)["status"] == "removed"
    assert server.get(f"/api/v1/orgs/{made['id']}", key=member.access).status_code == 404
    assert made["id"] in [row["id"] for row in run(server, "org", "list")["organisations"]]
    assert run(server, "org", "delete", "makers", "--yes")["status"] == "deleted"
    assert run(server, "org", "members", "makers", status=1)["error"] == "No such organisation."


def test_another_tenant_is_named(server: Server) -> None:
    """Who is not there is said, and nothing is made."""
    assert run(server, "org", "create", "lost", "--tenant", "nobody", status=1)["error"] == "No such tenant."
    assert run(server, "role", "list", "--tenant", "nobody", status=1)["error"] == "No such tenant."
