# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownLambdaType=false
# The values of parsed JSON have no types; each is checked where it is used.
"""Where values of settings stand: YAML files with ``${VAR}``, variables, mounted secrets. Every error names the key, never the value."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class ConfigError(Exception):
    """One line: which key, what is wrong, how to mend it. Never the value."""


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping of a file; a key that stands twice is refused. Raises ConfigError."""

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


def flattened(tree: dict[str, Any], fields: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted keys with their values. Raises ConfigError for one that is not in ``fields``."""
    found: list[tuple[str, Any]] = []
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if key in fields:
            found.append((key, value))
        elif isinstance(value, dict) and any(known.startswith(f"{key}.") for known in fields):
            found += flattened(value, fields, f"{key}.")
        else:
            raise ConfigError(f"{key} is not a setting; fluxbase config show lists them")
    return found


def interpolated(value: Any, key: str, env: Mapping[str, str]) -> Any:
    """With every ``${VAR}`` replaced. Raises ConfigError for one that is not set."""
    if isinstance(value, list):
        return [interpolated(item, key, env) for item in value]
    if isinstance(value, dict):
        return {name: interpolated(item, key, env) for name, item in value.items()}
    if not isinstance(value, str):
        return value

    def one(match: re.Match[str]) -> str:
        if match[1] not in env:
            raise ConfigError(f"{key} uses ${{{match[1]}}}, which is not set")
        return env[match[1]]

    return _VARIABLE.sub(one, value)


def is_a(field: Any, kind: type) -> bool:
    """Whether a field is of a type, or of it or none."""
    return field.annotation is kind or kind in get_args(field.annotation)


def from_text(text: str, field: Any, key: str) -> Any:
    """The value that a variable's text stands for. Raises ConfigError."""
    annotation = str(field.annotation)
    if annotation.startswith(("list", "dict")):
        if text.lstrip()[:1] in {"[", "{"}:
            try:
                return json.loads(text)
            except ValueError:
                raise ConfigError(f"{key} is not valid JSON") from None
        return [part.strip() for part in text.split(",") if part.strip()]
    if is_a(field, bool):
        word = text.strip().lower()
        if word not in {"true", "false", "1", "0", "yes", "no"}:
            raise ConfigError(f"{key} must be true or false")
        return word in {"true", "1", "yes"}
    return text


def read_secret(path: str, name: str) -> str:
    """The text of a mounted secret. Raises ConfigError with the name of what names it."""
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ConfigError(f"{name} names a file that cannot be read ({reason})") from None
