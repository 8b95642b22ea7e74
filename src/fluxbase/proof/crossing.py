"""The attacks on one route: one tenant's credential with the other's name, key, ids; which must be refused, which may be answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxbase.kernel.access import Access

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fluxbase.proof.call import Call
    from fluxbase.proof.plant import Place

_EXTRA_HEADERS = ("apikey", "x-client-key", "x-service-key")
_OWN_KINDS = ("anon_key", "publishable_key", "access_token", "service_key", "secret_key")
_BEFORE_ANY_CREDENTIAL = (Access.PUBLIC, Access.ENTRY)


@dataclass(frozen=True, slots=True)
class Crossing:
    """One attack."""

    name: str
    headers: Mapping[str, str]
    is_about_other: bool
    """Whether path and body name the other tenant's things."""
    must_refuse: bool
    """Any answer but a refusal is a leak; else only the other's canary in it, or a change of the other's data, is."""


def names_own(call: Call, access: Access) -> bool:
    """Whether an attack names the caller's own things too: where a header may name the tenant, beside a credential."""
    return access not in _BEFORE_ANY_CREDENTIAL and any(kind not in ("nobody", "instance") for kind in call.by)


def crossings(call: Call, access: Access, own: Place, other: Place, forged: Mapping[str, str]) -> Iterator[Crossing]:
    """Every attack on a call, by the credentials of ``own``."""
    if access is Access.INSTANCE or access is Access.LOOPBACK:
        for kind in _OWN_KINDS if access is Access.INSTANCE else ():
            yield Crossing(f"{kind} on a route of the instance", own.headers(kind), is_about_other=True, must_refuse=True)
        return
    is_read = access not in _BEFORE_ANY_CREDENTIAL
    kinds = [kind for kind in call.by if kind != "instance"]
    for kind in kinds:
        headers = own.headers(kind, is_entry=call.is_entry)
        if is_read and kind != "nobody":
            for name, value, is_about_other in (
                ("id", other.tenant.id, True),
                ("slug", other.tenant.slug, True),
                ("slug", other.tenant.slug, False),
            ):
                yield Crossing(
                    f"{kind}, X-FB-Tenant of the other ({name})", {**headers, "x-fb-tenant": value}, is_about_other, must_refuse=True
                )
            at_host = {**headers, "host": other.values["host"]}
            yield Crossing(f"{kind}, host name of the other", at_host, is_about_other=True, must_refuse=True)
            at_own = {"host": own.values["host"], "x-fb-tenant": other.tenant.slug}
            yield Crossing("host name of one's own, X-FB-Tenant of the other", at_own, is_about_other=True, must_refuse=True)
        yield Crossing(f"{kind}, ids of the other", headers, is_about_other=True, must_refuse=call.is_secret)
    own_kind = next((kind for kind in kinds if kind != "nobody"), None)
    if not is_read or own_kind is None:
        return
    if call.is_entry:
        for name, credential in forged.items():
            yield Crossing(f"{name}, as apikey", {"apikey": credential}, is_about_other=True, must_refuse=True)
        return
    for number, kind in enumerate(kind for kind in kinds if kind != "nobody"):
        header = _EXTRA_HEADERS[number % len(_EXTRA_HEADERS)]
        both = {**own.headers(own_kind), header: other.credentials[kind]}
        yield Crossing(f"{own_kind} with the other's {kind} in {header}", both, is_about_other=True, must_refuse=True)
        turned = {**other.headers(kind), header: own.credentials[own_kind]}
        yield Crossing(f"the other's {kind} with {own_kind} in {header}", turned, is_about_other=True, must_refuse=True)
    for name, credential in forged.items():
        yield Crossing(name, {"authorization": f"Bearer {credential}"}, is_about_other=True, must_refuse=True)
        both = {"authorization": f"Bearer {credential}", "x-fb-tenant": other.tenant.slug}
        yield Crossing(f"{name}, X-FB-Tenant of the other", both, is_about_other=True, must_refuse=True)
    instance = {**own.headers("instance"), "x-fb-tenant": other.tenant.slug}
    yield Crossing("the instance's key with X-FB-Tenant", instance, is_about_other=True, must_refuse=True)
