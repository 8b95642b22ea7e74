"""The whole proof: plant, attack the routes, the logins and the pool, search what was written, report, clean up."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from fluxbase.kernel.errors import InvalidInput
from fluxbase.observe.log import configure
from fluxbase.observe.metrics import Metrics
from fluxbase.proof.calls import CALLS
from fluxbase.proof.calls.captcha import FLOW
from fluxbase.proof.devices import ORIGIN, RELYING_PARTY
from fluxbase.proof.interleave import REQUESTS, interleave
from fluxbase.proof.journal import Journal
from fluxbase.proof.logins import LoginProof
from fluxbase.proof.plant import Plants
from fluxbase.proof.removal import take_back
from fluxbase.proof.routes import RouteProof, Tally

if TYPE_CHECKING:
    from collections.abc import Collection

    from fluxbase.app import Program
    from fluxbase.config import Config
    from fluxbase.proof.journal import Planted
    from fluxbase.proof.plant import Place
    from fluxbase.tenancy.registry import Tenant

BASE_HOST = "tenants.proof.invalid"
HOOKS = ("before_sign_up", "after_sign_up", "before_sign_in", "after_sign_in", "token_issue")
SECTIONS = ("routes", "logins", "interleaved")
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
    program: Program, first: str, second: str, *, only: Collection[str] = (), sections: Collection[str] = SECTIONS,
    is_first_enough: bool = False,
) -> Proof:  # fmt: skip
    """Prove that two tenants are apart. ``program`` is open and was made with :func:`for_proof`; ``only`` (names of routes),
    ``sections`` and ``is_first_enough`` are for tests.

    Raises NotFound for a tenant that is not served, InvalidInput for one named twice, Conflict while another proof runs.
    """
    with Journal(program.config.data_dir) as journal:
        unfinished = journal.read()
        if unfinished is not None:
            await take_back(program, unfinished)
            journal.clear()
        tenants = [await program.registry.resolve(name) for name in (first, second)]
        if tenants[0].id == tenants[1].id:
            raise InvalidInput("These are one tenant.", code="same_tenant", hint="Name two.")
        run = ProofRun(program, only, sections, is_first_enough=is_first_enough)
        planned = await run.plants.planned(tenants)
        journal.write(planned)
        try:
            return await run.attack(tenants, planned)
        finally:
            await run.plants.close()
            program.pools.close()
            await take_back(program, planned)
            journal.clear()


class ProofRun:
    """One run of the proof in this process; everything that is written is kept and searched."""

    def __init__(self, program: Program, only: Collection[str], sections: Collection[str], *, is_first_enough: bool) -> None:
        self._program = program
        self._sections = sections
        self._is_first_enough = is_first_enough
        self._lines, self._events = Lines(), io.StringIO()
        program.metrics, program.lines = Metrics(), self._lines  # type: ignore[assignment]
        program.build_data_plane()
        self._app = program.pipeline()
        self._routes = [route for route in program.routes() if not only or route.name in only]
        self._tally = Tally()
        self.plants = Plants(program, self._app)

    async def attack(self, tenants: list[Tenant], planned: Planted) -> Proof:
        """Plant, attack, search."""
        with contextlib.redirect_stdout(self._events):
            configure("debug", "json")
            is_destructive = any("{scratch}" in call.path for route in self._routes for call in CALLS.get(route.name, ()))
            places = await self.plants.plant(tenants, planned, with_scratch=is_destructive and "routes" in self._sections)
            proof = Proof([{"slug": tenant.slug, "id": tenant.id, "isolation": tenant.isolation} for tenant in tenants], self._tally)
            for name, attack in (("routes", self._attack_routes), ("logins", self._attack_logins), ("interleaved", self._interleave)):
                if name in self._sections and not (self._is_first_enough and self._tally.findings):
                    proof.sections[name] = await attack(places[0], places[1])
        self._search(places)
        return proof

    async def _attack_routes(self, first: Place, second: Place) -> dict[str, Any]:
        attack = RouteProof(self._app, self._routes, CALLS, self.plants, self._tally, is_first_enough=self._is_first_enough)
        await attack.run(first, second)
        trials = self._tally.trials
        return {"routes": len(self._routes), "calls": len(trials), "attacks": sum(trials.values()), "answers": attack.answers}

    async def _attack_logins(self, first: Place, second: Place) -> dict[str, Any]:
        logins = LoginProof(self._program, self.plants.schema, self._tally)
        await logins.run(first, second)
        await logins.run(second, first)
        return {"attacks": logins.attacks}

    async def _interleave(self, first: Place, second: Place) -> dict[str, Any]:
        seen = await interleave(self._app, first, second, self._tally)
        return {"requests": REQUESTS, "connections": POOL_SIZE, "showed_their_own": seen}

    def _search(self, places: list[Place]) -> None:
        log = b"\n".join([*self._lines.written, self._events.getvalue().encode()])
        for where, text in {"log": log, "metrics": orjson.dumps(vars(self._program.metrics))}.items():
            for place in places:
                for name, secret in place.secrets().items():
                    if secret.encode() in text:
                        self._tally.found("leak", where, f"a tenant's {name} is written there")
