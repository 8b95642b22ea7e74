"""Every route of the running router has a call in ``src/fluxbase/proof/calls``: what cannot be called cannot be proven (issue 4.7)."""

from __future__ import annotations

from tests.meta.reference import running_routes

WAITING: dict[str, str] = {}
WAITING |= dict.fromkeys(
    (
        "admin.users_2fa_reset",
        "auth.2fa_challenge",
        "auth.2fa_codes",
        "auth.2fa_disable",
        "auth.2fa_enable",
        "auth.2fa_setup",
        "auth.2fa_status",
        "auth.2fa_verify",
        "auth.captcha_check",
        "auth.captcha_config",
        "auth.passkeys",
        "auth.passkeys_register",
        "auth.passkeys_register_begin",
        "auth.passkeys_remove",
        "auth.passkeys_rename",
        "auth.passkeys_signin",
        "auth.passkeys_signin_begin",
        "gotrue.admin_factors",
        "gotrue.admin_factors_delete",
        "gotrue.admin_factors_update",
        "gotrue.admin_passkeys",
        "gotrue.admin_passkeys_delete",
        "gotrue.factors_challenge",
        "gotrue.factors_enroll",
        "gotrue.factors_unenroll",
        "gotrue.factors_verify",
        "gotrue.passkeys",
        "gotrue.passkeys_register",
        "gotrue.passkeys_register_begin",
        "gotrue.passkeys_remove",
        "gotrue.passkeys_rename",
        "gotrue.passkeys_signin",
        "gotrue.passkeys_signin_begin",
        "gotrue.recovery_codes",
        "gotrue.recovery_codes_generate",
        "gotrue.recovery_codes_regenerate",
        "gotrue.recovery_codes_remove",
        "gotrue.recovery_codes_verify",
    ),
    "factors: they need a user who has signed in, which the proof plants with the accounts' calls",
)
"""Routes that wait for their call, by name, with the reason. The proof itself fails on them: a line here only lets their author land."""


def test_every_route_has_a_call() -> None:
    """Each name and method; a new one goes into the table of its area."""
    from fluxbase.proof.calls import CALLS

    missing = {
        f"{route.name} {method}"
        for route in running_routes()
        for method in route.methods - {"HEAD", "OPTIONS"}
        if method not in {call.method for call in CALLS.get(route.name, ())} and route.name not in WAITING
    }
    assert sorted(missing) == [], "say in src/fluxbase/proof/calls how it is called (CONTRIBUTING.md, 'A new route')"


def test_every_call_has_a_route() -> None:
    """A call of a route that is gone proves nothing; who waits has no call yet."""
    from fluxbase.proof.calls import CALLS

    names = {route.name for route in running_routes()}
    assert sorted(CALLS.keys() - names) == []
    assert sorted(WAITING.keys() - names) == []
    assert sorted(WAITING.keys() & CALLS.keys()) == []
