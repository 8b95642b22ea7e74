"""Every route by name: the tables of all areas in one. To add a route, add its line to an area's table (CONTRIBUTING.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.proof.calls import (
    accounts,
    captcha,
    control,
    dashboard,
    data,
    documents,
    factors,
    keys,
    mailed,
    passkeys,
    platform,
    providers,
    rbac,
    settings,
    tenants,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxbase.proof.call import Call

CALLS: Mapping[str, tuple[Call, ...]] = {
    **accounts.CALLS,
    **captcha.CALLS,
    **control.CALLS,
    **dashboard.CALLS,
    **data.CALLS,
    **documents.CALLS,
    **factors.CALLS,
    **keys.CALLS,
    **mailed.CALLS,
    **passkeys.CALLS,
    **providers.CALLS,
    **platform.CALLS,
    **rbac.CALLS,
    **settings.CALLS,
    **tenants.CALLS,
}
"""Name of a route → how it is called, at least one call for each of its methods (HEAD and OPTIONS follow by themselves)."""
