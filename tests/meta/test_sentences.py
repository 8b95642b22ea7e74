"""The list of the contract's sentences is well formed: cases and the compatibility table refer to it."""

from __future__ import annotations

import ast

from tests.contract.sentences import DIFFERS, ELSEWHERE, SECTIONS, SENTENCES
from tests.meta.compatibility import ROOT, cases, compatibility, shown_by


def test_sentences_are_unique_and_in_known_sections() -> None:
    """Each section has a title, each sentence stands once in it."""
    assert set(SENTENCES) == set(SECTIONS)
    assert {section: len(titles) - len(set(titles)) for section, titles in SENTENCES.items() if len(titles) != len(set(titles))} == {}


def test_differences_name_sentences() -> None:
    """What differs on purpose refers to a sentence and says why."""
    assert [key for key, why in DIFFERS.items() if key[1] not in SENTENCES[key[0]] or len(why) < 20] == []


def test_tests_named_elsewhere_exist() -> None:
    """A sentence that is shown by a test of another form names a test that is there."""
    missing: list[str] = []
    for (section, sentence), place in ELSEWHERE.items():
        path, _, name = place.partition("::")
        functions = [node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.FunctionDef)]
        if name not in functions or sentence not in SENTENCES[section]:
            missing.append(f"{section} {sentence}: {place}")
    assert missing == []


def test_the_page_promises_only_what_a_case_shows() -> None:
    """Each sentence has one line; it is supported or differs when a test shows it, and missing otherwise."""
    lines = [line for line in compatibility().splitlines() if line.startswith("| ") and not line.startswith(("| sentence", "| ---"))]
    assert len(lines) == sum(len(titles) for titles in SENTENCES.values())
    assert sum("| missing |" not in line for line in lines) == len(shown_by())
    assert any(True for _ in cases())


def test_the_written_page_promises_nothing_that_is_not_shown() -> None:
    """docs/compatibility.md on disk calls no sentence supported that no test shows: run `make docs` and commit it."""
    now = set(compatibility().splitlines())
    written = (ROOT / "docs" / "compatibility.md").read_text().splitlines()
    promised = [line for line in written if line.startswith("| ") and "| missing |" not in line]
    assert [line for line in promised if line not in now] == []


def test_every_sentence_has_a_test() -> None:
    """A sentence without a case is named here: write its case, or say in ELSEWHERE which test shows it."""
    waiting = [f"{section} {title}" for section, titles in SENTENCES.items() for title in titles if (section, title) not in shown_by()]
    assert waiting == []
