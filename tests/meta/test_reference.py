"""The generated pages say what the code says."""

from __future__ import annotations

import subprocess

import pytest

from fluxbase.config import settings
from tests.meta.reference import PAGES, ROOT, error_classes, raised_codes


@pytest.mark.parametrize("page", PAGES)
def test_page_is_up_to_date(page: str) -> None:
    """The page is what `make docs` writes now."""
    path = ROOT / page
    written = path.read_text() if path.exists() else ""
    assert written == PAGES[page](), f"{page} is behind the code: run `make docs` and commit it"


def test_every_setting_says_what_it_decides() -> None:
    """Each field of the tree has a description that is a sentence."""
    assert [key for key, field in settings() if not (field.description or "").endswith(".")] == []


def test_every_setting_is_used() -> None:
    """A setting that no code reads is a promise nobody keeps: read it or remove it."""
    source = "\n".join(p.read_text() for p in sorted((ROOT / "src").rglob("*.py")) if p.name != "model.py")
    model = (ROOT / "src/fluxbase/config/model.py").read_text()
    unused = [key for key, _ in settings() if f".{key.rpartition('.')[2]}" not in source and f"self.{key.rpartition('.')[2]}" not in model]
    assert unused == []


def test_every_error_says_what_to_do() -> None:
    """Each class of the error tree has a remedy; each raised code belongs to one class."""
    assert [cls.__name__ for cls in error_classes() if not cls.remedy] == []
    assert len(raised_codes()) > 30


def test_make_docs_is_in_the_menu() -> None:
    """`make` shows the command that writes them."""
    menu = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=20).stdout
    assert "make docs" in menu
