"""Connection strings in the two forms libpq knows."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_IN_URL = ("user", "password", "host", "port", "dbname")


def as_url(conninfo: str) -> str:
    """A libpq URL of a connection string. A socket directory goes into the query: a URL's host cannot be a path."""
    parts = {name: str(value) for name, value in conninfo_to_dict(conninfo).items() if value is not None}
    host, port = parts.get("host", ""), parts.get("port", "")
    login = quote(parts.get("user", ""), safe="")
    if "password" in parts:
        login += ":" + quote(parts["password"], safe="")
    rest = {name: value for name, value in parts.items() if name not in _IN_URL}
    place = ""
    if host.startswith(("/", "@")) or "," in host:
        rest |= {"host": host} | ({"port": port} if port else {})
    elif host:
        place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    elif port:
        rest["port"] = port
    query = "?" + urlencode(rest, quote_via=quote, safe="/") if rest else ""
    return f"postgresql://{login}@{place}/{quote(parts.get('dbname', ''), safe='')}{query}"


def with_login(conninfo: str, user: str, password: str) -> str:
    """The same place with another login."""
    return make_conninfo(conninfo, user=user, password=password)


def admin_database(conninfo: str) -> str:
    """The database a connection string names (its user's name when it names none)."""
    parts = conninfo_to_dict(conninfo)
    return str(parts.get("dbname") or parts.get("user") or "postgres")


def with_database(conninfo: str, name: str) -> str:
    """The same connection to another database."""
    return make_conninfo(conninfo, dbname=name)


def with_tls(conninfo: str, *, require: bool | None, ca_file: str) -> str:
    """TLS verified, unless the database is behind a socket or on loopback; ``require`` decides when it is set."""
    parts = {name: str(value) for name, value in conninfo_to_dict(conninfo).items() if value is not None}
    host = parts.get("host", "")
    is_near = not host or host.startswith(("/", "@")) or host in {"localhost", "127.0.0.1", "::1"}
    if require is False or (require is None and is_near and "sslmode" not in parts):
        return conninfo
    options = {"sslmode": "verify-full", "sslrootcert": ca_file or parts.get("sslrootcert", "system")}
    return make_conninfo(conninfo, **options)


def as_environment(conninfo: str) -> dict[str, str]:
    """The PG… variables of a connection string, for PostgreSQL's tools."""
    names = {
        "host": "PGHOST",
        "port": "PGPORT",
        "user": "PGUSER",
        "password": "PGPASSWORD",
        "dbname": "PGDATABASE",
        "sslmode": "PGSSLMODE",
        "sslrootcert": "PGSSLROOTCERT",
    }
    parts = conninfo_to_dict(conninfo)
    return {variable: str(parts[name]) for name, variable in names.items() if parts.get(name) is not None}
