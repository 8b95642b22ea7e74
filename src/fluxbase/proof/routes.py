"""Goes through every route of the running router: first it must work with the tenant's own credential, then it is attacked.

A route without a call, a call that does not work, and a call that does not show its tenant's canary fail the proof as a leak
does: what was not seen working was not proven.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fluxbase.proof.call import Call, Computed, filled, picked
from fluxbase.proof.crossing import crossings, names_own
from fluxbase.proof.request import Answer, ask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fluxbase.proof.crossing import Crossing
    from fluxbase.proof.plant import Place, Plants
    from fluxbase.web.context import App
    from fluxbase.web.routing import Route

AT_ONCE = 8
"""Attacks under way."""
_DERIVED = frozenset({"HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Finding:
    """Why the proof fails. No value of a tenant is in it."""

    kind: str
    """``leak``, ``uncovered`` (nobody said how to call it) or ``control`` (it does not work with its own credential)."""
    where: str
    what: str


@dataclass(slots=True)
class Tally:
    """What was tried and what was found."""

    trials: dict[str, int] = field(default_factory=dict[str, int])
    findings: list[Finding] = field(default_factory=list[Finding])

    def tried(self, where: str) -> None:
        """One more attack."""
        self.trials[where] = self.trials.get(where, 0) + 1

    def found(self, kind: str, where: str, what: str) -> None:
        """One more reason to fail, each told once."""
        finding = Finding(kind, where, what)
        if finding not in self.findings:
            self.findings.append(finding)


class RouteProof:
    """The attack on the routes, between two tenants, in both directions."""

    def __init__(
        self, app: App, routes: Sequence[Route], calls: Mapping[str, Sequence[Call]], plants: Plants, tally: Tally, *, is_first_enough: bool
    ) -> None:
        self._app = app
        self._routes = routes
        self._calls = calls
        self._plants = plants
        self._tally = tally
        self._is_first_enough = is_first_enough
        self.answers: dict[str, int] = {}
        """Answers by status, so that a report shows what happened."""

    async def run(self, first: Place, second: Place) -> None:
        """Prove every route."""
        directions = ((first, second), (second, first))
        forged = {own.tenant.id: await self._plants.forged(own, other) for own, other in directions}
        for route in self._routes:
            for method in sorted(route.methods - _DERIVED):
                known = [call for call in self._calls.get(route.name, ()) if call.method == method]
                if not known:
                    self._tally.found(
                        "uncovered", f"{method} {route.pattern}", f"nobody said how to call it: add {route.name} to proof/calls"
                    )
                for call in known:
                    for own, other in directions:
                        await self._prove(route, call, own, other, forged[own.tenant.id])
                        if self._is_first_enough and self._tally.findings:
                            return

    async def _prove(self, route: Route, call: Call, own: Place, other: Place, forged: Mapping[str, str]) -> None:
        where = f"{call.method} {route.pattern}"
        for kind in call.by:
            if not await self._works(call, kind, own, other, where):
                return
        about = await self._subjects(call, own, other, where, {True, not names_own(call, route.access)})
        attacks = list(crossings(call, route.access, own, other, forged))
        before = await self._plants.state(other)
        gate = asyncio.Semaphore(AT_ONCE)

        async def attack_once(crossing: Crossing) -> None:
            async with gate:
                values = {**about[crossing.is_about_other], "mine": own.canary, "mark": f"planted-{secrets.token_hex(4)}"}
                await self._attack(route, call, crossing, values, other, where)

        async with asyncio.TaskGroup() as group:  # what is refused uses nothing up
            for crossing in attacks:
                if crossing.must_refuse:
                    group.create_task(attack_once(crossing))
        for crossing in attacks:
            if not crossing.must_refuse:
                await attack_once(crossing)
                if call.ends_session:
                    await self._plants.sign_in(own)
        if await self._plants.state(other) != before:
            self._tally.found("leak", where, "an attack changed what is in the other tenant")

    async def _subjects(self, call: Call, own: Place, other: Place, where: str, sides: set[bool]) -> dict[bool, dict[str, str]]:
        """Whose things the attacks name: the other's (True), one's own (False)."""
        kind = call.by[0]
        places = {True: other, False: own}
        made = await asyncio.gather(*(self._prepared(call, kind, places[side], where) for side in sides))
        return {side: values or {} for side, values in zip(sides, made, strict=True)}

    async def _works(self, call: Call, kind: str, own: Place, other: Place, where: str) -> bool:
        """The positive control, for one kind of credential."""
        values = await self._prepared(call, kind, own, where)
        if values is None:
            return False
        answer = await self._send(
            call, call.method, own.headers(kind, is_entry=call.is_entry), {**values, "mine": own.canary, "mark": own.canary}
        )
        if call.ends_session:
            await self._plants.sign_in(own)
        if answer.status not in call.status:
            self._tally.found("control", where, f"with its own {kind} it answers {answer.status} instead of {call.status}")
            return False
        if kind != "instance":  # which may see every tenant
            self._look(answer, other, where, f"its own {kind}")
        if call.shows and own.tenant.isolation in call.shows_in and not answer.contains(values[call.shows]):
            self._tally.found("control", where, f"with its own {kind} it does not show the tenant's {call.shows}")
            return False
        return True

    async def _prepared(self, call: Call, kind: str, place: Place, where: str) -> dict[str, str] | None:
        """The values of a place, with what the ``before`` calls made for this kind of credential."""
        await self._plants.refresh(place)
        values = dict(place.values)
        for step in call.before:
            if isinstance(step, Computed):
                values |= step.of(values)
                continue
            answer = await self._send(
                step, step.method, place.headers(kind if kind in step.by else step.by[0], is_entry=step.is_entry), values
            )
            try:
                values |= {name: picked(answer.json(), path) for name, path in step.keep.items()}
                if step.signs_in:
                    place.credentials[step.signs_in] = picked(answer.json(), "access_token")
            except (KeyError, IndexError, TypeError, ValueError):
                self._tally.found("control", where, f"{step.method} {step.path}, which comes before, answers {answer.status}")
                return None
        return values

    async def _attack(self, route: Route, call: Call, crossing: Crossing, values: Mapping[str, str], other: Place, where: str) -> None:
        methods = [call.method, *sorted(route.methods & _DERIVED if call.method == "GET" and crossing.must_refuse else ())]
        for method in methods:
            self._tally.tried(where)
            answer = await self._send(call, method, crossing.headers, values)
            self._look(answer, other, where, crossing.name)
            if crossing.must_refuse and method != "OPTIONS" and not 400 <= answer.status < 500:
                self._tally.found("leak", where, f"{crossing.name}: answered {answer.status} instead of a refusal")

    def _look(self, answer: Answer, other: Place, where: str, how: str) -> None:
        for name, text in other.secrets().items():
            if answer.contains(text):
                self._tally.found("leak", where, f"{how}: the answer shows the other tenant's {name}")

    async def _send(self, call: Call, method: str, credential: Mapping[str, str], values: Mapping[str, str]) -> Answer:
        headers = {**filled(call.headers, values), **credential}
        written = {**values, "canary": values.get("mine", values["canary"])}  # nobody writes the other's canary himself
        answer = await ask(self._app, method, filled(call.path, values), headers, filled(call.body, written))
        self.answers[str(answer.status)] = self.answers.get(str(answer.status), 0) + 1
        return answer
