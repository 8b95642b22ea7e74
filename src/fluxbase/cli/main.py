"""The command line: one verb or noun a file, imported only when it is called, so that every command starts quickly."""

from __future__ import annotations

import sys
from importlib import import_module

from fluxbase import __version__

COMMANDS: dict[str, tuple[str, str]] = {
    "start": ("fluxbase.cli.start", "Start the server (embedded PostgreSQL unless FLUXBASE_DATABASE_URL is set)."),
    "keys": ("fluxbase.cli.keys", "Show and rotate the anon and service keys."),
    "db": ("fluxbase.cli.db", "psql, dump and restore as the administrator."),
    "tenant": ("fluxbase.cli.tenant", "Tenants: create, list, keys, repair, migrate, freeze, delete, recover, prove."),
    "org": ("fluxbase.cli.org", "Organisations of a tenant: create, list, members, add, remove, delete."),
    "role": ("fluxbase.cli.role", "Roles of a tenant: list, set, delete, grant to a user, revoke."),
    "migrate": ("fluxbase.cli.migrate", "Your own SQL migrations: new, up, status, down."),
    "mail": ("fluxbase.cli.mail", "Mails to users: list, show (in development), send a test."),
    "config": ("fluxbase.cli.config", "Show the configuration and where each value comes from."),
    "block": ("fluxbase.cli.block", "Addresses that are refused: list, add, remove."),
    "maintenance": ("fluxbase.cli.maintenance", "Answer 503 to everything or to one route: on, off, status."),
    "doctor": ("fluxbase.cli.doctor", "Check the database for what is open, weak or slow; --fix mends."),
}


def usage() -> str:
    """The menu that ``fluxbase --help`` prints."""
    lines = ["Fluxbase: PostgreSQL as REST under Row Level Security.", "", "Usage: fluxbase COMMAND [OPTIONS]", "", "Commands:"]
    lines += [f"  {name:<11} {text}" for name, (_, text) in COMMANDS.items()]
    lines += ["", "Examples:", "  fluxbase start --port 8080", "  fluxbase keys show --json", "  fluxbase db psql -- -c 'select 1'", ""]
    lines += ["fluxbase COMMAND --help shows a command's options."]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Entry point of the ``fluxbase`` command. Exit status 2 for an unknown command."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        sys.stdout.write(usage() + "\n")
        return
    name, *rest = arguments
    if name in {"--version", "version"}:
        sys.stdout.write(f"fluxbase {__version__}\n")
        return
    entry = COMMANDS.get(name)
    if entry is None:
        sys.stderr.write(f"fluxbase: there is no command '{name}'. fluxbase --help lists them.\n")
        raise SystemExit(2)
    import_module(entry[0]).app(args=rest, prog_name=f"fluxbase {name}")
