"""Keys that users and administrators make: client keys with scopes, named service keys (contract-native 1.9, 2.8; docs/keys.md).

A key is shown once; only its SHA-256 is stored. Whoever makes one gives at most what he may do himself. A change, the denial of
what it ends (a trigger of the table) and its audit row are one transaction, so a revoked key is refused on its next request,
whatever a node has at hand; what a node has at hand of a key that was
changed is refused there (FB004), and looked up again.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from fluxbase.auth import api_key_store as store
from fluxbase.auth.roles import actor_of
from fluxbase.crypto.opaque import LIVE, PUBLISHABLE, SECRET, TEST, format_opaque, parse_opaque, tenant_locator
from fluxbase.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound, Revoked, Unauthenticated
from fluxbase.kernel.ids import ANON, RoleName, UserId
from fluxbase.kernel.permissions import ALL_SCOPES, ISSUED, administers
from fluxbase.kernel.principal import CredentialKind, Principal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fluxbase.auth.api_key_store import Row
    from fluxbase.auth.ports import AuditRecorder, SystemSessions
    from fluxbase.crypto.opaque import OpaqueKey
    from fluxbase.kernel.ids import TenantId
    from fluxbase.tenancy.registry import Tenant

SCOPES = frozenset({
    "tables:read", "tables:write", "storage:read", "storage:write", "functions:read", "functions:execute", "auth:read", "auth:write",
    "clientkeys:read", "clientkeys:write", "webhooks:read", "webhooks:write", "monitoring:read", "realtime:connect", "realtime:broadcast",
    "rpc:read", "rpc:execute", "jobs:read", "jobs:write", "ai:read", "ai:write", "secrets:read", "secrets:write", "migrations:read",
    "migrations:execute", ALL_SCOPES,
})  # fmt: skip
VERBS = frozenset({"select", "insert", "update", "delete"})
RIGHTS = ("scopes", "tables", "networks", "expires_at", "rate_limit_per_minute", "rate_limit_per_hour")
"""What a key may do; a change of them ends the version before."""
CHANGEABLE = ("name", "description", "tables", "expires_at", "rate_limit_per_minute", "rate_limit_per_hour")
"""Members of a new key that are stored as they are given."""
MOST_KEYS = 100
"""Of one user."""
SHOWN_LETTERS = 18
_TABLE = re.compile(r"[^\s\".]{1,63}(?:\.[^\s\".]{1,63})?")


@dataclass(frozen=True, slots=True)
class NewKey:
    """What somebody asks for; ``role`` is decided by the use case."""

    name: str
    scopes: tuple[str, ...]
    description: str = ""
    tables: dict[str, list[str]] | None = None
    networks: tuple[str, ...] = ()
    rate_limit_per_minute: int = 100
    rate_limit_per_hour: int | None = None
    expires_at: str | None = None
    is_test: bool = False
    user_id: str | None = None
    key_type: str = "service"


def unknown_key() -> NotFound:
    """The one answer for a key that is not there and for somebody else's."""
    return NotFound("No such key.", code="unknown_key")


class ApiKeys:
    """The use cases, and what the verifier asks. ``changed`` is told whose keys this process changed."""

    def __init__(
        self, sessions: SystemSessions, tenant_of: Callable[[TenantId], Tenant], record: AuditRecorder, changed: Callable[[TenantId], None],
        *, issuer: str, schema: str,
    ) -> None:  # fmt: skip
        self._sessions = sessions
        self._tenant_of = tenant_of
        self._record = record
        self._changed = changed
        self._issuer = issuer
        self._schema = schema
        self._uses: dict[TenantId, dict[str, tuple[float, str]]] = {}

    # -- what the verifier asks ---------------------------------------------------------------------------------------------

    async def principal(self, tenant: TenantId, key: OpaqueKey, now: float) -> Principal:
        """Who presents this key. Raises Unauthenticated for one nobody made, Revoked for one that is over."""
        async with self._sessions(self._tenant_of(tenant), reason="look a key up") as tx:
            row = await store.select_by_hash(tx, tenant, key.digest)
        if row is None or _prefix(row) not in (key.prefix, None):
            raise Unauthenticated("Invalid API key", pgrst="PGRST301", code="invalid_key")
        if row["revoked_at"] is not None or not row["is_enabled"]:
            raise Revoked("This key has been revoked", pgrst="PGRST303")
        if row["ends_at"] is not None and row["ends_at"] <= now:
            raise Unauthenticated("This key has expired", pgrst="PGRST303", code="key_expired")
        return _principal(tenant, row, self._issuer)

    def used(self, principal: Principal, address: str) -> None:
        """Note a use; written by :meth:`write_uses`."""
        if principal.credential_id is not None:
            self._uses.setdefault(principal.tenant, {})[principal.credential_id] = (time.time(), address)

    async def write_uses(self) -> None:
        """Write what was noted since the last time, one statement a tenant."""
        noted, self._uses = self._uses, {}
        for tenant, uses in noted.items():
            async with self._sessions(self._tenant_of(tenant), reason="note uses of keys") as tx:
                await store.touch_keys(tx, tenant, uses)

    # -- client keys --------------------------------------------------------------------------------------------------------

    async def create(self, principal: Principal, kind: str, new: NewKey) -> tuple[Row, str]:
        """The record and, this once, the key. Raises InvalidInput, Forbidden."""
        row = self._checked(new)
        tenant = self._tenant_of(principal.tenant)
        if kind == "client":
            owner = self._owner(principal, new.user_id)
            prefix, role = (TEST if new.is_test else LIVE), "authenticated" if owner else "anon"
        else:
            owner, prefix, role = None, *_OF_TYPE[new.key_type]
        _refuse_wider(principal, row | {"user_id": owner})
        text = format_opaque(prefix, tenant_locator(tenant.id), secrets.token_bytes(32))
        parsed = parse_opaque(text)
        if parsed is None:
            raise RuntimeError("a key that was just made does not parse")
        row |= {"kind": kind, "role": role, "user_id": owner, "key_prefix": text[:SHOWN_LETTERS], "created_by": actor_of(principal)}
        async with self._open(principal, "make a key") as tx:
            if owner is not None and await store.count_keys(tx, tenant.id, owner) >= MOST_KEYS:
                raise Conflict(f"A user has at most {MOST_KEYS} keys.", code="too_many_keys")
            made = await store.insert_key(tx, tenant.id, row, parsed.digest)
            await self._note(tx, principal, "created", made["id"], {"kind": kind, "scopes": sorted(new.scopes), "user": owner})
        return made, text

    async def list(self, principal: Principal, kind: str, user: str | None = None) -> list[Row]:
        """One's own client keys; an administrator sees all, or a user's."""
        whose = user if administers(principal) else self._owner(principal, user)
        async with self._open(principal, "list keys") as tx:
            return await store.select_keys(tx, principal.tenant, kind, whose)

    async def get(self, principal: Principal, kind: str, key: str) -> Row:
        """One of them. Raises NotFound."""
        async with self._open(principal, "read a key") as tx:
            return await self._own(tx, principal, kind, key)

    async def update(self, principal: Principal, kind: str, key: str, change: dict[str, Any]) -> Row:
        """Change the members given. Raises NotFound, InvalidInput, Forbidden."""
        async with self._open(principal, "change a key") as tx:
            row = await self._own(tx, principal, kind, key)
            if row["revoked_at"] is not None:
                raise Conflict("The key has been revoked.", code="key_revoked")
            wanted = NewKey(
                **{name: change.get(name, row[name]) for name in CHANGEABLE},
                scopes=tuple(change.get("scopes", row["scopes"])),
                networks=tuple(change.get("networks", row["networks"])),
            )
            checked = self._checked(wanted) | {"is_enabled": change.get("is_enabled", row["is_enabled"])}
            _refuse_wider(principal, checked | {"user_id": row["user_id"]})
            moves = any(checked[name] != row[name] for name in RIGHTS)
            changed = await store.update_key(tx, principal.tenant, key, checked, moves_version=moves)
            await self._note(tx, principal, "updated", key, {"members": sorted(change)})
        self._changed(principal.tenant)
        return changed

    async def revoke(self, principal: Principal, kind: str, key: str, reason: str = "") -> Row:
        """Refused from the commit on, on every node."""
        async with self._open(principal, "revoke a key") as tx:
            await self._own(tx, principal, kind, key)
            await store.revoke_key(tx, principal.tenant, key, actor_of(principal), reason)
            await self._note(tx, principal, "revoked", key, {"reason": reason})
            row = await self._own(tx, principal, kind, key)
        self._changed(principal.tenant)
        return row

    async def delete(self, principal: Principal, kind: str, key: str) -> None:
        """Revoked and out of the list."""
        async with self._open(principal, "delete a key") as tx:
            await self._own(tx, principal, kind, key)
            await store.delete_key(tx, principal.tenant, key)
            await self._note(tx, principal, "deleted", key, {})
        self._changed(principal.tenant)

    # -- service keys -------------------------------------------------------------------------------------------------------

    async def deprecate(self, principal: Principal, key: str, hours: int, replaced_by: str | None = None) -> Row:
        """Valid for ``hours`` more."""
        async with self._open(principal, "deprecate a key") as tx:
            await self._own(tx, principal, "service", key)
            await store.deprecate_key(tx, principal.tenant, key, hours, replaced_by)
            await self._note(tx, principal, "deprecated", key, {"hours": hours, "replaced_by": replaced_by})
            row = await self._own(tx, principal, "service", key)
        self._changed(principal.tenant)
        return row

    async def rotate(self, principal: Principal, key: str, name: str | None, scopes: Iterable[str] | None, hours: int) -> tuple[Row, str]:
        """A new key in place of an old one, which stays valid for ``hours``."""
        old = await self.get(principal, "service", key)
        if old["revoked_at"] is not None:
            raise Conflict("The key has been revoked.", code="key_revoked")
        kept: Row = {member: old[member] for member in CHANGEABLE}
        kept["name"] = name or old["name"]
        new = NewKey(
            **kept,
            scopes=tuple(old["scopes"] if scopes is None else scopes),
            networks=tuple(old["networks"]),
            key_type="anon" if old["role"] == ANON else "service",
        )
        made, text = await self.create(principal, "service", new)
        await self.deprecate(principal, key, hours, made["id"])
        return made, text

    # ------------------------------------------------------------------------------------------------------------------------

    def _owner(self, principal: Principal, wanted: str | None) -> str | None:
        """Whom a key is for: oneself, or whom an administrator names."""
        if administers(principal):
            return wanted
        if principal.user_id is None:
            raise Forbidden("A signed-in user is required.", code="user_required")
        if wanted is not None and wanted != principal.user_id:
            raise unknown_key()
        return principal.user_id

    async def _own(self, tx: Any, principal: Principal, kind: str, key: str) -> Row:
        row = await store.select_key(tx, principal.tenant, kind, key)
        if row is None or not (administers(principal) or (principal.user_id is not None and row["user_id"] == principal.user_id)):
            raise unknown_key()
        return row

    def _checked(self, new: NewKey) -> Row:
        """The members as they are stored. Raises InvalidInput."""
        if not new.name.strip() or len(new.name) > 200 or not new.name.isprintable():
            raise InvalidInput("A name has 1 to 200 printable characters.", code="bad_name")
        if not new.scopes or not SCOPES.issuperset(new.scopes):
            raise InvalidInput("A key has at least one scope, and only known ones.", code="bad_scope", hint="See docs/keys.md.")
        return {
            **{member: getattr(new, member) for member in CHANGEABLE},
            "scopes": sorted(set(new.scopes)),
            "tables": None if new.tables is None else _tables(new.tables, self._schema),
            "networks": [_network(text) for text in new.networks],
        }

    def _open(self, principal: Principal, reason: str) -> Any:
        return self._sessions(self._tenant_of(principal.tenant), reason=reason)

    async def _note(self, tx: Any, principal: Principal, what: str, key: str, details: dict[str, object]) -> None:
        await self._record(
            tx, action=f"auth.api_key.{what}", actor=actor_of(principal), resource=f"auth.api_keys/{key}",
            details={**details, "tenant": principal.tenant},
        )  # fmt: skip


_OF_TYPE = {"service": (SECRET, "service_role"), "anon": (PUBLISHABLE, "anon")}


def _prefix(row: Row) -> str | None:
    """The prefix its text must have; None: either of the two of client keys."""
    if row["kind"] == "client":
        return TEST if row["key_prefix"].startswith(TEST) else LIVE
    return PUBLISHABLE if row["role"] == ANON else SECRET


def _refuse_wider(principal: Principal, wanted: Row) -> None:
    """A key makes no key that may do more: scopes, tables, networks and end, nor one of another user when it is limited itself."""
    if principal.credential not in ISSUED:
        return
    scopes, tables = principal.scopes, wanted["tables"]
    if scopes is not None and ALL_SCOPES not in scopes:
        if not scopes.issuperset(wanted["scopes"]):
            raise Forbidden("A key can give only scopes it has itself.", code="more_than_own")
        if wanted["user_id"] not in (None, principal.user_id):
            raise Forbidden("A key with scopes makes no key of a user.", code="more_than_own")
    if principal.tables is not None and (tables is None or not principal.tables.issuperset(_pairs(tables))):
        raise Forbidden("A key can give only tables and verbs it has itself.", code="more_than_own")
    if principal.networks and not (wanted["networks"] and all(_is_within(each, principal.networks) for each in wanted["networks"])):
        raise Forbidden("A key can give only networks within its own.", code="more_than_own")
    if principal.expires_at is not None and not _ends_by(wanted["expires_at"], principal.expires_at):
        raise Forbidden("A key makes no key that outlives it.", code="more_than_own", hint="expires_at: not after its own.")


def _pairs(tables: dict[str, list[str]]) -> frozenset[tuple[str, str]]:
    return frozenset((name, verb) for name, verbs in tables.items() for verb in verbs)


def _is_within(network: str, allowed: Iterable[str]) -> bool:
    inner = ipaddress.ip_network(network)
    outer = [ipaddress.ip_network(text) for text in allowed]
    return any(inner.subnet_of(each) for each in outer if inner.version == each.version)  # type: ignore[arg-type] # same version


def _ends_by(text: str | None, end: float) -> bool:
    return text is not None and datetime.fromisoformat(text).timestamp() <= end


def _tables(given: dict[str, list[str]], schema: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, verbs in given.items():
        if not _TABLE.fullmatch(name) or not verbs or not VERBS.issuperset(verbs):
            raise InvalidInput("Not a table with its verbs.", code="bad_tables", hint='{"public.orders": ["select", "insert"]}')
        found[name if "." in name else f"{schema}.{name}"] = sorted(set(verbs))
    return found


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise InvalidInput("Not a network.", code="bad_network", hint="192.0.2.0/24 or 2001:db8::/48.") from None


def _principal(tenant: TenantId, row: Row, issuer: str) -> Principal:
    user = row["user_id"]
    claims: dict[str, object] = {"iss": issuer, "role": row["role"], "jti": row["id"], "key_id": row["id"]}
    if user is not None:
        claims |= {"sub": user, "aud": "authenticated"}
    tables = row["tables"]
    return Principal(
        tenant=tenant,
        role=RoleName(row["role"]),
        credential=CredentialKind.CLIENT_KEY if row["kind"] == "client" else CredentialKind.SERVICE_KEY,
        claims_json=orjson.dumps(claims).decode(),
        deny_keys=(f"key:{row['id']}", f"claims:key:{row['id']}:{row['version']}", *((f"user:{user}",) if user else ())),
        user_id=None if user is None else UserId(user),
        credential_id=row["id"],
        expires_at=row["ends_at"],
        scopes=frozenset(row["scopes"]),
        tables=None if tables is None else _pairs(tables),
        networks=tuple(row["networks"]),
        rate_per_minute=row["rate_limit_per_minute"],
    )
