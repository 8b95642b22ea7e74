"""The report: a JSON document signed with the instance's key, which ``fluxbase tenant prove --verify`` checks again.

The signature is a token of its own kind (``typ: proof+jwt``, accepted nowhere else) over the SHA-256 of the report's canonical bytes.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import orjson

from fluxbase import __version__
from fluxbase.crypto.jwt import parse_claims, parse_compact
from fluxbase.kernel.errors import FluxbaseError, InvalidInput

if TYPE_CHECKING:
    from fluxbase.auth.keyring import KeyRing
    from fluxbase.proof.prove import Proof

REPORT_TYPE = "proof+jwt"


def signed(proof: Proof, ring: KeyRing) -> bytes:
    """The report as it is written to a file."""
    report: dict[str, Any] = {
        "version": __version__, "at": int(time.time()), "holds": proof.holds, "tenants": proof.tenants, "sections": proof.sections,
        "attacks": dict(sorted(proof.tally.trials.items())), "findings": [asdict(finding) for finding in proof.tally.findings],
    }  # fmt: skip
    claims: dict[str, object] = {"sha256": _digest(report), "iat": report["at"]}
    return orjson.dumps({"report": report, "signature": ring.signer.sign(claims, REPORT_TYPE)}, option=orjson.OPT_INDENT_2)


def verified(text: bytes, ring: KeyRing) -> dict[str, Any]:
    """The report of a file whose signature holds. Raises InvalidInput."""
    try:
        document = orjson.loads(text)
        report, token = document["report"], parse_compact(str(document["signature"]))
    except (ValueError, KeyError, TypeError, FluxbaseError):
        raise InvalidInput("This is no report of a proof.", code="bad_report") from None
    key = ring.verifying.get(token.key_id or "")
    if key is None or key.algorithm != token.algorithm or token.type != REPORT_TYPE or not key.verifies(token):
        raise InvalidInput("The report was not signed by this instance.", code="bad_report")
    if parse_claims(token).get("sha256") != _digest(report):
        raise InvalidInput("The report was changed after it was signed.", code="bad_report")
    return cast("dict[str, Any]", report)


def _digest(report: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(report, option=orjson.OPT_SORT_KEYS)).hexdigest()
