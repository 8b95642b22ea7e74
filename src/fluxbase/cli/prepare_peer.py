"""What happens before the first worker when an existing database is served as it is: checks, and nothing is written to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.db.peer_database import check_login
from fluxbase.peer import effective_config, external_rules, peer_conninfo, quoted_function

if TYPE_CHECKING:
    from fluxbase.config import Config
    from fluxbase.db.peer_database import Login


def check_peer(config: Config) -> list[str]:
    """Check that the database can be served; what to tell the administrator. Raises ConfigError or PeerDatabaseError."""
    conninfo = peer_conninfo(config)
    effective = effective_config(config, conninfo)
    external_rules(effective)
    quoted_function(effective.external.pre_request)
    return _notes(effective, check_login(conninfo, effective.external.anon_role))


def _notes(config: Config, login: Login) -> list[str]:
    external = config.external
    keys = (
        "tokens verified with external.jwt_secret"
        if external.jwt_secret
        else "external.jwt_secret is not set: tokens are refused (PGRST300)"
    )
    notes = [
        f"Serving the database {login.database} as it is: PostgreSQL {login.version // 10_000}, login {login.name}, nothing is installed.",
        f"schemas           {', '.join(config.data.schemas)}",
        f"anonymous role    {external.anon_role or 'none: requests without a token are refused (PGRST302)'}",
        f"tokens            {keys}",
        f"relations         {'those under Row Level Security' if config.data.require_rls else 'all that grants allow'}",
    ]
    if login.is_superuser:
        notes.append("RED: the login is a superuser, so a token may name any role. Use a login with NOINHERIT and few memberships.")
    elif login.has_bypassrls:
        notes.append("RED: the login passes Row Level Security (BYPASSRLS).")
    if not config.data.require_rls:
        notes.append("RED: data.require_rls is false: a table without policies is open to every role with a grant.")
    return notes
