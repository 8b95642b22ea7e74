"""``make docs`` writes the pages that repeat the code: configuration, errors, compatibility and fluxbase.example.yaml.

A test compares them with what this program would write, so they cannot drift.
"""

from __future__ import annotations

import ast
import json
import sys
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic.fields import FieldInfo

from fluxbase.app import Program
from fluxbase.auth.platform import home_tenant
from fluxbase.config import Config, settings, variable_of
from fluxbase.db.doctor import Fix, lints
from fluxbase.kernel import errors
from fluxbase.kernel.access import Access
from fluxbase.kernel.errors import FluxbaseError
from fluxbase.kernel.ids import DatabaseName, TenantId
from fluxbase.kernel.permissions import ANY_KIND, PERMISSIONS
from fluxbase.kernel.secret import Secret
from fluxbase.tenancy.registry import Tenant, TenantRegistry
from fluxbase.web import errors as web_errors
from tests.meta.compatibility import compatibility

if TYPE_CHECKING:
    from fluxbase.web.routing import Route

ROOT = Path(__file__).resolve().parents[2]
NOTE = "<!-- Written by `make docs` from the code: change it there. -->"


def sections() -> list[tuple[str, str, list[tuple[str, FieldInfo]]]]:
    """Name, sentence and settings of each section; the settings outside of any section last."""
    found: dict[str, list[tuple[str, FieldInfo]]] = {}
    for key, field in settings():
        found.setdefault(key.rpartition(".")[0], []).append((key, field))
    named = [(name, section_of(name).__doc__ or "", rows) for name, rows in found.items() if name]
    return [*named, ("", "Settings without a section.", found[""])]


def section_of(name: str) -> type[Any]:
    """The class of a section, which may stand in another one."""
    found: Any = Config
    for part in name.split("."):
        found = found.model_fields[part].annotation
    return found


def is_secret(field: FieldInfo) -> bool:
    """Its value is never shown."""
    return field.annotation is Secret or Secret in get_args(field.annotation)


def default_text(field: FieldInfo) -> str:
    """The default as one would write it in YAML."""
    value: Any = field.get_default(call_default_factory=True)
    if value is None or value == "":
        return '""'
    return str(value) if isinstance(value, str | Path) else json.dumps(value)


def kind_text(field: FieldInfo) -> str:
    """What a value must be, in a few words."""
    text = str(field.annotation)
    if is_secret(field):
        return "secret"
    for marker, words in (
        ("Literal", " or ".join(f"`{choice}`" for choice in get_args(field.annotation))),
        ("dict", "number, or role: number"),
        ("list", "list"),
        ("bool", "true or false"),
        ("float", "number"),
        ("int", "whole number"),
    ):
        if marker in text:
            return words + bounds_text(field)
    return "text"


def bounds_text(field: FieldInfo) -> str:
    """Smallest and largest value."""
    found = {name: getattr(rule, name) for rule in field.metadata for name in ("ge", "gt", "le") if getattr(rule, name, None) is not None}
    words = [f"{sign} {found[name]}" for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤")) if name in found]
    return f" {', '.join(words)}" if words else ""


def configuration() -> str:
    """docs/configuration.md."""
    lines = [
        "# Configuration", "", NOTE, "",
        "Later wins: defaults < `fluxbase.yaml` < `FLUXBASE_…` variables < the command line. A variable is `FLUXBASE_` and the key with underscores.",
        "`<VARIABLE>_FILE` reads the value from a file (a mounted secret); both forms at once are refused. `${NAME}` in the file is replaced by the variable",
        "`NAME`. Lists in variables are separated by commas or written as JSON.", "",
        "```sh",
        "fluxbase config show --changed   # what is not a default, and where it comes from",
        "fluxbase config check            # what a start would refuse: status 0 sound, 2 not",
        "```", "",
        "An unknown key or variable, a weak secret, a bad URL or bad YAML stops every command with status 2 and one line that names the key, never the value.",
        "`SIGHUP` reads everything again; what only a restart can change is refused then, and nothing is reloaded.", "",
        "A file with every setting at its default: [fluxbase.example.yaml](../fluxbase.example.yaml).", "",
    ]  # fmt: skip
    for name, sentence, rows in sections():
        first, _, more = sentence.partition("\n")
        lines += [f"## {name or 'the rest'}", "", f"{first}{more}".strip(), ""]
        lines += ["| key | variable | value | default | what it decides |", "| --- | --- | --- | --- | --- |"]
        lines += [
            f"| `{key}` | `{variable_of(key)}` | {kind_text(field)} | `{default_text(field)}` | {field.description} |"
            for key, field in rows
        ]
        lines.append("")
    return "\n".join(lines)


def example_file() -> str:
    """fluxbase.example.yaml: every setting at its default, secrets commented out."""
    lines = ["# Every setting at its default; written by `make docs`. Copy what you change to fluxbase.yaml.", ""]
    for name, _, rows in sections():
        depth = name.count(".")
        if name:
            lines.append(f"{'  ' * depth}{name.rpartition('.')[2]}:")
        for key, field in rows:
            indent = "  " * (depth + 1) if name else ""
            leaf = key.rpartition(".")[2]
            value = field.get_default(call_default_factory=True)
            shown = (
                f"{leaf}: {default_text(field)}"
                if value is not None
                else f"# {leaf}: {'${' + variable_of(key) + '}' if is_secret(field) else 'true'}"
            )
            lines.append(f"{indent}{shown}  # {field.description}")
        lines.append("")
    return "\n".join(lines)


def raised_codes() -> dict[str, tuple[str, set[str]]]:
    """Each ``code="…"`` of the source, with its error class and the wire codes it is raised with."""
    found: dict[str, tuple[str, set[str]]] = {}
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            named = {k.arg: k.value.value for k in node.keywords if k.arg and isinstance(k.value, ast.Constant)}
            code, cls = named.get("code"), ast.unparse(node.func).rpartition(".")[2]
            if isinstance(code, str) and isinstance(getattr(errors, cls, None), type):
                wire = {str(named[name]) for name in ("pgrst", "sqlstate") if named.get(name)}
                found.setdefault(code, (cls, set()))[1].update(wire)
    return found


def error_classes() -> list[type[FluxbaseError]]:
    """The tree, in the order of the file."""
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, FluxbaseError)]
    return [cls for cls in classes if cls not in {FluxbaseError, errors.StalePlan}]


def error_page() -> str:
    """docs/errors.md."""
    lines = [
        "# Errors", "", NOTE, "",
        "An error's body is written in the dialect of the path: `/rest/v1` `{code, message, details, hint}` with PostgREST's or PostgreSQL's codes,",
        "`/api/v1` `{error, code, request_id}` with `details` and `hint` where there are any. Every answer carries `X-Request-ID`; the log line has the",
        "same id and, as `error`, the code of this page. Nothing else of the inside is shown, and never a row's value.", "",
        "## Kinds", "",
        "| kind | status | `/rest/v1` | `/api/v1` | meaning | what to do |", "| --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for cls in error_classes():
        if cls.__base__ is not FluxbaseError or cls is errors.DatabaseError:
            continue
        rest = web_errors.REST_CODE_OF_KIND.get(cls.kind, "PGRSTX00")
        native = web_errors._NATIVE_CODE_OF_KIND[cls.kind]
        meaning = (cls.__doc__ or "").split("\n", maxsplit=1)[0]
        lines.append(f"| `{cls.code}` | {web_errors.STATUS_OF_KIND[cls.kind]} | `{rest}` | `{native}` | {meaning} | {cls.remedy} |")
    lines += ["", "## Codes", "", "The log's `error`, and the counter `fluxbase_errors_total`.", ""]
    lines += ["| code | kind | status | wire code | |", "| --- | --- | --- | --- | --- |"]
    codes = raised_codes()
    for code in sorted(codes):
        cls_name, wire = codes[code]
        cls = getattr(errors, cls_name)
        shown = ", ".join(f"`{one}`" for one in sorted(wire))
        lines.append(f"| `{code}` | `{cls.kind}` | {web_errors.STATUS_OF_KIND[cls.kind]} | {shown} | {cls.__name__} |")
    lines += [
        "", "Where an endpoint's contract names another status (408, 414, 421 …), that one is sent.", "",
        "## PostgreSQL's codes", "",
        "An error of PostgreSQL keeps its SQLSTATE as the wire code on `/rest/v1`. `42501` is 401 without a signed-in user and 403 with one. `PTnnn`, raised by your",
        "own functions, is the status `nnn`. All others are 400, except:", "",
        "| SQLSTATE | status | | SQLSTATE class | status |", "| --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    exact, classes = sorted(web_errors._EXACT_SQLSTATE.items()), sorted(web_errors._CLASS_SQLSTATE.items())
    for index in range(max(len(exact), len(classes))):
        left = f"`{exact[index][0]}` | {exact[index][1]}" if index < len(exact) else " | "
        right = f"`{classes[index][0]}…` | {classes[index][1]}" if index < len(classes) else " | "
        lines.append(f"| {left} | | {right} |")
    return "\n".join([*lines, ""])


def doctor_page() -> str:
    """docs/doctor.md: every lint with what, why and how."""
    mends = {Fix.SAFE: "`--fix` runs it", Fix.ASKS: "`--fix` asks, or `--yes %s`", Fix.HAND: "by hand"}
    lines = [
        "# Doctor", "", NOTE, "",
        "`fluxbase doctor` looks at the database for what is open, weak or slow, and prints the SQL that mends each finding. `--fix` shows that SQL and runs",
        "it, each finding in its own transaction: at once where nobody's rights change, after a question (or `--yes LINT`) where they do. `--json` is for programs.",
        "", "Exit status: 0 nothing but notes, 1 warnings, 2 something is red, 3 the database could not be examined.",
    ]  # fmt: skip
    for lint in lints():
        mend = mends[lint.fix].replace("%s", lint.name)
        lines += ["", f"## {lint.name}", "", f"What should hold: {lint.title}.", "", f"Why: {lint.why}", "", f"How: {lint.how} ({mend}.)"]
    return "\n".join(lines) + "\n"


def running_routes() -> list[Route]:
    """The routes of the shipped program, as it would register them; no database is asked."""
    with tempfile.TemporaryDirectory(prefix="fbr-") as folder:
        program = Program(Config.model_validate({"data_dir": folder, "database": {"url": Secret("postgresql://nobody@127.0.0.1:1/none")}}))
        program.registry = TenantRegistry(Tenant(TenantId(str(uuid.UUID(int=0))), "default", DatabaseName("none")), _no_tenant)
        program.home = home_tenant(DatabaseName("none"), "0" * 9)
        program.build_data_plane()
        return program.routes()


async def _no_tenant(_: object, __: str) -> None:
    return None


def permission_page() -> str:
    """docs/permissions.md: every permission, and every route with who may use it, with what, how often."""
    lines = [
        "# Permissions", "", NOTE, "",
        "A route says who may use it (`access`), what is done there (`permission`), and how often (`limit`). The permission says with which kinds of credential;",
        "a key with scopes needs the scope beside it, or `*`. A user of a tenant administers what the roles he has there hold, tenant-wide: `*` in a held",
        "permission stands for any one part (`tenants:*:read`). How roles, organisations and teams are made, and how policies ask for them: [rbac](rbac.md);",
        "keys and their scopes: [keys](keys.md).", "",
        "## Access", "", "| access | who |", "| --- | --- |",
        *(f"| `{access.value}` | {about} |" for access, about in ACCESS_WORDS.items()),
        "", "## Permissions", "", "| permission | scope of a key | credentials | what |", "| --- | --- | --- | --- |",
    ]  # fmt: skip
    for item in PERMISSIONS.values():
        kinds = "any" if item.kinds == ANY_KIND else ", ".join(sorted(f"`{kind}`" for kind in item.kinds))
        lines.append(f"| `{item.name}` | {f'`{item.scope}`' if item.scope else '`*`'} | {kinds} | {item.about} |")
    lines += ["", "## Routes", "", "| route | access | permission | limit |", "| --- | --- | --- | --- |"]
    for item in sorted(running_routes(), key=lambda route: route.pattern):
        by_name: dict[str, list[str]] = {}
        for method in sorted(item.methods - {"HEAD", "OPTIONS"} or item.methods):
            named = item.permissions[method]
            by_name.setdefault(named.name if named else "", []).append(method)
        for name, methods in by_name.items():
            permission = f"`{name}`" if name else ""
            lines.append(f"| {' '.join(methods)} `{item.pattern}` | `{item.access.value}` | {permission} | `{item.limit.name}` |")
    return "\n".join([*lines, ""])


ACCESS_WORDS = {
    Access.PUBLIC: "everybody; a credential is not even read",
    Access.ENTRY: "everybody; `apikey` says of which tenant, `Authorization` is not read",
    Access.PENDING: "a signed-in user, also one whose session still owes a second factor",
    Access.OPTIONAL: "everybody; a credential decides the role, none is `anon`, a bad one is 401",
    Access.CREDENTIAL: "any credential, the anon key too",
    Access.USER: "a signed-in user",
    Access.SERVICE: "an administrator of the tenant: its service key, a user whose roles hold the permission, a platform administrator of it",
    Access.INSTANCE: "an administrator of all tenants: the service key of the default one, an `instance_admin`",
    Access.PLATFORM: "a platform administrator, about the own account",
    Access.LOOPBACK: "callers on the same machine",
}

PAGES = {
    "docs/permissions.md": permission_page,
    "docs/doctor.md": doctor_page,
    "docs/configuration.md": configuration,
    "docs/errors.md": error_page,
    "fluxbase.example.yaml": example_file,
}

WRITTEN = {**PAGES, "docs/compatibility.md": compatibility}
"""The compatibility page changes with every case, so a test of its own looks at what it says."""

if __name__ == "__main__":
    for name, write in WRITTEN.items():
        (ROOT / name).write_text(write())
        sys.stdout.write(f"wrote {name}\n")
