"""What a tenant may have otherwise than the instance, who decides it, and the settings that come of it (DESIGN 8).

defaults < ``fluxbase.yaml`` < ``tenants/<slug>.yaml`` < ``FLUXBASE_…`` < ``FLUXBASE_TENANTS__<SLUG>__…`` < the tenant's database.
A key that is not in the tables below is the instance's alone: it is decided before a tenant is known, is a place or a cost of the
machine, or would let one tenant reach another (docs/decisions/0062). Every error names tenant and key, never the value.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from fluxbase.config.auth import check_jwt_secret
from fluxbase.config.model import Config, settings
from fluxbase.config.section import Section
from fluxbase.config.sources import ConfigError, flattened, from_text, interpolated, is_a, read_secret, read_yaml
from fluxbase.kernel.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Chosen = Mapping[str, tuple[Any, str]]
    """Key → value and origin."""

TENANTS_PREFIX = "FLUXBASE_TENANTS__"
DEFAULT_SLUG = "default"
IN_DATABASE = "database"
NOT_INHERITED = "auth.jwt_secret"
"""The instance's secret speaks for the default tenant alone: else a token that names no tenant would be good for all."""
MOST_TOKEN_SECONDS = 86_400
"""Longest life of an access token that a tenant may choose: denials outlive it (``auth/sessions.py``)."""
_SLUG = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


class Decider(StrEnum):
    """Who may decide a tenant's setting over HTTP. Files and variables are the operator's and may name every key of both tables."""

    TENANT = "tenant"
    """Its own administrators, unless ``tenants.locked_settings`` has the key."""
    INSTANCE = "instance"
    """The instance's administrators: it costs the machine, leaves it, or passes Row Level Security."""


_AUTH = {
    "jwt_secret", "access_token_seconds", "refresh_token_seconds", "refresh_grace_seconds", "step_up_seconds", "signup_enabled",
    "anonymous_enabled", "require_email_verification", "password_enabled", "password_min_length", "password_required",
    "password_refuse_common", "lock_after_failures", "lock_seconds", "site_url", "redirect_urls", "magic_link_enabled",
    "magic_link_seconds", "recovery_seconds", "confirmation_seconds", "invitation_seconds", "reauthentication_seconds", "code_attempts",
    "mail_interval_seconds",
}  # fmt: skip
_MFA = {"totp_enabled", "webauthn_enabled", "totp_issuer", "max_factors", "enforcement", "required_roles"}
_CAPTCHA = {
    "enabled", "provider", "site_key", "secret_key", "score_threshold", "endpoints", "hostnames", "difficulty_bits", "challenge_seconds"
}  # fmt: skip
_MAIL = {"app_name", "from_name", "reply_to"}
_MAIL_SENDING = {
    "mode", "smtp_host", "smtp_port", "smtp_tls", "smtp_ca_file", "smtp_username", "smtp_password", "smtp_timeout_seconds",
    "from_address", "max_attempts", "retry_seconds", "keep_days",
}  # fmt: skip
_OF_TENANT = {"auth": _AUTH, "mfa": _MFA, "passkeys": None, "captcha": _CAPTCHA, "rbac": None, "mail": _MAIL, "oauth": None}
"""Section → its keys; None: all."""
_OF_INSTANCE = {"captcha": {"verify_url", "timeout_seconds"}, "mail": _MAIL_SENDING, "hooks": None}


def _keys(sections: Mapping[str, set[str] | None]) -> Iterator[str]:
    for key, _ in settings():
        section, _, rest = key.partition(".")
        if section in sections and (sections[section] is None or rest in (sections[section] or ())):
            yield key


DECIDERS: dict[str, Decider] = {
    **dict.fromkeys(_keys(_OF_TENANT), Decider.TENANT), **dict.fromkeys(_keys(_OF_INSTANCE), Decider.INSTANCE)
}  # fmt: skip
"""Every key that a tenant may have otherwise."""
_FIELDS = dict(settings())


def is_secret(key: str) -> bool:
    """Whether a setting must never be shown."""
    return is_a(_FIELDS[key], Secret)


def is_sealed(key: str) -> bool:
    """Whether the database keeps it encrypted: a secret, or what holds secrets."""
    return is_secret(key) or key == "oauth.oidc"


def may_decide(config: Config, key: str, decider: Decider) -> bool:
    """Whether this kind of administrator may change the key of a tenant."""
    if decider is Decider.INSTANCE:
        return key in DECIDERS
    is_locked = any(key == name or key.startswith(f"{name}.") for name in config.tenants.locked_settings)
    return DECIDERS.get(key) is Decider.TENANT and not is_locked


def read_tenants(config: Config, env: Mapping[str, str]) -> dict[str, dict[str, tuple[Any, str]]]:
    """What files and variables say of each tenant, in order of precedence. Raises ConfigError."""
    locked = [name for name in config.tenants.locked_settings if not any(key == name or key.startswith(f"{name}.") for key in DECIDERS)]
    if locked:
        raise ConfigError(f"tenants.locked_settings: {locked[0][:100]} is not a setting of tenants")
    found: dict[str, dict[str, tuple[Any, str]]] = {}
    folder = Path(config.tenants.config_dir)
    for file in sorted(folder.glob("*.yaml")) if folder.is_dir() else ():
        slug = file.stem
        if not _SLUG.fullmatch(slug):
            raise ConfigError(f"{file}: a tenant's file has its slug for a name, as {folder}/acme.yaml")
        for key, value in _of_file(file, env):
            if not config.origins[key].startswith("FLUXBASE_"):  # a variable is stronger than any file
                found.setdefault(slug, {})[key] = (value, str(file))
    for name in sorted(env):
        if name.startswith(TENANTS_PREFIX):
            slug, key, value = _of_variable(name, env)
            found.setdefault(slug, {})[key] = (value, name)
    return found


def _of_file(file: Path, env: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Keys and values of a tenant's file; ``<key>_file`` names a mounted secret."""
    by_path = {f"{key}_file": key for key in DECIDERS if f"{key}_file" not in _FIELDS}
    values = dict(flattened(read_yaml(file), {**_FIELDS, **by_path}))
    for name, raw in values.items():
        key, value = by_path.get(name, name), interpolated(raw, name, env)
        if key not in DECIDERS:
            raise ConfigError(f"{file}: {key} is the instance's; a tenant cannot have its own (docs/tenants.md lists what it can)")
        if name in by_path:
            if key in values:
                raise ConfigError(f"{file}: {key} and {name} are both set; keep one")
            value = from_text(read_secret(str(value), f"{file}: {name}"), _FIELDS[key], key)
        yield key, value


def _of_variable(name: str, env: Mapping[str, str]) -> tuple[str, str, Any]:
    """``FLUXBASE_TENANTS__ACME__AUTH__SIGNUP_ENABLED`` → slug, key, value."""
    raw_slug, _, path = name.removeprefix(TENANTS_PREFIX).partition("__")
    slug, key = raw_slug.lower().replace("_", "-"), path.lower().replace("__", ".")
    if raw_slug != raw_slug.upper() or not _SLUG.fullmatch(slug):
        raise ConfigError(f"{name} names no tenant: write {TENANTS_PREFIX}<SLUG>__<SECTION>__<KEY>, hyphens of the slug as _")
    if key in DECIDERS:
        if f"{name}_FILE" in env:
            raise ConfigError(f"{name} and {name}_FILE are both set; keep one")
        return slug, key, from_text(env[name], _FIELDS[key], key)
    key = key.removesuffix("_file")
    if key in DECIDERS and name.endswith("_FILE"):
        return slug, key, from_text(read_secret(env[name], name), _FIELDS[key], key)
    what = "is the instance's; a tenant cannot have its own" if key in _FIELDS else "is not a setting"
    raise ConfigError(f"{name}: {key} {what} (docs/tenants.md lists what a tenant can have)")


def tenant_config(config: Config, slug: str, stored: Mapping[str, Any] | None = None) -> Config:
    """The settings of one tenant; the instance's own object when nothing is different. Raises ConfigError."""
    chosen: dict[str, tuple[Any, str]] = dict(config.of_tenants.get(slug, {}))
    chosen |= {key: (value, IN_DATABASE) for key, value in (stored or {}).items()}
    if slug != DEFAULT_SLUG and NOT_INHERITED not in chosen and config.auth.jwt_secret is not None:
        chosen[NOT_INHERITED] = (None, "not inherited")
    if not chosen:
        return config
    for key in chosen:
        if key not in DECIDERS:
            raise ConfigError(f"tenant {slug}: {key} is not a setting that a tenant can have")
    changed = _rebuilt(config, slug, chosen)
    origins = {**config.origins, **{key: origin for key, (_, origin) in chosen.items()}}
    merged = config.model_copy(update={**changed, "origins": origins, "of_tenants": {}})
    _check(merged, slug, chosen)
    return merged


def _rebuilt(config: Config, slug: str, chosen: Chosen) -> dict[str, Section]:
    """The sections that change, each validated as a whole."""
    tree: dict[str, Any] = {}
    for key, (value, _) in chosen.items():
        *path, last = key.split(".")
        place = tree
        for part in path:
            place = place.setdefault(part, {})
        place[last] = (Secret(str(value)) if value else None) if is_secret(key) and not isinstance(value, Secret) else value
    return {name: _with_values(getattr(config, name), values, name, slug, chosen) for name, values in tree.items()}


def _with_values(section: Section, values: dict[str, Any], path: str, slug: str, chosen: Chosen) -> Section:
    known = dict(section)
    for name, value in values.items():
        inner = known[name]
        known[name] = _with_values(inner, value, f"{path}.{name}", slug, chosen) if isinstance(inner, Section) else value
    try:
        return type(section)(**known)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        key = ".".join([path, *(str(part) for part in first["loc"][:1])])
        origin = f" ({chosen[key][1]})" if key in chosen else ""
        raise ConfigError(f"tenant {slug}: {key}{origin}: {first['msg'].removeprefix('Value error, ')}") from None


def _check(merged: Config, slug: str, chosen: Chosen) -> None:
    secret = merged.auth.jwt_secret
    if secret is not None and NOT_INHERITED in chosen:
        try:
            check_jwt_secret(secret, host=merged.server.host)
        except ValueError as error:
            raise ConfigError(f"tenant {slug}: {error}") from None
    if "auth.access_token_seconds" in chosen and merged.auth.access_token_seconds > MOST_TOKEN_SECONDS:
        raise ConfigError(f"tenant {slug}: auth.access_token_seconds: at most {MOST_TOKEN_SECONDS}")
