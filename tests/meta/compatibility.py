"""docs/compatibility.md: each sentence of the wire contracts, answered as the contract says, differently on purpose, or not yet.

Collected from the cases under tests/contract: a sentence is supported when a case shows it, so the page cannot promise
what no test sends over a socket.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

from tests.contract.case import Case
from tests.contract.sentences import DIFFERS, ELSEWHERE, SECTIONS, SENTENCES

ROOT = Path(__file__).resolve().parents[2]
NOTE = "<!-- Written by `make docs` from tests/contract: change it there. -->"


def cases() -> Iterator[tuple[str, Case]]:
    """Every case with the file it stands in."""
    for path in sorted((ROOT / "tests" / "contract").rglob("test_*.py")):
        name = path.relative_to(ROOT).with_suffix("")
        module = importlib.import_module(".".join(name.parts))
        for value in vars(module).values():
            if isinstance(value, tuple | list):
                yield from ((path.relative_to(ROOT).as_posix(), case) for case in value if isinstance(case, Case))


def shown_by() -> dict[tuple[str, str], str]:
    """Sentence → the file that shows it."""
    found: dict[tuple[str, str], str] = {}
    for path, case in cases():
        found.setdefault((case.section, case.sentence), path)
    return found | {key: place.partition("::")[0] for key, place in ELSEWHERE.items() if key not in found}


def compatibility() -> str:
    """The page."""
    shown = shown_by()
    total = sum(len(titles) for titles in SENTENCES.values())
    lines = [
        "# Compatibility", "", NOTE, "",
        "What a client of PostgREST or supabase-js (sections 1) and of the native SDK (section 2.5) may rely on. A sentence is *supported* when a test sends",
        "its literal request and compares the literal answer; *differs* says why; *missing* has no test yet and is promised to nobody.",
        "", f"{len(shown)} of {total} sentences are shown by a test; {len(DIFFERS)} differ on purpose.",
    ]  # fmt: skip
    for section, title in SECTIONS.items():
        lines += ["", f"## {section} {title}", "", "| sentence | answer | shown by |", "| --- | --- | --- |"]
        for sentence in SENTENCES[section]:
            key = (section, sentence)
            state = "missing" if key not in shown else f"differs: {DIFFERS[key]}" if key in DIFFERS else "supported"
            place = shown.get(key)
            cell = f"[{Path(place).name}](../{place})" if place else ""
            lines.append(f"| {_cell(sentence)} | {_cell(state)} | {cell} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")
