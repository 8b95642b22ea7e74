"""Time-based one-time passwords (RFC 6238): secrets, the codes they give, and the picture an authenticator app scans.

A code is accepted for its own step of 30 seconds and one step to either side, for clocks that are a little off. Which step was
accepted is remembered in the database, so that a code, and every code before it, is good once (RFC 6238 5.2; threat B26).
"""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from pyotp import random_base32
from pyotp.totp import TOTP
from pyotp.utils import strings_equal

if TYPE_CHECKING:
    import segno

STEP_SECONDS = 30
DRIFT_STEPS = 1
DIGITS = 6
SECRET_BYTES = 20
"""160 bits, the length of HMAC-SHA-1's output (RFC 4226 4)."""


def new_secret() -> str:
    """A secret as base32 text, the way authenticator apps take it."""
    return random_base32(length=SECRET_BYTES * 8 // 5)


def matching_step(secret: str, raw_code: str, now: float) -> int | None:
    """The step whose code this is, among the current one and its neighbours; None when there is none.

    Every candidate is compared, each in constant time, so that the answer takes the same time for each of them.
    """
    code = "".join(raw_code.split())
    if len(code) != DIGITS or not (code.isascii() and code.isdigit()):
        return None
    totp = TOTP(secret, digits=DIGITS, interval=STEP_SECONDS)
    current = int(now) // STEP_SECONDS
    steps = range(current - DRIFT_STEPS, current + DRIFT_STEPS + 1)
    matches = [step for step in steps if strings_equal(code, totp.generate_otp(step))]
    return max(matches, default=None)


def provisioning_uri(secret: str, *, account: str, issuer: str) -> str:
    """The ``otpauth://`` address of the secret."""
    return TOTP(secret, digits=DIGITS, interval=STEP_SECONDS).provisioning_uri(name=account, issuer_name=issuer)


def qr(uri: str) -> segno.QRCode:
    """The address as a QR code; costs ten milliseconds, so it is made once for every form of picture."""
    import segno

    return segno.make(uri, error="m", mask=0)  # every reader undoes any of the eight masks; to try them all costs most of it


def qr_svg(code: segno.QRCode) -> str:
    """The code as an SVG picture, inline."""
    out = io.BytesIO()
    code.save(out, kind="svg", scale=5, border=4, xmldecl=False, svgns=True, light="#fff")
    return out.getvalue().decode().replace("#fff", "white").replace("#000", "black")  # a # would end the data: address it is put into


def qr_png_data_uri(code: segno.QRCode) -> str:
    """The code as a PNG picture in a ``data:`` address."""
    out = io.BytesIO()
    code.save(out, kind="png", scale=5, border=4)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
