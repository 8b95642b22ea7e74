"""Recovery codes and tickets: their form, and that a hash fits one user only."""

from __future__ import annotations

import pytest

from fluxbase.auth.factors.secrets import (
    canonical_recovery_code,
    device_hash,
    new_recovery_codes,
    new_ticket,
    recovery_code_hash,
    ticket_hash,
)


def test_ten_different_codes() -> None:
    """Each has the form that is accepted again."""
    codes = new_recovery_codes()
    assert len(set(codes)) == 10
    assert all(canonical_recovery_code(code) == code.replace("-", "") for code in codes)


@pytest.mark.parametrize("written", ["K7XM-9RQD-2HSV", "k7xm 9rqd 2hsv", " k7xm9rqd2hsv "])
def test_case_and_separators_do_not_count(written: str) -> None:
    """As people write them down."""
    assert canonical_recovery_code(written) == "k7xm9rqd2hsv"


@pytest.mark.parametrize("written", ["", "123456", "k7xm-9rqd-2hs", "k7xm-9rqd-2hsvv", "k7xm-9rqd-2hs0", "\uff4b7xm-9rqd-2hsv"])
def test_what_is_no_code(written: str) -> None:
    """Wrong length, letters that are not used, look-alikes of other alphabets."""
    assert canonical_recovery_code(written) is None


def test_a_hash_fits_one_user_and_key() -> None:
    """The same code of another user, or under another master key, is another hash."""
    hashes = {recovery_code_hash(key, user, "k7xm9rqd2hsv") for key in (b"a", b"b") for user in ("1", "2")}
    assert len(hashes) == 4


def test_tickets_differ_and_devices_do() -> None:
    """256 bits each; address and agent cannot be moved into one another."""
    assert new_ticket() != new_ticket()
    assert len(ticket_hash("\udc80")) == 32
    assert device_hash("1.2.3.4", "agent") != device_hash("1.2.3.4\nagent", "")
