"""The Prefer header (RFC 7240) as the contract has it: the first of a kind wins, unknown ones matter only when strict."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from fluxbase.kernel.errors import InvalidInput

_VALUES: dict[str, frozenset[str]] = {
    "resolution": frozenset({"merge-duplicates", "ignore-duplicates"}),
    "missing": frozenset({"default", "null"}),
    "return": frozenset({"representation", "minimal", "headers-only"}),
    "count": frozenset({"exact", "planned", "estimated"}),
    "tx": frozenset({"commit", "rollback"}),
    "handling": frozenset({"strict", "lenient"}),
}
_ORDER = ("resolution", "missing", "return", "count", "tx", "handling", "timezone", "max-affected")
"""Of the tokens in Preference-Applied."""
_EVERYWHERE = frozenset({"count", "tx", "handling", "timezone"})
_MOST_AFFECTED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the client prefers; None where it says nothing."""

    resolution: str | None = None
    missing: str | None = None
    return_: str | None = None
    count: str | None = None
    tx: str | None = None
    handling: str | None = None
    timezone: str | None = None
    max_affected: int | None = None
    """Only with ``handling=strict``."""

    def applied(self, *kinds: str) -> str:
        """The Preference-Applied header: what acts on every request, and those of ``kinds`` that were sent."""
        if self is NONE:
            return ""
        values = (
            self.resolution, self.missing, self.return_, self.count, self.tx, self.handling, self.timezone, self.max_affected,
        )  # fmt: skip
        shown = ((kind, value) for kind, value in zip(_ORDER, values, strict=True) if kind in kinds or kind in _EVERYWHERE)
        return ", ".join(f"{kind}={value}" for kind, value in shown if value is not None)


NONE = Preferences()
"""Of a request that says nothing."""


@lru_cache(maxsize=512)
def parse_prefer(text: str, *, allows_tx: bool = False) -> Preferences:
    """``allows_tx``: whether the client may choose commit or rollback; else the wish is ignored.

    Raises PGRST122 for an unknown preference under handling=strict.
    """
    if not text:
        return NONE
    found: dict[str, str] = {}
    unknown: list[str] = []
    for token in filter(None, (part.strip() for part in text.split(","))):
        kind, equals, value = token.partition("=")
        is_known = value in _VALUES[kind] if kind in _VALUES else bool(equals) and kind in ("timezone", "max-affected")
        if is_known:
            found.setdefault(kind, value)
        else:
            unknown.append(token)
    is_strict = found.get("handling") == "strict"
    if unknown and is_strict:
        raise InvalidInput(
            "Invalid preferences given with handling=strict", pgrst="PGRST122", details=f"Invalid preferences: {', '.join(unknown)}"
        )
    return Preferences(
        found.get("resolution"), found.get("missing"), found.get("return"), found.get("count"),
        found.get("tx") if allows_tx else None, found.get("handling"), found.get("timezone"),
        _number(found.get("max-affected", "")) if is_strict else None,
    )  # fmt: skip


def _number(text: str) -> int | None:
    return min(int(text), _MOST_AFFECTED) if text.isascii() and text.isdigit() and len(text) <= 20 else None
