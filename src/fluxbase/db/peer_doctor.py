"""``fluxbase doctor`` for a database served as it is: the lints that make sense without our kernel, and what this mode adds.

As the authenticator's own login, read only: nothing here can be mended by us.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.db.doctor import Finding, Fix, Level, Report, examine
from fluxbase.db.peer_database import assumable_roles, check_login

if TYPE_CHECKING:
    from collections.abc import Sequence

OF_OUR_KERNEL = frozenset({"event_triggers", "bypassrls", "superuser_login", "policies_read_settings"})
"""Lints about what only a managed database has; that policies read settings is how this mode works (docs/byo.md)."""


def examine_peer(conninfo: str, *, schemas: Sequence[str], open_relations: Sequence[str], anon_role: str, require_rls: bool) -> Report:
    """Raises DoctorError, PeerDatabaseError."""
    login = check_login(conninfo, anon_role)
    roles = assumable_roles(conninfo)
    report = examine(conninfo, schemas=schemas, open_relations=open_relations, client_roles=roles, without=OF_OUR_KERNEL)
    findings = list(report.findings)
    if not require_rls:
        findings.append(
            _red(
                "require_rls",
                "data.require_rls",
                "is false: a table without policies is open to every role with a grant",
                "take data.require_rls: false out of the configuration when every exposed table has row level security",
            )
        )
    if login.is_superuser:
        fix = "make a login for requests: create role authenticator login noinherit; and grant it the roles tokens may name"
        findings.append(_red("login", login.name, "is a superuser: a token may name any role", fix))
    elif login.has_bypassrls:
        findings.append(_red("login", login.name, "passes row level security", f"alter role {login.name} nobypassrls;"))
    return Report(tuple(sorted(findings, key=lambda finding: -finding.level)), report.lints)


def _red(lint: str, subject: str, detail: str, fix: str) -> Finding:
    why = "Nothing of ours is in this database, so its grants, its policies and this login are all that protects it."
    return Finding(lint, lint, why, Level.RED, subject, detail, fix, Fix.HAND)
