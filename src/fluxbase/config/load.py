# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownLambdaType=false
# The values of parsed JSON (or of libpq) have no types; each is checked where it is used.
"""Reading the configuration: defaults < fluxbase.yaml < FLUXBASE_… < FLUXBASE_…_FILE.

An unknown key or variable, a weak secret or a bad URL stops the start with one line that names the key, never the value.
"""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from fluxbase.config.auth import check_jwt_secret
from fluxbase.config.model import Config, settings
from fluxbase.config.sources import ConfigError, flattened, from_text, interpolated, is_a, read_secret, read_yaml
from fluxbase.config.tenants import TENANTS_PREFIX, read_tenants, tenant_config
from fluxbase.kernel.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

RESERVED = frozenset(
    f"FLUXBASE_{name}"
    for name in ("URL", "ANON_KEY", "CLIENT_KEY", "SERVICE_TOKEN", "JOB_TOKEN", "TOKEN", "SERVER", "PROFILE", "CONFIG", "DEBUG")
)
WITH_VARIABLE = "with a variable"
"""Mark of a value whose text in the file names a ${VARIABLE}."""
CONFIRMATION = "auth.require_email_verification"
"""Its default hangs on another setting: asked for where a mail reaches its reader (docs/decisions/0070-proven-addresses.md)."""
MASTER_KEY_BYTES = 32


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
        for key, value in flattened(read_yaml(file), fields):
            values[key] = interpolated(value, key, env)
            origins[key] = file.name if values[key] == value else f"{file.name} ({WITH_VARIABLE})"
    elif path is not None or "FLUXBASE_CONFIG" in env:
        raise ConfigError("FLUXBASE_CONFIG names a file that does not exist")
    names = {variable_of(key): key for key in fields}
    for name in env:
        if not name.startswith("FLUXBASE_") or name.startswith(TENANTS_PREFIX) or name in RESERVED:
            continue
        key = names.get(name) or names.get(name.removesuffix("_FILE"))
        if key is None:
            raise ConfigError(f"{name} is not a setting; fluxbase config show lists them")
        if name not in names:
            if name.removesuffix("_FILE") in env:
                raise ConfigError(f"{name} and {name.removesuffix('_FILE')} are both set; keep one")
            text = read_secret(env[name], name)
        else:
            text = env[name]
        values[key] = from_text(text, fields[key], key)
        origins[key] = name
    if data_dir is not None:
        values["data_dir"] = data_dir
        if env.get(variable_of("data_dir")) != str(data_dir):
            origins["data_dir"] = "--data"
    config = _build(values, fields, origins)
    if CONFIRMATION not in values and not config.mail.is_kept:
        config = _build({**values, CONFIRMATION: True}, fields, {**origins, CONFIRMATION: "mails are sent"})
    _check(config)
    config = config.model_copy(update={"of_tenants": read_tenants(config, env)})
    for slug in config.of_tenants:
        tenant_config(config, slug)
    return config


def _build(values: dict[str, Any], fields: dict[str, Any], origins: dict[str, str]) -> Config:
    tree: dict[str, Any] = {"origins": origins}
    for key, value in values.items():
        *sections, last = key.split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
        is_secret = is_a(fields[key], Secret)
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
    if config.auth.jwt_secret is not None:
        try:
            check_jwt_secret(config.auth.jwt_secret, host=config.server.host)
        except ValueError as error:
            raise ConfigError(str(error)) from None


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
