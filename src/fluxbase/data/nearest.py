"""Which known name a mistyped one is nearest to, as PostgREST's hints decide it. Pure.

Candidates are found by common trigrams, else bigrams (cosine of their counts), and judged by normalised Levenshtein distance.
"""

from __future__ import annotations

from collections import Counter
from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME_SCORE = 0.75
"""The least likeness for names of relations and functions: a hint must not list a schema to somebody who guesses."""
LIST_SCORE = 0.33
"""The least likeness for arguments and relationships, which whoever may use the object knows anyway."""
_MOST_NAMES = 2000
_LONGEST = 200
_JUDGED = 50


def nearest(text: str, names: Iterable[str], least: float) -> str | None:
    """The name most like ``text`` with a score of at least ``least``; None among more than 2,000 names or for a very long text."""
    known: dict[str, str] = {}
    for name in names:
        known.setdefault(name.lower(), name)
    wanted = text.lower()
    if wanted in known:
        return known[wanted]
    if len(known) > _MOST_NAMES or len(wanted) > _LONGEST:
        return None
    for size in (3, 2):
        alike = _by_grams(wanted, known, size)[:_JUDGED]
        judged = sorted(((_likeness(wanted, name), name) for name in alike), key=lambda item: -item[0])
        if judged and judged[0][0] >= least:
            return known[judged[0][1]]
    return None


def _by_grams(wanted: str, names: Iterable[str], size: int) -> list[str]:
    """Names that share a gram, the most alike first."""
    mine = _grams(wanted, size)
    scored: list[tuple[float, str]] = []
    for name in names:
        theirs = _grams(name, size)
        common = sum(count * theirs[gram] for gram, count in mine.items())
        if common:
            scored.append((common / (_norm(mine) * _norm(theirs)), name))
    return [name for _, name in sorted(scored, key=lambda item: -item[0])]


def _grams(text: str, size: int) -> Counter[str]:
    kept = "-" + "".join(char for char in text if char.isalnum() or char.isspace() or char == ",") + "-"
    return Counter(kept[start : start + size] for start in range(len(kept) - size + 1))


def _norm(grams: Counter[str]) -> float:
    return sqrt(sum(count * count for count in grams.values()))


def _likeness(one: str, other: str) -> float:
    """1 for equal texts, 0 for ones without a common letter: one minus Levenshtein's distance over the longer length."""
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        above, row[0] = row[0], number
        for column, against in enumerate(other, 1):
            above, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, above + (letter != against))
    return 1 - row[-1] / max(len(one), len(other), 1)
