"""PostgREST's defaults and the settings a database keeps for it (``ALTER ROLE … SET pgrst.…``), on top of a configuration.

What the database says wins over file and environment, as in PostgREST.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from fluxbase.config.sources import ConfigError
from fluxbase.kernel.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fluxbase.config.model import Config

NO_LIMIT = 2**31 - 1


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _bool(text: str) -> bool:
    return text.strip().lower() in {"true", "t", "1", "yes", "on"}


def _rows(text: str) -> dict[str, int]:
    return {"authenticated": int(text)}


_PLACES: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "db_schemas": ("data", "schemas", _list),
    "db_extra_search_path": ("data", "extra_search_path", _list),
    "db_max_rows": ("data", "max_rows", _rows),
    "db_aggregates_enabled": ("data", "aggregates_enabled", _bool),
    "db_plan_enabled": ("data", "plan_enabled", _bool),
    "db_tx_end": ("data", "tx_end", str),
    "openapi_mode": ("data", "openapi_mode", str),
    "db_anon_role": ("external", "anon_role", str),
    "db_pre_request": ("external", "pre_request", str),
    "jwt_secret": ("external", "jwt_secret", Secret),
    "jwt_secret_is_base64": ("external", "jwt_secret_is_base64", _bool),
    "jwt_aud": ("external", "jwt_audience", str),
    "jwt_role_claim_key": ("external", "jwt_role_claim_key", str),
    "server_timing_enabled": ("external", "server_timing", _bool),
    "server_cors_allowed_origins": ("server", "cors_origins", _list),
}


def with_peer_settings(config: Config, in_database: Mapping[str, str]) -> Config:
    """The configuration PostgREST would have. Raises ConfigError."""
    changes: dict[str, dict[str, Any]] = {"data": _defaults(config)}
    for name, text in in_database.items():
        place = _PLACES.get(name)
        if place is None:
            continue
        section, key, convert = place
        known: dict[str, Any] = dict(getattr(config, section))
        if key not in known:
            continue
        try:
            changes.setdefault(section, {})[key] = convert(text)
        except ValueError:
            raise ConfigError(f"pgrst.{name} in the database cannot be read") from None
    sections: dict[str, Any] = {}
    for section, values in changes.items():
        old = getattr(config, section)
        try:
            sections[section] = type(old)(**{**dict(old), **values})
        except ValidationError as error:
            raise ConfigError(f"a pgrst setting in the database: {section}.{error.errors()[0]['loc'][0]} is not valid") from None
    try:
        return type(config)(**{**dict(config), **sections})
    except ValidationError as error:
        raise ConfigError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


def _defaults(config: Config) -> dict[str, Any]:
    """Where PostgREST's default differs from ours and nobody chose."""
    defaults: dict[str, Any] = {
        "extra_search_path": ["public"],
        "max_rows": {"authenticated": NO_LIMIT},
        "statement_timeout_seconds": {"authenticated": config.server.request_timeout_seconds},
    }
    return {key: value for key, value in defaults.items() if config.origins.get(f"data.{key}", "default") == "default"}
