"""A client that keeps the rules the native TypeScript SDK imposes on a server (contract-native 0.1); there is no published package to run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

MAX_URL = 4096
"""Above it the SDK sends the query as a body."""


class SdkError(Exception):
    """A non-2xx answer: the text is ``error`` of the body, else the status text (rule 4)."""

    def __init__(self, answer: httpx.Response) -> None:
        self.status = answer.status_code
        self.details: Any = answer.json() if "application/json" in answer.headers.get("content-type", "") else None
        named = self.details.get("error") if isinstance(self.details, dict) else None
        super().__init__(str(named) if named is not None else answer.reason_phrase)


@dataclass
class Client:
    """``createClient(url, key)``."""

    url: str
    key: str
    tenant: str | None = None

    def send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[Any, httpx.Response]:
        """Rules 1 to 4 and 9: fixed headers, the path appended verbatim, JSON only when the answer says so."""
        fixed = {"Content-Type": "application/json", "apikey": self.key, "Authorization": f"Bearer {self.key}"}
        if self.tenant is not None:
            fixed["X-FB-Tenant"] = self.tenant
        with httpx.Client(timeout=30, trust_env=False, verify=False) as http:
            answer = http.request(method, self.url.rstrip("/") + path, json=body, headers=fixed | (headers or {}))
        if not answer.is_success:
            raise SdkError(answer)
        is_json = "application/json" in answer.headers.get("content-type", "")
        return (answer.json() if is_json else answer.text), answer

    def table(self, name: str) -> Query:
        """``client.from(name)``; ``schema.table`` names a schema (rule 11)."""
        return Query(self, "/api/v1/tables/" + name.replace(".", "/"))

    def rpc(self, name: str, params: dict[str, Any] | None = None) -> Any:
        """``client.rpc``: unwraps ``result``."""
        return self.send("POST", f"/api/v1/rpc/default/{name}", {"params": params or {}, "async": False})[0]["result"]


@dataclass
class Query:
    """The query builder."""

    client: Client
    path: str
    columns: str = "*"
    filters: list[tuple[str, str, Any]] = field(default_factory=list[tuple[str, str, Any]])
    orders: list[tuple[str, bool]] = field(default_factory=list[tuple[str, bool]])
    window: dict[str, int] = field(default_factory=dict[str, int])
    counted: str | None = None

    def select(self, columns: str, *, count: str | None = None) -> Query:
        """Columns, and whether to count."""
        self.columns, self.counted = columns, count
        return self

    def where(self, column: str, operator: str, value: Any) -> Query:
        """``.eq`` and its siblings."""
        self.filters.append((column, operator, value))
        return self

    def order(self, column: str, *, ascending: bool = True) -> Query:
        """Always with nullsfirst or nullslast."""
        self.orders.append((column, ascending))
        return self

    def range(self, first: int, last: int) -> Query:
        """Rows from ``first`` to ``last``."""
        self.window = {"limit": last - first + 1, "offset": first}
        return self

    def _query(self) -> str:
        pairs = [("select", self.columns)] if self.columns != "*" else []
        pairs += [(column, f"{operator}.{_text(value)}") for column, operator, value in self.filters]
        pairs += [("order", ",".join(f"{column}.{'asc' if up else 'desc'}.nullslast" for column, up in self.orders))] if self.orders else []
        pairs += [(name, str(value)) for name, value in self.window.items()]
        pairs += [("count", self.counted)] if self.counted else []
        return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)

    def execute(self) -> tuple[Any, int | None]:
        """The rows, and the count from Content-Range (rule 10)."""
        query = self._query()
        if len(self.path) + len(query) > MAX_URL:
            body: dict[str, Any] = {
                "select": self.columns,
                "filters": [{"column": column, "operator": operator, "value": value} for column, operator, value in self.filters],
                "order": [{"column": column, "direction": "asc" if up else "desc", "nulls": "last"} for column, up in self.orders],
                **self.window,
            }
            rows, answer = self.client.send("POST", f"{self.path}/query", body | ({"count": self.counted} if self.counted else {}))
        else:
            rows, answer = self.client.send("GET", f"{self.path}?{query}" if query else self.path)
        total = answer.headers.get("content-range", "").rpartition("/")[2]
        return rows, int(total) if total else None

    def single(self) -> Any:
        """Element 0; an empty array is the SDK's own error."""
        rows, _ = self.execute()
        if not rows:
            raise LookupError("PGRST116")
        return rows[0]

    def count(self) -> int:
        """``data[0].count`` when it is a number."""
        self.columns = "count(*)"
        found = self.execute()[0][0]["count"]
        assert isinstance(found, int)
        return found

    def insert(self, rows: Any) -> Any:
        """One object or many."""
        return self.client.send("POST", self.path, rows)[0]

    def upsert(self, rows: Any) -> Any:
        """With ``resolution=merge-duplicates``."""
        return self.client.send("POST", self.path, rows, {"Prefer": "resolution=merge-duplicates"})[0]

    def update(self, changes: dict[str, Any]) -> Any:
        """The filtered rows."""
        return self.client.send("PATCH", f"{self.path}?{self._query()}", changes)[0]

    def delete(self) -> None:
        """The filtered rows; the body is not looked at."""
        self.client.send("DELETE", f"{self.path}?{self._query()}")


def _text(value: Any) -> str:
    """null, true and false as words, arrays as ``(a,b)``, nothing quoted."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"({','.join(map(str, value))})" if isinstance(value, list) else str(value)
