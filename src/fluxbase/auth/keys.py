"""Anon and service keys and the signing key of a tenant: made once, shown again, rotated, revoked.

A key is a row; both of its forms are computed from it. The JWT is signed again with the row's id and times, the opaque
twin is derived from the master key and the row's id (docs/decisions/0010-keys-shown-again.md). The database holds
the twin's SHA-256 and the sealed signing key only, so neither form can be made from a stolen database.
A change, its deny-list entries and its audit row are one transaction.
"""

from __future__ import annotations

import hmac
import time
import uuid
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import orjson

from fluxbase.auth import store
from fluxbase.auth.keyring import SHARED_KEY_ID, KeyRing
from fluxbase.auth.rules import KEY_LIFETIME_SECONDS, KEY_TYPE, TokenRules
from fluxbase.auth.store import KeyRow, SigningKeyRow
from fluxbase.auth.verify import key_claims
from fluxbase.crypto.jwt import ES256, JwtKey, es256_from_jwk, hs256, new_es256
from fluxbase.crypto.opaque import PUBLISHABLE, SECRET, format_opaque, tenant_locator
from fluxbase.kernel.errors import Internal
from fluxbase.kernel.ids import TENANT_SERVICE
from fluxbase.kernel.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxbase.auth.ports import AuditRecorder, SystemSessions, SystemTx
    from fluxbase.crypto.master import MasterKey
    from fluxbase.kernel.ids import TenantId
    from fluxbase.tenancy.registry import Tenant

ROLES = {"anon": "anon", "service": "service_role"}
"""Kind of key → role in its token."""
_OPAQUE_PREFIX = {"anon": PUBLISHABLE, "service": SECRET}


@dataclass(frozen=True, slots=True)
class ShownKeys:
    """The current keys of a tenant, in every form a client may be given."""

    anon_key: Secret
    service_key: Secret
    publishable_key: Secret
    secret_key: Secret

    def revealed(self) -> dict[str, str]:
        """Plain texts by name, for the terminal of the administrator."""
        return {name: getattr(self, name).reveal() for name in ("anon_key", "service_key", "publishable_key", "secret_key")}


class KeyService:
    """The use cases of keys. Every method names its tenant."""

    def __init__(
        self,
        sessions: SystemSessions,
        master: MasterKey,
        rules: TokenRules,
        record: AuditRecorder,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sessions = sessions
        self._master = master
        self._rules = rules
        self._record = record
        self._clock = clock

    async def ensure_keys(self, tenant: Tenant) -> bool:
        """Make what is missing (first start, or all keys revoked); true when something was made. Safe on several nodes at once."""
        async with self._sessions(tenant, reason="make missing keys") as tx:
            if _is_complete(await store.select_signing_keys(tx, tenant.id), await store.select_keys(tx, tenant.id)):
                return False
            await store.lock_keys(tx)
            signing, keys = await store.select_signing_keys(tx, tenant.id), await store.select_keys(tx, tenant.id)
            if not signing:
                await self._add_signing_key(tx, tenant)
            for kind in ROLES:
                if _current(keys, kind) is None:
                    await self._add_key(tx, tenant, kind, keys)
            return not _is_complete(signing, keys)

    async def load(self, tenant: Tenant) -> KeyRing:
        """The tenant's key ring for :class:`KeyRings`. Raises MasterKeyError when the data belongs to another master key."""
        async with self._sessions(tenant, reason="load keys", is_single=True) as tx:
            signing, keys = await store.select_signing_keys(tx, tenant.id), await store.select_keys(tx, tenant.id)
        verifying = {row.kid: es256_from_jwk(row.kid, row.public_jwk) for row in signing if row.algorithm == ES256}
        shared, secret = self._shared_key(tenant), tenant.settings.auth.jwt_secret
        if shared is not None:
            verifying[shared.key_id] = shared
            signer = shared
        else:
            signer = self._signer(signing)
        return KeyRing(
            locator=tenant_locator(tenant.id),
            signer=signer,
            verifying=verifying,
            shared=shared,
            shared_mark="" if secret is None else self.secret_mark(tenant.id, secret.reveal()),
            keys={row.id: row for row in keys},
            by_hash={row.opaque_hash: row for row in keys},
        )

    async def show(self, tenant: Tenant) -> ShownKeys:
        """The newest valid anon and service key with their twins. Raises Internal when there is none yet."""
        ring = await self.load(tenant)
        rows = list(ring.keys.values())
        anon, service = _current(rows, "anon"), _current(rows, "service")
        if anon is None or service is None:
            raise Internal("this tenant has no keys yet", code="no_keys")
        return ShownKeys(
            anon_key=self._as_jwt(ring, anon),
            service_key=self._as_jwt(ring, service),
            publishable_key=self._as_opaque(tenant.id, anon),
            secret_key=self._as_opaque(tenant.id, service),
        )

    async def rotate(self, tenant: Tenant, *, is_revoking: bool = False, with_signing_key: bool = False, actor: str = "cli") -> ShownKeys:
        """Make a new anon and service key (and signing key). The old ones stay valid, or with ``is_revoking`` are refused
        from the commit on, on every node, with everything signed by an old signing key when that is rotated too."""
        async with self._sessions(tenant, reason="rotate keys") as tx:
            await store.lock_keys(tx)
            old_signing, old_keys = await store.select_signing_keys(tx, tenant.id), await store.select_keys(tx, tenant.id)
            made = [await self._add_key(tx, tenant, kind, old_keys) for kind in ROLES]
            signing_kid = await self._add_signing_key(tx, tenant) if with_signing_key or not old_signing else None
            revoked: list[str] = []
            if is_revoking:
                for row in old_keys:
                    if await store.revoke_key(tx, row.id):
                        await store.deny(tx, f"jti:{row.id}", "key revoked", row.expires_at + self._rules.leeway_seconds + 60)
                        revoked.append(row.id)
                for key in old_signing if with_signing_key else ():
                    if await store.retire_signing_key(tx, key.kid):
                        await store.deny(tx, f"kid:{key.kid}", "signing key retired", int(self._clock()) + KEY_LIFETIME_SECONDS)
                        revoked.append(key.kid)
            await self._record(
                tx,
                action="auth.keys.revoked" if is_revoking else "auth.keys.rotated",
                actor=actor,
                resource="auth.keys",
                details={"made": made, "signing_key": signing_kid, "revoked": revoked},
            )
        return await self.show(tenant)

    async def _add_key(self, tx: SystemTx, tenant: Tenant, kind: str, others: list[KeyRow]) -> str:
        # Tokens count in seconds: a key made in the same second as another must still be the newer one.
        now = max([int(self._clock()), *(row.created_at + 1 for row in others if row.kind == kind)])
        row = KeyRow(str(uuid.uuid4()), kind, _role_of(tenant, kind), now, now + KEY_LIFETIME_SECONDS, None, b"")
        twin = self._as_opaque(tenant.id, row).reveal()
        row = KeyRow(row.id, kind, row.role, row.created_at, row.expires_at, None, sha256(twin.encode()).digest())
        await store.insert_key(tx, tenant.id, row, f"{kind} key")
        await self._record(tx, action="auth.key.created", actor="system", resource=f"auth.keys/{row.id}", details={"kind": kind})
        return row.id

    async def _add_signing_key(self, tx: SystemTx, tenant: Tenant) -> str:
        key = new_es256(tenant_locator(tenant.id))
        public = {name: value for name, value in (key.public_jwk() or {}).items() if name in ("kty", "crv", "x", "y")}
        sealed = self._master.seal(key.private_bytes(), f"auth.signing_keys:{key.key_id}")
        row = SigningKeyRow(key.key_id, ES256, orjson.dumps(public), sealed, int(self._clock()), None)
        await store.insert_signing_key(tx, tenant.id, row)
        await self._record(tx, action="auth.signing_key.created", actor="system", resource=f"auth.signing_keys/{key.key_id}", details={})
        return key.key_id

    def _signer(self, signing: list[SigningKeyRow]) -> JwtKey:
        if not signing:
            raise Internal("this tenant has no signing key yet", code="no_keys")
        newest = signing[0]
        return es256_from_jwk(newest.kid, self._master.open(newest.private_encrypted, f"auth.signing_keys:{newest.kid}"))

    def _shared_key(self, tenant: Tenant) -> JwtKey | None:
        """The tenant's ``auth.jwt_secret``. The key id of another tenant than the default one says whose token it is."""
        secret = tenant.settings.auth.jwt_secret
        if secret is None:
            return None
        if tenant.slug == "default":
            return hs256(SHARED_KEY_ID, secret.reveal())
        return hs256(f"{tenant_locator(tenant.id)}-{SHARED_KEY_ID}", secret.reveal())

    def secret_mark(self, tenant_id: TenantId, secret: str) -> str:
        """What denies every token that a secret signed; tells nothing about the secret."""
        digest = hmac.digest(self._master.derive("jwt-secret-mark"), f"{tenant_id}\n{secret}".encode(), sha256)
        return f"secret:{digest[:16].hex()}"

    def _as_jwt(self, ring: KeyRing, row: KeyRow) -> Secret:
        return Secret(ring.signer.sign(key_claims(row, self._rules.issuer), KEY_TYPE))

    def _as_opaque(self, tenant_id: TenantId, row: KeyRow) -> Secret:
        material = self._master.derive(f"opaque-key:{tenant_id}:{row.kind}:{row.id}")
        return Secret(format_opaque(_OPAQUE_PREFIX[row.kind], tenant_locator(tenant_id), material))


def _role_of(tenant: Tenant, kind: str) -> str:
    """In a shared database nobody but the server passes Row Level Security."""
    return TENANT_SERVICE if kind == "service" and tenant.is_shared else ROLES[kind]


def _current(keys: list[KeyRow], kind: str) -> KeyRow | None:
    """The newest key of a kind that is not revoked."""
    live = [row for row in keys if row.kind == kind and row.revoked_at is None]
    return max(live, key=lambda row: (row.created_at, row.id), default=None)


def _is_complete(signing: list[SigningKeyRow], keys: list[KeyRow]) -> bool:
    return bool(signing) and all(_current(keys, kind) is not None for kind in ROLES)
