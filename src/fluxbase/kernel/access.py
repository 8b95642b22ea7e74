"""The vocabulary of route declarations: who may call, how often, how large a body."""

from dataclasses import dataclass
from enum import StrEnum


class Access(StrEnum):
    """Who may call a route."""

    PUBLIC = "public"
    """Everybody; Authorization is not even read."""
    ENTRY = "entry"
    """The ways in, for everybody: ``apikey`` says whose and must be good; Authorization is not read, so that an expired
    token is no obstacle to a new one."""
    OPTIONAL = "optional"
    """A credential decides the role, none means ``anon``, a bad one is 401."""
    CREDENTIAL = "credential"
    """Any credential: a token or a key, the anon key too."""
    USER = "user"
    """A signed-in user's access token."""
    PENDING = "pending"
    """A signed-in user, whose session may still owe a second factor: what shows it, and nothing that tells or changes more."""
    SERVICE = "service"
    """A tenant's administrator: its service key, a user whose role holds the route's permission, a platform administrator."""
    INSTANCE = "instance"
    """What concerns every tenant: the service key of the default tenant, a platform administrator of the instance."""
    PLATFORM = "platform"
    """A platform administrator's own account."""
    LOOPBACK = "loopback"

    __hash__ = str.__hash__  # enum's own is written in Python, and every request asks sets of these


class Subject(StrEnum):
    """Whom a limit counts."""

    ADDRESS = "address"
    """The client's address, IPv6 by /64."""
    PRINCIPAL = "principal"
    """The user or key of a verified credential; without one the address."""
    ACCOUNT = "account"
    """An e-mail address of a tenant, whether an account has it or not."""
    SESSION = "session"
    TICKET = "ticket"
    TENANT = "tenant"
    ROUTE = "route"
    """Everybody who calls the route, together."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A named rate limit: ``rate`` requests each ``per_seconds`` with ``burst`` on top.

    A route's limit by ADDRESS is counted before authentication, by PRINCIPAL, TENANT and ROUTE behind it; what only a service
    knows (ACCOUNT, SESSION, TICKET) it counts itself with ``RateLimiter.admit``. Defaults; ``limits.rules`` changes them by name.
    """

    name: str
    rate: int
    per_seconds: float
    burst: int = 0
    by: Subject = Subject.ADDRESS
    lock_seconds: float = 0
    """Who goes over it is refused this long."""
    is_strict: bool = False
    """When the store is away: refused with 503. Others are counted in the process meanwhile."""
    is_local: bool = False
    """Counted in each process alone: no store, no round trip."""


@dataclass(frozen=True, slots=True)
class Quota:
    """Where a caller stands with one limit; the RateLimit fields of an answer."""

    name: str
    rate: int
    per_seconds: int
    remaining: int
    reset_seconds: int
    """Until the whole quota is there again, when nothing more is asked."""


DATA_PLANE = Limit("data", rate=1000, per_seconds=1, burst=100, is_local=True)
CONTROL_PLANE = Limit("control", rate=100, per_seconds=60)
"""Global: every route but the data plane's and the probes counts it too."""
CONTROL_USER = Limit("control.user", rate=500, per_seconds=60, by=Subject.PRINCIPAL)
CONTROL_KEY = Limit("control.key", rate=1000, per_seconds=60, by=Subject.PRINCIPAL)
SERVICE_ROLE = Limit("service_role", rate=10_000, per_seconds=60, by=Subject.PRINCIPAL)
ADMIN = Limit("admin", rate=100, per_seconds=60)
PROBE = Limit("probe", rate=100, per_seconds=1, burst=100, is_local=True)

SIGN_IN = Limit("auth.sign_in", rate=10, per_seconds=900, is_strict=True)
SIGN_IN_ACCOUNT = Limit("auth.sign_in.account", rate=10, per_seconds=900, by=Subject.ACCOUNT, is_strict=True)
SIGN_UP = Limit("auth.sign_up", rate=10, per_seconds=900, is_strict=True)
RECOVERY = Limit("auth.recovery", rate=5, per_seconds=900, is_strict=True)
"""Whatever sends a mail: password reset, magic link, one-time code, verification again."""
RECOVERY_ACCOUNT = Limit("auth.recovery.account", rate=5, per_seconds=900, by=Subject.ACCOUNT, is_strict=True)
CONFIRM = Limit("auth.confirm", rate=5, per_seconds=300, by=Subject.TICKET, lock_seconds=900, is_strict=True)
"""Second factor, code, link or reset confirmed: by ticket or token, and by account."""
REFRESH = Limit("auth.refresh", rate=10, per_seconds=60, by=Subject.SESSION, is_strict=True)
PROVIDER = Limit("auth.provider", rate=60, per_seconds=300)
"""A step of a sign-in through an identity provider."""
ADMIN_SETUP = Limit("admin.setup", rate=5, per_seconds=900, is_strict=True)
ADMIN_SIGN_IN = Limit("admin.sign_in", rate=4, per_seconds=60, is_strict=True)

FAILED_AUTHENTICATIONS = Limit("abuse.authentication", rate=100, per_seconds=600, lock_seconds=900)
"""Failures of one address; over it the address is blocked for the lock."""
CANARY_HITS = Limit("abuse.canary", rate=3, per_seconds=600, lock_seconds=3600)

UPLOAD = Limit("storage.upload", rate=60, per_seconds=60, by=Subject.PRINCIPAL)
SIGNED_DOWNLOAD = Limit("storage.signed", rate=100, per_seconds=60)
TRANSFORM = Limit("storage.transform", rate=60, per_seconds=60, by=Subject.PRINCIPAL)
MIGRATION = Limit("migrations", rate=10, per_seconds=3600, by=Subject.PRINCIPAL)


def declared_limits() -> dict[str, Limit]:
    """Every limit of this module by its name; what ``limits.rules`` may name."""
    return {value.name: value for value in globals().values() if isinstance(value, Limit)}
