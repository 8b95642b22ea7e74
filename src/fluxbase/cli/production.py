"""``fluxbase doctor --production``: the checklist of docs/security/checklist.md as checks against the running instance.

Each answers green, red with the mend, or "by you" with the reason why no program can know. Configuration is read as the instance
reads it, the database through the doctor's lints, the wire by asking the instance itself, past any proxy.
"""

from __future__ import annotations

import ssl
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fluxbase.config import settings
from fluxbase.db.doctor import Level
from fluxbase.kernel.secret import Secret

if TYPE_CHECKING:
    from fluxbase.config import Config
    from fluxbase.db.doctor import Report

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
PROBE_SECONDS = 5.0


class Verdict(StrEnum):
    """What a check found."""

    GREEN = "green"
    RED = "red"
    YOURS = "by you"
    """No program can know: the detail says why, the mend what to do."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the checklist."""

    name: str
    title: str
    verdict: Verdict
    detail: str
    mend: str = ""


Found = tuple[Verdict, str, str]


def green(detail: str) -> Found:
    """Nothing to do."""
    return Verdict.GREEN, detail, ""


def red(detail: str, mend: str) -> Found:
    """To be mended before strangers come."""
    return Verdict.RED, detail, mend


def yours(detail: str, mend: str) -> Found:
    """Left to people."""
    return Verdict.YOURS, detail, mend


@dataclass(frozen=True, slots=True)
class Answer:
    """What the instance said; header names in lower case."""

    status_code: int
    headers: dict[str, str]
    text: str


class Instance:
    """What the checks look at: configuration, the doctor's report, and the wire."""

    def __init__(self, config: Config, report: Report) -> None:
        self.config = config
        self.report = report
        self.https = config.is_https
        host = config.server.host
        self._host = "127.0.0.1" if host in {"0.0.0.0", "localhost"} else "::1" if host == "::" else host.strip("[]")  # noqa: S104 - compared
        named = urlsplit(config.server.public_url).hostname or next(iter(config.server.allowed_hosts), "127.0.0.1")
        self._headers = {"host": named, **({"x-forwarded-proto": "https"} if self.https else {})}

    def ask(self, method: str, path: str, *, headers: dict[str, str] | None = None, content: bytes | None = None) -> Answer:
        """One request to the instance's own listener, past any proxy. Raises OSError, HTTPException."""
        connection = self._connection()
        try:
            connection.request(method, path, content, {**self._headers, **(headers or {})})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read(1_000_000).decode("utf-8", "replace"))
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        if not self.config.server.tls.cert:
            return HTTPConnection(self._host, self.config.server.port, timeout=PROBE_SECONDS)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it names the public host, and we ask this very machine
        return HTTPSConnection(self._host, self.config.server.port, timeout=PROBE_SECONDS, context=context)

    def findings(self, *lints: str) -> list[str]:
        """Objects that these lints of the database complain about."""
        return [f"{item.object} ({item.lint})" for item in self.report.findings if item.lint in lints and item.level > Level.NOTE]


def secrets_from_environment(instance: Instance) -> Found:
    """No secret is written in the configuration file."""
    config = instance.config
    written: list[str] = []
    for key, field in settings():
        if field.annotation is Secret or "Secret" in str(field.annotation):
            origin = config.origins.get(key, "default")
            if origin.endswith((".yaml", ".yml")):
                written.append(key)
    if written:
        return red(
            f"written in the file: {', '.join(written)}", "name a variable there (${NAME}), or set the FLUXBASE_ variable or its _FILE form"
        )
    return green("secrets come from variables, mounted files or the key file")


def key_file(instance: Instance) -> Found:
    """The master key and the data are readable by one user only."""
    folder = instance.config.data_dir
    open_to_others = [
        str(path.name) for path in (folder, folder / "master.key") if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o066
    ]
    if open_to_others:
        return red(f"others may read {', '.join(open_to_others)}", f"chmod -R go= {folder}")
    return green("data directory and key file are the server's own")


def tls(instance: Instance) -> Found:
    """Clients speak https."""
    server = instance.config.server
    if not instance.https:
        return red("server.public_url is not https", "set server.public_url to https://…, and server.tls or a proxy of deploy/ in front")
    if not server.tls.cert and not server.trusted_proxies:
        return red(
            "https ends at a proxy that is not trusted", "set server.trusted_proxies to its address: limits would count it as one client"
        )
    return green("own TLS, 1.2 or newer" if server.tls.cert else "TLS ends at the trusted proxies")


def https_redirect(instance: Instance) -> Found:
    """What comes in clear is led away."""
    if not instance.https:
        return red("there is no https to lead to", "see tls")
    if instance.config.server.tls.cert:
        return green("the listener speaks TLS only")
    answer = instance.ask("GET", "/", headers={"x-forwarded-proto": "http"})
    if answer.status_code == 308 and answer.headers.get("location", "").startswith("https://"):
        return green("308 to the public URL")
    return yours("this machine is not a trusted proxy, so the instance does not tell", "ask http://… from outside: the proxy must redirect")


def strong_jwt(instance: Instance) -> Found:
    """Tokens cannot be forged."""
    if instance.config.auth.jwt_secret is None:
        return green("ES256 keys made here, kept encrypted")
    return green("a shared secret of at least 32 bytes; whoever verifies with it can also sign: prefer ES256 (unset auth.jwt_secret)")


def minimal_rights(instance: Instance) -> Found:
    """Nothing that serves requests is a superuser."""
    found = instance.findings("superuser_login", "bypassrls")
    return red("; ".join(found), "fluxbase doctor --fix") if found else green("logins of one role each, none a superuser")


def database_tls(instance: Instance) -> Found:
    """The way to the database is encrypted."""
    database = instance.config.database
    if database.url is None:
        return green("embedded, on a socket of this machine")
    host = urlsplit(database.url.reveal()).hostname or ""
    if database.require_tls is False and host not in {*LOOPBACK, ""}:
        return red("database.require_tls is false for another machine", "unset it, and give the CA in database.ca_file")
    return green("verified TLS, or this machine")


def rls_reviewed(instance: Instance) -> Found:
    """Every served table is protected by policies somebody wrote."""
    found = instance.findings(
        "event_triggers", "tables_without_rls", "anonymous_writes", "definer_functions", "owner_rights_views", "open_relations",
        "credential_columns", "truncate_granted", "policies_read_settings",
    )  # fmt: skip
    if found:
        return red("; ".join(found[:10]), "fluxbase doctor shows each with the SQL that mends it")
    return green("no table without Row Level Security, no policy that lets everybody write")


def policies_meant(_: Instance) -> Found:
    """The policies say what you mean."""
    return yours(
        "a program sees that there are policies, not whether they are the right ones",
        "read them once with somebody else: fluxbase db psql, \\dp",
    )


def tenants_proven(_: Instance) -> Found:
    """No tenant reaches another."""
    return yours("it takes keys of two tenants and calls every route", "run fluxbase tenant prove and keep its signed report")


def limits_on(instance: Instance) -> Found:
    """Nobody may ask without end."""
    if not instance.config.limits.enabled:
        return red("limits.enabled is false", "set limits.enabled: true")
    return green("limits by address are on")


def cors_exact(instance: Instance) -> Found:
    """Only your own pages may call from a browser."""
    if "*" in instance.config.server.cors_origins:
        return red("any page may call (without cookies)", "name your origins in server.cors_origins, such as https://app.example.com")
    return green("exact origins")


def hosts_named(instance: Instance) -> Found:
    """Only known host names are answered."""
    server = instance.config.server
    if server.host not in LOOPBACK and not server.allowed_hosts:
        return red("any Host is answered", "set server.allowed_hosts to the names clients use")
    answer = instance.ask("GET", "/health", headers={"host": "rebound.example"})
    return (
        green("a foreign Host is 421")
        if answer.status_code == 421
        else red(f"a foreign Host gets {answer.status_code}", "set server.allowed_hosts")
    )


WANTED_HEADERS = ("content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy", "permissions-policy")


def headers_sent(instance: Instance) -> Found:
    """Answers and errors carry the security headers."""
    missing: set[str] = set()
    for path in ("/health", "/no/such/path"):
        answer = instance.ask("GET", path)
        missing |= {name for name in WANTED_HEADERS if name not in answer.headers}
        if instance.https and "strict-transport-security" not in answer.headers:
            missing.add("strict-transport-security")
        if answer.headers.get("server"):
            return red("the server names itself", "run the shipped pipeline")
    return red(f"missing: {', '.join(sorted(missing))}", "run the shipped pipeline") if missing else green("on answers and on errors")


def input_checked(instance: Instance) -> Found:
    """Malformed requests are refused, not stumbled over."""
    asked: list[tuple[str, Answer]] = [
        ("a NUL in the path", instance.ask("GET", "/rest/v1/%00")),
        ("broken JSON", instance.ask("POST", "/rest/v1/rpc/none", content=b"{", headers={"content-type": "application/json"})),
        ("a compressed body", instance.ask("POST", "/rest/v1/none", content=b"x", headers={"content-encoding": "gzip"})),
        ("a bad token", instance.ask("GET", "/rest/v1/", headers={"authorization": "Bearer no.token.here"})),
    ]
    bad = [f"{what}: {answer.status_code}" for what, answer in asked if not 400 <= answer.status_code < 500]
    return red("; ".join(bad), "report it: this is ours to mend") if bad else green("refused with 4xx")


def errors_quiet(instance: Instance) -> Found:
    """Errors say nothing of the inside."""
    if instance.config.log.level == "debug":
        return red("log.level is debug", "set log.level: info")
    text = "".join(instance.ask("GET", path).text for path in ("/no/such/path", "/rest/v1/no_such_table?x=eq.1"))
    told = [word for word in ("Traceback", "psycopg", "site-packages", str(instance.config.data_dir.absolute())) if word in text]
    return red(f"an error names {', '.join(told)}", "report it: this is ours to mend") if told else green("declared fields only")


def csrf_held(instance: Instance) -> Found:
    """A cookie alone changes nothing."""
    prefix = "__Host-" if instance.https else ""
    answer = instance.ask(
        "POST", "/api/v1/auth/signout", headers={"cookie": f"{prefix}fluxbase_access_token=x", "sec-fetch-site": "cross-site"}
    )
    return (
        green("a foreign page's request is 403")
        if answer.status_code == 403
        else red(f"it got {answer.status_code}", "run the shipped pipeline")
    )


def metrics_hidden(instance: Instance) -> Found:
    """Metrics are not for the world."""
    metrics = instance.config.metrics
    if metrics.enabled and metrics.host not in LOOPBACK:
        return red(f"metrics listen on {metrics.host}", "set metrics.host: 127.0.0.1, or keep that port inside")
    return green("loopback only")


def postgresql_current(instance: Instance) -> Found:
    """PostgreSQL has the known fixes."""
    found = instance.findings("postgresql_minor")
    return red("; ".join(found), "update PostgreSQL to the named minor") if found else green("no known hole of its Row Level Security")


def backups(_: Instance) -> Found:
    """There is a backup, and it was restored once."""
    return yours(
        "whether a copy exists elsewhere, and restores, is not seen from here",
        "fluxbase db dump on a timer to another machine; try fluxbase db restore",
    )


def dependencies(_: Instance) -> Found:
    """Dependencies are current."""
    return yours("advisories are published after a release", "update Fluxbase; its versions are locked with hashes (docs/dependencies.md)")


CHECKS: tuple[Callable[[Instance], Found], ...] = (
    secrets_from_environment, key_file, tls, https_redirect, strong_jwt, minimal_rights, database_tls, rls_reviewed, policies_meant,
    tenants_proven, limits_on, cors_exact, hosts_named, headers_sent, input_checked, errors_quiet, csrf_held, metrics_hidden,
    postgresql_current, backups, dependencies,
)  # fmt: skip


def examine_production(config: Config, report: Report) -> Iterator[Check]:
    """Every check in order. One that cannot ask the instance is red: a checklist must not be green by accident."""
    instance = Instance(config, report)
    for check in CHECKS:
        try:
            verdict, detail, mend = check(instance)
        except (OSError, HTTPException) as error:
            verdict, detail, mend = red(f"the instance did not answer ({type(error).__name__})", "start it: fluxbase start")
        yield Check(check.__name__, (check.__doc__ or "").strip(), verdict, detail, mend)
