"""Takes one SQL control away from a twin server, by name, and gives it back when the block ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.support.server import Server


@contextmanager
def without_event_trigger(server: Server, name: str) -> Iterator[None]:
    """The event trigger is off."""
    server.root_sql(f'alter event trigger "{name}" disable')
    try:
        yield
    finally:
        server.root_sql(f'alter event trigger "{name}" enable always')


@contextmanager
def without_trigger(server: Server, table: str, name: str) -> Iterator[None]:
    """The table's trigger is off."""
    server.root_sql(f"alter table {table} disable trigger {name}")
    try:
        yield
    finally:
        server.root_sql(f"alter table {table} enable always trigger {name}")


@contextmanager
def changed_function(server: Server, name: str, change: Callable[[str], str]) -> Iterator[None]:
    """The function's definition goes through ``change``, which must change something."""
    original = str(server.root_sql(f"select pg_get_functiondef('{name}'::regproc)")[0][0])
    changed = change(original)
    assert changed != original, f"the control is not in {name} any more"
    server.root_sql(changed)
    try:
        yield
    finally:
        server.root_sql(original)


def replaced_by(body: str) -> Callable[[str], str]:
    """A change that leaves the head and gives the function another body."""
    return lambda definition: definition[: definition.index("AS $function$")] + f"AS $function$ begin {body} end $function$"


def line_removed(text: str, by: str = "") -> Callable[[str], str]:
    """A change that replaces one piece of the definition."""
    return lambda definition: definition.replace(text, by)


@contextmanager
def granted(server: Server, privilege: str, grantee: str) -> Iterator[None]:
    """``privilege`` (``select on auth.keys``) is granted."""
    server.root_sql(f"grant {privilege} to {grantee}")
    try:
        yield
    finally:
        server.root_sql(f"revoke {privilege} from {grantee}")
