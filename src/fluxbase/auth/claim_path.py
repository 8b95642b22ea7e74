"""Where the role stands in a token's claims: ``.role``, ``.app.role``, ``."https://x/role"``, ``.roles[0]``, ``.roles[?(@ ^== "api_")]``.

The grammar is PostgREST's ``jwt-role-claim-key``. Pure.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_STEP = re.compile(
    r'\.(?:(?P<name>[\w$@-]+)|"(?P<quoted>[^"]*)")'
    r'|\[(?P<index>\d+)\]'
    r'|\[\?\(@\s*(?P<operator>==\^|\^==|\*==|==|!=)\s*"(?P<text>[^"]*)"\)\]'
)  # fmt: skip
_TESTS: dict[str, Callable[[str, str], bool]] = {
    "==": lambda value, text: value == text,
    "!=": lambda value, text: value != text,
    "^==": lambda value, text: value.startswith(text),
    "==^": lambda value, text: value.endswith(text),
    "*==": lambda value, text: text in value,
}


class ClaimPathError(ValueError):
    """The path cannot be read."""


@dataclass(frozen=True, slots=True)
class Match:
    """Takes the first text of an array that passes a test."""

    operator: str
    text: str


@dataclass(frozen=True, slots=True)
class ClaimPath:
    """A way into the claims."""

    steps: tuple[str | int | Match, ...]

    def find(self, claims: object) -> str | None:
        """The value as text: a string as it is, anything else as JSON; None when the way ends early."""
        value = claims
        for step in self.steps:
            value = _walk(value, step)
            if value is None:
                return None
        return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def parse_claim_path(text: str) -> ClaimPath:
    """Raises ClaimPathError."""
    steps: list[str | int | Match] = []
    position = 0
    while position < len(text):
        step = _STEP.match(text, position)
        if step is None:
            raise ClaimPathError(f"cannot be read at character {position + 1}; write for example .app.role or .roles[0]")
        if step["index"] is not None:
            steps.append(int(step["index"]))
        elif step["operator"] is not None:
            steps.append(Match(step["operator"], step["text"]))
        else:
            steps.append(step["quoted"] if step["name"] is None else step["name"])
        position = step.end()
    if not steps:
        raise ClaimPathError("is empty; write for example .role")
    return ClaimPath(tuple(steps))


def _walk(value: object, step: str | int | Match) -> object:
    if isinstance(step, str):
        return cast("dict[str, object]", value).get(step) if isinstance(value, dict) else None
    if not isinstance(value, list):
        return None
    items = cast("list[object]", value)
    if isinstance(step, int):
        return items[step] if step < len(items) else None
    test = _TESTS[step.operator]
    return next((item for item in items if isinstance(item, str) and test(item, step.text)), None)
