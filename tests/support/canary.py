"""Invariant 10: secrets of a server under test that must never be in an answer or a log line; ``Server`` asks after every request.

They are real: the master key, every login's password, the secret part of its keys, and what the test put into the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

_SHORTEST = 12
_PLANTED = re.compile(r"SECRET|PASSWORD|MASTER_KEY")


def secrets_of(data_dir: Path, keys: Mapping[str, str], env: Mapping[str, str]) -> dict[str, str]:
    """Name and text of each secret of one server."""
    from tests.support.mint import login_password

    found = {name: value for name, value in env.items() if name.startswith("FLUXBASE_") and _PLANTED.search(name)}
    for file in ("master.key", "postgres.password"):
        if (data_dir / file).is_file():
            found[file] = (data_dir / file).read_text().strip()
    for url in (env.get("FLUXBASE_DATABASE_URL", ""), keys.get("database_url", "")):
        password = re.search(r"://[^:/@]*:([^@]+)@", url)
        if password:
            found[f"password of {url.split('@')[0].split(':')[1]}"] = password[1]
    if (data_dir / "master.key").is_file():
        found["fluxbase_system"] = login_password(data_dir, "fluxbase_system")
    if "service_key" in keys:
        found["service key"] = keys["service_key"].rsplit(".", 1)[-1]
    for name in ("secret_key", "service_key_opaque"):
        if name in keys:
            found[name] = keys[name]
    return {name: value for name, value in found.items() if len(value) >= _SHORTEST}


def spilt(secrets: Mapping[str, str], texts: Iterable[bytes | str]) -> list[str]:
    """Names of the secrets that are in one of the texts."""
    parts = [text if isinstance(text, bytes) else text.encode("utf-8", "replace") for text in texts]
    return [name for name, value in secrets.items() if any(value.encode() in part for part in parts)]
