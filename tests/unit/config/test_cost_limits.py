"""Cost limits as they are written: one number for every role, or role → number on top of the defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from fluxbase.config import ConfigError, load_config
from fluxbase.config.model import Data


def test_anonymous_limits_are_the_strictest_by_default() -> None:
    """Out of the box anon may embed less and wait less than a user, and a user less than the service."""
    anon, user, service = (Data().limits_of(role) for role in ("anon", "authenticated", "service_role"))
    for name in ("statement_timeout_seconds", "max_embed_depth", "max_embed_width"):
        assert getattr(anon, name) < getattr(user, name) < getattr(service, name), name
    assert anon.max_rows == 1000
    assert anon.max_planner_cost is None


def test_a_mapping_changes_one_role_and_keeps_the_others() -> None:
    """Naming anon leaves authenticated's default; a role that is not named has authenticated's."""
    data = Data.model_validate({"max_rows": {"anon": 10}, "max_planner_cost": {"anon": 50}})
    assert [data.limits_of(role).max_rows for role in ("anon", "authenticated", "other")] == [10, 1000, 1000]
    assert [data.limits_of(role).max_planner_cost for role in ("anon", "authenticated", "other")] == [50, None, None]


def test_a_number_from_the_environment_is_for_every_role(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """FLUXBASE_DATA_MAX_ROWS=5 as users of PostgREST's one number expect."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLUXBASE_DATA_MAX_ROWS", "5")
    data = load_config().data
    assert {data.limits_of(role).max_rows for role in ("anon", "authenticated", "service_role", "other")} == {5}


@pytest.mark.parametrize("text", ["0", "-1", "many", "1,2", '{"anon": 0}'])
def test_a_bad_limit_refuses_to_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    """Zero, negative, words and lists are refused by name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLUXBASE_DATA_MAX_ROWS", text)
    with pytest.raises(ConfigError, match=r"data\.max_rows"):
        load_config()
