"""The whole proof: plant, attack the routes, the logins and the pool, search what was written, report, clean up."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from fluxbase.proof.calls import CALLS
from fluxbase.proof.calls.captcha import FLOW
from fluxbase.proof.devices import ORIGIN, RELYING_PARTY
from fluxbase.proof.interleave import REQUESTS, interleave
from fluxbase.proof.logins import LoginProof
from fluxbase.proof.plant import Plants
from fluxbase.proof.routes import RouteProof, Tally

if TYPE_CHECKING:
    from collections.abc import Collection

    from fluxbase.app import Program
    from fluxbase.config import Config

BASE_HOST = "tenants.proof.invalid"
HOOKS = ("before_sign_up", "after_sign_up", "before_sign_in", "after_sign_in", "token_issue")
POOL_SIZE = 2
"""Connections a role and database: so few that both tenants take turns on each."""


class Lines:
    """Takes the place of the access log's writer and keeps what it is given."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, fields: dict[str, Any]) -> None:
        """One line."""
        self.written.append(orjson.dumps(fields))

    def flush(self) -> None:
        """Nothing is held back."""


@dataclass(slots=True)
class Proof:
    """What the proof of two tenants came to."""

    tenants: list[dict[str, str]]
    tally: Tally
    sections: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    @property
    def holds(self) -> bool:
        """No leak, no gap."""
        return not self.tally.findings


def for_proof(config: Config) -> Config:
    """The instance's configuration as the attack needs it: a pool of two, every area switched on, no limit that would end the
    attack, nobody told of the planted users, and cheap hashes for their random passwords."""
    changes: dict[str, dict[str, Any]] = {
        "database": {"pool_size": POOL_SIZE},
        "auth": {
            "anonymous_enabled": True, "signup_enabled": True, "password_enabled": True, "require_email_verification": False,
            "hash_algorithm": "argon2id", "argon2_memory_kib": 7168, "argon2_passes": 1,
        },
        "limits": {"enabled": False},
        "tenants": {"max_tenants": config.tenants.max_tenants + 20, "base_host": config.tenants.base_host or BASE_HOST},
        "mfa": {"totp_enabled": True, "webauthn_enabled": True, "enforcement": "enrolled", "tenant_enforcement": {}, "required_roles": []},
        "passkeys": {"enabled": True, "rp_id": RELYING_PARTY, "origins": [ORIGIN]},
        "captcha": {"enabled": True, "provider": "proof_of_work", "endpoints": [FLOW], "difficulty_bits": 8},
        "hooks": dict.fromkeys(HOOKS, ""),
    }  # fmt: skip
    return config.model_copy(update={name: getattr(config, name).model_copy(update=change) for name, change in changes.items()})


async def prove(
    program: Program, first: str, second: str, *, without: Collection[str] = (), only: Collection[str] = (), is_first_enough: bool = False
) -> Proof:
    """Prove that two tenants are apart. ``program`` is open and was made with :func:`for_proof`; ``without`` (lines of the
    pipeline) and ``only`` (names of routes) are for tests.

    Raises NotFound for a tenant that is not served, InvalidInput for one named twice.
    """
    from fluxbase.kernel.errors import InvalidInput
    from fluxbase.observe.log import configure
    from fluxbase.observe.metrics import Metrics

    if (await program.registry.resolve(first)).id == (await program.registry.resolve(second)).id:
        raise InvalidInput("These are one tenant.", code="same_tenant", hint="Name two.")
    lines, events = Lines(), io.StringIO()
    with contextlib.redirect_stdout(events):
        configure("debug", "json")
        program.metrics, program.lines = Metrics(), lines  # type: ignore[assignment]
        program.build_data_plane()
        app = program.pipeline(tuple(without))
        plants = Plants(program, app)
        tally = Tally()
        try:
            routes = [route for route in program.routes() if not only or route.name in only]
            with_scratch = any("{scratch}" in call.path for route in routes for call in CALLS.get(route.name, ()))
            places = await plants.plant([first, second], with_scratch=with_scratch)
            attack = RouteProof(app, routes, CALLS, plants, tally, is_first_enough=is_first_enough)
            await attack.run(*places)
            logins = LoginProof(program, plants.schema, tally)
            seen = 0
            if not (is_first_enough and tally.findings):
                await logins.run(places[0], places[1])
                await logins.run(places[1], places[0])
                seen = await interleave(app, places[0], places[1], tally)
            written = {"log": b"\n".join([*lines.written, events.getvalue().encode()]), "metrics": orjson.dumps(vars(program.metrics))}
            for where, text in written.items():
                for place in places:
                    for name, secret in place.secrets().items():
                        if secret.encode() in text:
                            tally.found("leak", where, f"a tenant's {name} is written there")
        finally:
            await plants.remove()
            program.pools.close()
    proof = Proof([{"slug": place.tenant.slug, "id": place.tenant.id, "isolation": place.tenant.isolation} for place in places], tally)
    proof.sections["routes"] = {
        "routes": len(routes), "calls": len(tally.trials), "attacks": sum(tally.trials.values()), "answers": attack.answers,
    }  # fmt: skip
    proof.sections["logins"] = {"attacks": logins.attacks}
    proof.sections["interleaved"] = {"requests": REQUESTS, "connections": POOL_SIZE, "showed_their_own": seen}
    return proof
