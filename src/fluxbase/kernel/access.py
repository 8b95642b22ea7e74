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
    SERVICE = "service"
    """A tenant's administrator: its service key, a user whose role holds the route's permission, a platform administrator."""
    INSTANCE = "instance"
    """What concerns every tenant: the service key of the default tenant, a platform administrator of the instance."""
    PLATFORM = "platform"
    """A platform administrator's own account."""
    LOOPBACK = "loopback"


@dataclass(frozen=True, slots=True)
class Limit:
    """A named rate limit: ``rate`` requests each ``per_seconds`` with ``burst`` on top, by client address."""

    name: str
    rate: int
    per_seconds: float
    burst: int


DATA_PLANE = Limit("data", rate=1000, per_seconds=1, burst=100)
CONTROL_PLANE = Limit("control", rate=100, per_seconds=60, burst=20)
ADMIN = Limit("admin", rate=100, per_seconds=60, burst=20)
SIGN_IN = Limit("sign_in", rate=10, per_seconds=900, burst=0)
SIGN_UP = Limit("sign_up", rate=10, per_seconds=900, burst=0)
RECOVERY = Limit("recovery", rate=5, per_seconds=900, burst=0)
"""Whatever sends a mail: reset, magic link, code, verification."""
CONFIRM = Limit("confirm", rate=5, per_seconds=300, burst=0)
"""Whatever takes a code or a link's token."""
REFRESH = Limit("refresh", rate=10, per_seconds=60, burst=0)
PROBE = Limit("probe", rate=100, per_seconds=1, burst=100)
