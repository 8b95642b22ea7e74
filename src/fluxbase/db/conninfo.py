"""Connection strings in the two forms libpq knows."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from psycopg.conninfo import conninfo_to_dict

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
