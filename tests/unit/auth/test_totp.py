"""Codes of authenticator apps: RFC 6238, one step of drift, and pictures that fit where clients put them."""

from __future__ import annotations

import base64

import pyotp
import pytest

from fluxbase.auth.factors import totp

SECRET = base64.b32encode(b"12345678901234567890").decode()
NOW = 1_700_000_000.0
STEP = int(NOW) // totp.STEP_SECONDS


def code_of(step: int) -> str:
    """The code of a step."""
    return pyotp.TOTP(SECRET).generate_otp(step)


def test_the_rfcs_own_example() -> None:
    """RFC 6238 appendix B: 59 seconds after the epoch the code ends in 287082."""
    assert totp.matching_step(SECRET, "287082", 59) == 1


@pytest.mark.parametrize(("drift", "is_good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_one_step_to_either_side(drift: int, is_good: bool) -> None:
    """A code of the neighbouring steps is good and says which step it is of; further ones are not."""
    assert totp.matching_step(SECRET, code_of(STEP + drift), NOW) == (STEP + drift if is_good else None)


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "12 34 5", "-12345", "123456\0"])
def test_what_is_no_code_is_refused(code: str) -> None:
    """Six ASCII digits, spaces aside; anything else is no code."""
    assert totp.matching_step(SECRET, code, NOW) is None


def test_spaces_do_not_count() -> None:
    """Apps show 123 456."""
    code = code_of(STEP)
    assert totp.matching_step(SECRET, f" {code[:3]} {code[3:]} ", NOW) == STEP


def test_secrets_are_long_and_differ() -> None:
    """160 bits of base32, never the same."""
    secrets = {totp.new_secret() for _ in range(50)}
    assert len(secrets) == 50
    assert {len(base64.b32decode(each)) for each in secrets} == {20}


def test_pictures() -> None:
    """PNG as a data address; SVG without #, because supabase-js puts it into a data address as it is."""
    uri = totp.provisioning_uri(SECRET, account="ada@example.com", issuer="A & B")
    assert uri.startswith("otpauth://totp/A%20%26%20B:ada%40example.com?secret=")
    assert base64.b64decode(totp.qr_png_data_uri(totp.qr(uri)).removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
    svg = totp.qr_svg(totp.qr(uri))
    assert svg.startswith("<svg ")
    assert "#" not in svg
