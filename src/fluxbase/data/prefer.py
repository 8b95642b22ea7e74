"""The Prefer header (RFC 7240) as the contract has it: the first of a kind wins, unknown ones matter only when strict."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from fluxbase.kernel.errors import InvalidInput

_KINDS: dict[str, frozenset[str]] = {
    "resolution": frozenset({"merge-duplicates", "ignore-duplicates"}),
    "return": frozenset({"representation", "minimal", "headers-only"}),
    "count": frozenset({"exact", "planned", "estimated"}),
    "missing": frozenset({"default", "null"}),
    "handling": frozenset({"strict", "lenient"}),
}
_ORDER = ("resolution", "missing", "return", "count", "handling", "timezone", "max-affected")


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the client prefers; None where it says nothing."""

    resolution: str | None = None
    return_: str | None = None
    count: str | None = None
    missing: str | None = None
    handling: str | None = None
    timezone: str | None = None
    max_affected: int | None = None

    def applied(self, *names: str) -> str:
        """The Preference-Applied header for the kinds that acted."""
        values = {
            "resolution": self.resolution, "missing": self.missing, "return": self.return_, "count": self.count, "handling": self.handling,
            "timezone": self.timezone, "max-affected": self.max_affected,
        }  # fmt: skip
        return ", ".join(f"{name}={values[name]}" for name in _ORDER if name in names and values[name] is not None)


@lru_cache(maxsize=512)
def parse_prefer(text: str) -> Preferences:
    """Raises PGRST122 for an unknown preference under handling=strict."""
    found: dict[str, str] = {}
    unknown: list[str] = []
    for token in filter(None, (part.strip() for part in text.split(","))):
        kind, _, value = token.partition("=")
        if (
            (kind in _KINDS and value in _KINDS[kind])
            or (kind == "timezone" and value and len(value) < 64)
            or (kind == "max-affected" and value.isascii() and value.isdigit() and len(value) < 10)
        ):
            found.setdefault(kind, value)
        else:
            unknown.append(token)
    if unknown and found.get("handling") == "strict":
        raise InvalidInput(
            "Invalid preferences given with handling=strict", pgrst="PGRST122", details=f"Invalid preferences: {', '.join(unknown)}"
        )
    strict = found.get("handling") == "strict"
    return Preferences(
        found.get("resolution"), found.get("return"), found.get("count"), found.get("missing"), found.get("handling"),
        found.get("timezone"),
        int(found["max-affected"]) if strict and "max-affected" in found else None,
    )  # fmt: skip
