"""Threat E43: no pattern of ours and no depth of a request costs more than its length."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import time

import pytest

import fluxbase
from tests.support.server import Server

LONG = 40_000
ADVERSARIAL = ["a", '"', "(", ".", ",", " ", "->", "::", '""', "a.", "a,", "\\", "%", "eyJ", "a b", "1", ":", "'a'", "ab\n"]


SEARCHES = r"\b{}\.(?:search|sub|subn|finditer|findall|split)\("


def patterns() -> list[tuple[str, re.Pattern[str] | re.Pattern[bytes], bool]]:
    """Every compiled pattern that a module of the package holds, and whether it is searched for (not only matched from a place)."""
    found: list[tuple[str, re.Pattern[str] | re.Pattern[bytes], bool]] = []
    for info in pkgutil.walk_packages(fluxbase.__path__, "fluxbase."):
        if info.name.endswith("__main__"):
            continue
        module = importlib.import_module(info.name)
        source = inspect.getsource(module)
        found += [
            (f"{info.name}.{name}", value, re.search(SEARCHES.format(name), source) is not None)
            for name, value in vars(module).items()
            if isinstance(value, re.Pattern)
        ]
    return found


@pytest.mark.parametrize(("name", "pattern", "is_searched"), patterns())
def test_patterns_are_linear(name: str, pattern: re.Pattern[str] | re.Pattern[bytes], is_searched: bool) -> None:
    """Text made to go back and forth, ten times as long, does not take much more than ten times as long."""
    for piece in ADVERSARIAL:
        short, long = (cost(pattern, piece, length, is_searched=is_searched) for length in (LONG // 10, LONG))
        assert long < 0.05 or long < 30 * short, (name, piece, short, long)


def cost(pattern: re.Pattern[str] | re.Pattern[bytes], piece: str, length: int, *, is_searched: bool) -> float:
    """CPU seconds of one use."""
    text = piece * (length // len(piece)) + "!"
    subject = text if isinstance(pattern.pattern, str) else text.encode()
    started = time.process_time()
    pattern.match(subject)  # type: ignore[arg-type]
    pattern.fullmatch(subject)  # type: ignore[arg-type]
    if is_searched:
        pattern.sub("" if isinstance(subject, str) else b"", subject)  # type: ignore[arg-type]
    return time.process_time() - started


def test_the_list_is_not_empty() -> None:
    """The walk finds patterns at all."""
    assert len(patterns()) >= 5


@pytest.mark.parametrize(
    "query",
    ["or=" + "(or" * 2000 + "(id.eq.1)" + ")" * 2000, "and=" + "(not.and" * 900 + "(id.eq.1)", "select=" + "a(" * 3000, "select=" + "a->" * 3000 + "b", "select=" + "*," * 5000,
     "id=in.(" + "1," * 6000 + "1)", "id=" + "not." * 4000 + "eq.1", "order=" + "id," * 4000 + "id"],
)  # fmt: skip
def test_depth_and_width_are_refused_quickly(server: Server, query: str) -> None:
    """Deep trees and wide lists are a 4xx (or plain work) in well under a second, never a 5xx."""
    server.sql(
        "create table if not exists shallow (id int); drop policy if exists everybody on shallow; create policy everybody on shallow using (true)"
    )
    server.get("/rest/v1/shallow")
    started = time.monotonic()
    answer = server.get(f"/rest/v1/shallow?{query}")
    assert answer.status_code < 500
    assert time.monotonic() - started < 2


def test_an_error_message_is_cut_in_linear_time(server: Server) -> None:
    """A wrong value that PostgreSQL repeats in its message, made of what the cutting pattern might go back and forth over."""
    server.sql(
        "create table if not exists shallow (id int); drop policy if exists everybody on shallow; create policy everybody on shallow using (true)"
    )
    server.get("/rest/v1/shallow")
    started = time.monotonic()
    for value in ('x"' + " " * LONG + "y", '"' * LONG, 'column "' * (LONG // 8)):
        answer = server.post("/rest/v1/shallow", json={"id": value})
        assert answer.status_code == 400
    assert time.monotonic() - started < 6
