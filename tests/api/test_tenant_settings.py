"""Settings of tenants over HTTP: changed by administrators, in force on the next request, of one tenant alone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import Server, start_server

TENANTS = "/api/v1/admin/tenants"
SIGN_UP = "/api/v1/auth/signup"
APP = "/api/v1/admin/app/settings"


def make(server: Server, slug: str, isolation: str = "row") -> dict[str, Any]:
    """A tenant with its keys."""
    answer = server.post(TENANTS, key="service", json={"slug": slug, "isolation": isolation})
    assert answer.status_code == 201, answer.text
    return answer.json()


def sign_up(server: Server, tenant: dict[str, Any], password: str = "violet tunnel 93 cup") -> Any:
    """Somebody new signs up in the tenant."""
    body = {"email": f"{uuid.uuid4().hex}@example.test", "password": password}
    return server.post(SIGN_UP, key=None, headers={"apikey": tenant["anon_key"]}, json=body)


def change(server: Server, tenant: dict[str, Any], settings: dict[str, object], key: str | None = None) -> Any:
    """PATCH by the tenant's own service key, unless another is given."""
    return server.request("PATCH", f"{TENANTS}/{tenant['slug']}/settings", key=key or tenant["service_key"], json={"settings": settings})


def eventually(what: Callable[[], bool]) -> bool:
    """Whether it becomes true: another worker is told by the database, a moment later."""
    ends_at = time.monotonic() + 20
    while time.monotonic() < ends_at:
        if what():
            return True
    return False


@pytest.fixture(scope="module")
def two(server: Server) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Two tenants, one with a database of its own."""
    made = make(server, "set-a", "database"), make(server, "set-b")
    yield made
    for tenant in made:
        server.request("DELETE", f"{TENANTS}/{tenant['slug']}?hard=true", key="service")


def test_a_change_acts_on_the_next_request_of_that_tenant_alone(server: Server, two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Sign-up closed by the tenant's own administrator; the other tenant and the default one stay open; taken back it is open again."""
    a, b = two
    assert sign_up(server, a).status_code == 201
    changed = change(server, a, {"auth.signup_enabled": False})
    assert (changed.status_code, changed.json()["settings"][0]["origin"]) == (200, "database")
    refused = sign_up(server, a)
    assert (refused.status_code, refused.json()["code"]) == (403, "SIGNUP_DISABLED")
    assert [sign_up(server, b).status_code, sign_up(server, {"anon_key": server.anon_key}).status_code] == [201, 201]
    path = f"{TENANTS}/{a['slug']}/settings/auth.signup_enabled"
    assert server.get(path, key=a["service_key"]).json()["value"] is False
    assert server.request("DELETE", path, key=a["service_key"]).status_code == 204
    assert sign_up(server, a).status_code == 201


def test_password_rules_and_lifetimes_are_the_tenants(server: Server, two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """A stricter rule refuses a password that is good elsewhere; tokens live as long as their tenant says."""
    a, b = two
    assert change(server, a, {"auth.password_min_length": 30, "auth.access_token_seconds": 77}).status_code == 200
    assert "cannot be used" in sign_up(server, a).text
    made = sign_up(server, a, "violet tunnel 93 cup and a very long tail")
    assert (made.status_code, made.json()["expires_in"], sign_up(server, b).json()["expires_in"]) == (201, 77, 900)
    assert change(server, a, {"auth.password_min_length": None, "auth.access_token_seconds": None}).status_code == 200


@pytest.mark.parametrize(
    ("settings", "status", "code"),
    [
        ({"auth.no_such_key": "hidden-value"}, 400, "INVALID_INPUT"),
        ({"server.port": 1}, 400, "INVALID_INPUT"),
        ({"auth.password_min_length": "hidden-value"}, 400, "INVALID_INPUT"),
        ({"auth.password_min_length": 3}, 400, "INVALID_INPUT"),
        ({"auth.signup_enabled": {"hidden-value": 1}}, 400, "INVALID_INPUT"),
        ({"mail.app_name": "hidden-value\u0000"}, 400, "INVALID_INPUT"),
        ({"auth.redirect_urls": ["javascript:hidden-value"]}, 400, "INVALID_INPUT"),
        ({"auth.jwt_secret": "hidden-value"}, 400, "INVALID_INPUT"),
        ({"auth.jwt_secret": 7}, 400, "INVALID_INPUT"),
        ({"captcha.enabled": True, "captcha.provider": "turnstile"}, 400, "INVALID_INPUT"),
        ({"mail.smtp_host": "hidden-value"}, 403, "ACCESS_DENIED"),
        ({"hooks.before_sign_in": "sql:public.f"}, 403, "ACCESS_DENIED"),
    ],
)
def test_what_is_refused(
    server: Server, two: tuple[dict[str, Any], dict[str, Any]], settings: dict[str, object], status: int, code: str
) -> None:
    """Unknown keys, bad values and the instance's keys: the key is named, the value never, and nothing of the change is kept."""
    answer = change(server, two[0], {"auth.signup_enabled": False, **settings})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "hidden-value" not in answer.text
    assert "auth." in answer.text or next(iter(settings)).partition(".")[0] in answer.text
    assert sign_up(server, two[0]).status_code == 201


def test_the_instances_administrators_decide_more(server: Server, two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """The default tenant's service key may change what the tenant's may not, and says so in the list."""
    a, _ = two
    assert change(server, a, {"mail.from_address": "acme@example.test"}, key="service").status_code == 200
    path = f"{TENANTS}/{a['slug']}/settings/mail.from_address"
    own, all_of_it = server.get(path, key=a["service_key"]).json(), server.get(path, key="service").json()
    assert (own["value"], own["may_change"], all_of_it["may_change"]) == ("acme@example.test", False, True)
    assert server.request("DELETE", path, key=a["service_key"]).status_code == 403
    assert server.request("DELETE", path, key="service").status_code == 204


def test_the_sdks_view_of_the_same(server: Server, two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Groups of the SDK over the same store: what is put is in force, what cannot be set is named."""
    _, b = two
    body = {"authentication": {"enable_signup": False, "password_require_uppercase": True}, "email": {"from_name": "B"}}
    put = server.request("PUT", APP, key=b["service_key"], json=body).json()
    got = server.get(APP, key=b["service_key"]).json()
    assert put == got
    assert (got["authentication"]["enable_signup"], got["authentication"]["password_require_uppercase"], got["email"]["from_name"]) == (
        False, True, "B",
    )  # fmt: skip
    assert set(got["overrides"]) == {"auth.signup_enabled", "auth.password_required", "mail.from_name"}
    assert sign_up(server, b).json()["code"] == "SIGNUP_DISABLED"
    refused = server.request("PUT", APP, key=b["service_key"], json={"authentication": {"no_such": 1}})
    assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_INPUT")
    back = {"auth.signup_enabled": None, "auth.password_required": None, "mail.from_name": None}
    assert change(server, b, back).status_code == 200
    assert server.get(APP, key=b["service_key"]).json()["overrides"] == {}


def test_files_variables_and_workers(tmp_path: Path) -> None:
    """One server with two workers: a tenant's file and variable count from the start, a change reaches every worker, the command shows it."""
    (tmp_path / "acme.yaml").write_text("auth: {signup_enabled: false}\nmail: {app_name: '${ACME_NAME}'}\n")
    env = {
        "FLUXBASE_TENANTS_CONFIG_DIR": str(tmp_path), "ACME_NAME": "Acme from a variable", "FLUXBASE_SERVER_WORKERS": "2",
        "FLUXBASE_TENANTS__ACME__AUTH__PASSWORD_MIN_LENGTH": "18", "FLUXBASE_TENANTS__ACME__CAPTCHA__SECRET_KEY": "hidden-captcha-secret",
    }  # fmt: skip
    server = start_server(env=env)
    try:
        acme = make(server, "acme")
        assert sign_up(server, acme).json()["code"] == "SIGNUP_DISABLED"
        listed = {row["key"]: row for row in server.get(f"{TENANTS}/acme/settings", key=acme["service_key"]).json()["settings"]}
        assert listed["mail.app_name"]["value"] == "Acme from a variable"
        assert listed["captcha.secret_key"]["value"] == "[secret]"
        assert change(server, acme, {"auth.signup_enabled": True}).status_code == 200
        assert eventually(lambda: all("it must have 18" in sign_up(server, acme, "short words 9 ok").text for _ in range(8)))
        line = [sys.executable, "-m", "fluxbase", "config", "show", "--tenant", "acme", "--data", str(server.data_dir), "--json"]
        shown = subprocess.run(line, cwd=server.data_dir, env=server.env, capture_output=True, text=True, check=True, timeout=60).stdout
        found = json.loads(shown)
        assert found["auth.signup_enabled"] == {"value": True, "origin": "database"}
        assert found["auth.password_min_length"]["origin"] == "FLUXBASE_TENANTS__ACME__AUTH__PASSWORD_MIN_LENGTH"
        assert "hidden-captcha-secret" not in shown
    finally:
        server.stop()
