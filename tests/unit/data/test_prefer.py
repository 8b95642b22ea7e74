"""The Prefer header (contract 1.6)."""

from __future__ import annotations

import pytest

from fluxbase.data.prefer import parse_prefer
from fluxbase.kernel.errors import InvalidInput


def test_the_first_of_a_kind_wins() -> None:
    """A second value of a kind is ignored, spaces do not matter."""
    found = parse_prefer("count=exact ,  count=planned,return=minimal, return=representation")
    assert (found.count, found.return_) == ("exact", "minimal")


def test_applied_has_the_contracts_order() -> None:
    """However the tokens were sent, they come back in one order."""
    text = "max-affected=5,timezone=UTC,handling=strict,tx=commit,count=exact,return=minimal,missing=null,resolution=merge-duplicates"
    everything = ("resolution", "missing", "return", "max-affected")
    assert parse_prefer(text, allows_tx=True).applied(*everything) == (
        "resolution=merge-duplicates, missing=null, return=minimal, count=exact, tx=commit, handling=strict, timezone=UTC, max-affected=5"
    )
    assert parse_prefer(text).applied() == "count=exact, handling=strict, timezone=UTC"


def test_strict_names_every_unknown_token() -> None:
    """PGRST122 lists what is unknown; a transaction wish that is not allowed is none of it."""
    with pytest.raises(InvalidInput) as refused:
        parse_prefer("handling=strict, foo, tx=rollback, return=everything, max-affected=x")
    assert (refused.value.pgrst, refused.value.details) == ("PGRST122", "Invalid preferences: foo, return=everything")


def test_lenient_ignores_unknown_tokens() -> None:
    """Without strict nothing is refused, and max-affected does not act."""
    found = parse_prefer("foo, count=many, max-affected=3")
    assert (found.count, found.max_affected) == (None, None)


def test_max_affected_is_a_number() -> None:
    """What is no number is no limit; a huge one stays one."""
    assert parse_prefer("handling=strict,max-affected=0").max_affected == 0
    assert parse_prefer("handling=strict,max-affected=-1").max_affected is None
    assert parse_prefer("handling=strict,max-affected=99999999999999999999").max_affected == 2**63 - 1
