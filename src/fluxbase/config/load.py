# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownLambdaType=false
# The values of parsed JSON (or of libpq) have no types; each is checked where it is used.
"""Reading the configuration: defaults < fluxbase.yaml < FLUXBASE_… < FLUXBASE_…_FILE.

An unknown key or variable, a weak secret or a bad URL stops the start with one line that names the key, never the value.
"""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import urlsplit

import yaml
from pydantic import ValidationError

from fluxbase.config.model import Config, settings
from fluxbase.kernel.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

RESERVED = frozenset(
    f"FLUXBASE_{name}"
    for name in ("URL", "ANON_KEY", "CLIENT_KEY", "SERVICE_TOKEN", "JOB_TOKEN", "TOKEN", "SERVER", "PROFILE", "CONFIG", "DEBUG")
)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_KNOWN_SECRETS = {"super-secret-jwt-token-with-at-least-32-characters-long"}
WITH_VARIABLE = "with a variable"
"""Mark of a value whose text in the file names a ${VARIABLE}."""
CONFIRMATION = "auth.require_email_verification"
"""Its default hangs on another setting: asked for where a mail reaches its reader (docs/decisions/0070-proven-addresses.md)."""
MIN_SECRET_BYTES = 32
MIN_DISTINCT = 8
MASTER_KEY_BYTES = 32


class ConfigError(Exception):
    """One line: which key, what is wrong, how to mend it. Never the value."""


def variable_of(key: str) -> str:
    """``database.url`` → ``FLUXBASE_DATABASE_URL``."""
    return "FLUXBASE_" + key.upper().replace(".", "_")


def load_config(path: Path | None = None, environ: Mapping[str, str] | None = None, data_dir: Path | None = None) -> Config:
    """Read and check everything. Raises ConfigError."""
    env = os.environ if environ is None else environ
    fields = dict(settings())
    values: dict[str, Any] = {}
    origins = dict.fromkeys(fields, "default")
    file = path or (Path(env["FLUXBASE_CONFIG"]) if "FLUXBASE_CONFIG" in env else Path("fluxbase.yaml"))
    if file.exists():
        for key, value in _flatten(_read_yaml(file), fields):
            values[key] = _interpolate(value, key, env)
            origins[key] = file.name if values[key] == value else f"{file.name} ({WITH_VARIABLE})"
    elif path is not None or "FLUXBASE_CONFIG" in env:
        raise ConfigError("FLUXBASE_CONFIG names a file that does not exist")
    names = {variable_of(key): key for key in fields}
    for name in env:
        if not name.startswith("FLUXBASE_") or name in RESERVED:
            continue
        key = names.get(name) or names.get(name.removesuffix("_FILE"))
        if key is None:
            raise ConfigError(f"{name} is not a setting; fluxbase config show lists them")
        if name not in names:
            if name.removesuffix("_FILE") in env:
                raise ConfigError(f"{name} and {name.removesuffix('_FILE')} are both set; keep one")
            try:
                text = Path(env[name]).read_text(encoding="utf-8").rstrip("\r\n")
            except OSError as error:
                raise ConfigError(f"{name} names a file that cannot be read ({error.strerror})") from None
        else:
            text = env[name]
        values[key] = _from_text(text, fields[key], key)
        origins[key] = name
    if data_dir is not None:
        values["data_dir"] = data_dir
        if env.get(variable_of("data_dir")) != str(data_dir):
            origins["data_dir"] = "--data"
    config = _build(values, fields, origins)
    if CONFIRMATION not in values and not config.mail.is_kept:
        config = _build({**values, CONFIRMATION: True}, fields, {**origins, CONFIRMATION: "mails are sent"})
    _check(config)
    return config


def _read_yaml(file: Path) -> dict[str, Any]:
    class Unique(yaml.SafeLoader):
        pass

    def mapping(loader: Any, node: Any) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else ""
            line = key_node.start_mark.line + 1
            if not key:
                raise ConfigError(f"{file.name}, line {line}: a key must be a name")
            if key in seen:
                raise ConfigError(f"{file.name}, line {line}: the key {key} stands twice")
            seen[key] = loader.construct_object(value_node, deep=True)
        return seen

    Unique.add_constructor("tag:yaml.org,2002:map", mapping)
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Unique)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise ConfigError(f"{file.name}{f', line {mark.line + 1}' if mark else ''}: not valid YAML") from None
    except OSError as error:
        raise ConfigError(f"{file.name} cannot be read ({error.strerror})") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{file.name} must be a mapping of sections")
    return content


def _flatten(tree: dict[str, Any], fields: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if key in fields:
            found.append((key, value))
        elif isinstance(value, dict) and any(known.startswith(f"{key}.") for known in fields):
            found += _flatten(value, fields, f"{key}.")
        else:
            raise ConfigError(f"{key} is not a setting; fluxbase config show lists them")
    return found


def _interpolate(value: Any, key: str, env: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_interpolate(item, key, env) for item in value]
    if isinstance(value, dict):
        return {name: _interpolate(item, key, env) for name, item in value.items()}
    if not isinstance(value, str):
        return value

    def one(match: re.Match[str]) -> str:
        if match[1] not in env:
            raise ConfigError(f"{key} uses ${{{match[1]}}}, which is not set")
        return env[match[1]]

    return _VARIABLE.sub(one, value)


def _is_a(field: Any, kind: type) -> bool:
    return field.annotation is kind or kind in get_args(field.annotation)


def _from_text(text: str, field: Any, key: str) -> Any:
    annotation = str(field.annotation)
    if annotation.startswith(("list", "dict")):
        if text.lstrip()[:1] in {"[", "{"}:
            try:
                return json.loads(text)
            except ValueError:
                raise ConfigError(f"{key} is not valid JSON") from None
        return [part.strip() for part in text.split(",") if part.strip()]
    if _is_a(field, bool):
        word = text.strip().lower()
        if word not in {"true", "false", "1", "0", "yes", "no"}:
            raise ConfigError(f"{key} must be true or false")
        return word in {"true", "1", "yes"}
    return text


def _build(values: dict[str, Any], fields: dict[str, Any], origins: dict[str, str]) -> Config:
    tree: dict[str, Any] = {"origins": origins}
    for key, value in values.items():
        *sections, last = key.split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
        is_secret = _is_a(fields[key], Secret)
        place[last] = (Secret(str(value)) if value else None) if is_secret else value
    try:
        return Config(**tree)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        known = next((name for name in fields if key == name or key.startswith(f"{name}.")), None)
        where = f" ({origins[known]})" if known and origins[known] not in {"default", key} else ""
        raise ConfigError(f"{key}{where}: {first['msg'].removeprefix('Value error, ')}".removeprefix(": ")) from None


def _check(config: Config) -> None:
    if config.database.url is not None and not _is_database_url(config.database.url.reveal()):
        raise ConfigError("database.url is not a URL of the form postgresql://user:password@host:port/database")
    if config.master_key is not None and not _is_key(config.master_key.reveal()):
        raise ConfigError(f"master_key is not base64 of {MASTER_KEY_BYTES} bytes; make one with openssl rand -base64 {MASTER_KEY_BYTES}")
    secret = config.auth.jwt_secret
    if secret is not None:
        if len(secret.reveal().encode()) < MIN_SECRET_BYTES:
            raise ConfigError(f"auth.jwt_secret is weak: at least {MIN_SECRET_BYTES} bytes, for example openssl rand -base64 48")
        if len(set(secret.reveal())) < MIN_DISTINCT:
            raise ConfigError("auth.jwt_secret is weak: it repeats itself; make one with openssl rand -base64 48")
        if secret.reveal() in _KNOWN_SECRETS and config.server.host not in {"127.0.0.1", "::1", "localhost"}:
            raise ConfigError("auth.jwt_secret is a published default; make your own: openssl rand -base64 48")


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text.strip(), validate=True)) == MASTER_KEY_BYTES
    except ValueError:
        return False


def _is_database_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"postgresql", "postgres"} and (parts.port is None or parts.port > 0) and not re.search(r"\s", text)
    except ValueError:
        return False
