"""The list of the contract's sentences is well formed: cases and the compatibility table refer to it."""

from __future__ import annotations

from tests.contract.sentences import DIFFERS, SECTIONS, SENTENCES


def test_sentences_are_unique_and_in_known_sections() -> None:
    """Each section has a title, each sentence stands once in it."""
    assert set(SENTENCES) == set(SECTIONS)
    assert {section: len(titles) - len(set(titles)) for section, titles in SENTENCES.items() if len(titles) != len(set(titles))} == {}


def test_differences_name_sentences() -> None:
    """What differs on purpose refers to a sentence and says why."""
    assert [key for key, why in DIFFERS.items() if key[1] not in SENTENCES[key[0]] or len(why) < 20] == []
