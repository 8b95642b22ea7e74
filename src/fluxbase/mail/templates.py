"""Templates of mails: built in, or of the administrator's folder; rendered in a sandbox.

``<name>.txt`` begins with the line ``Subject: …``; ``<name>.html`` is the same mail for eyes. HTML escapes every value. What a
sign-up sends (names, metadata) is not among the values: nobody can have us mail his words to a stranger.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from jinja2 import BaseLoader, ChoiceLoader, DictLoader, FileSystemLoader, StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = (
    "signup",
    "account_exists",
    "invite",
    "magiclink",
    "recovery",
    "email_change_current",
    "email_change_new",
    "reauthentication",
    "password_changed",
    "email_changed",
    "test",
)
"""Every mail there is."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A mail as its reader sees it."""

    subject: str
    text: str
    html: str


class Templates:
    """Renders by name. A template of the administrator's that fails is logged, and the built-in one stands in."""

    def __init__(self, folder: str) -> None:
        self._built_in = _environment(DictLoader(_built_in_sources()))
        own = Path(folder) if folder else None
        self._own = None if own is None else _environment(ChoiceLoader([FileSystemLoader(own), DictLoader(_built_in_sources())]))

    def render(self, name: str, values: Mapping[str, object]) -> Rendered:
        """Subject, text and HTML of one mail. ``app_name`` is among the values."""
        if self._own is not None:
            try:
                return _render(self._own, name, values)
            except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, OSError, RecursionError) as error:
                structlog.get_logger("fluxbase.mail").error(
                    "mail_template_failed", template=name, error=f"{type(error).__name__}: {error}", mend="mend the file"
                )
        return _render(self._built_in, name, values)


def _render(environment: ImmutableSandboxedEnvironment, name: str, values: Mapping[str, object]) -> Rendered:
    text = environment.get_template(f"{name}.txt").render(values)
    head, _, body = text.lstrip().partition("\n")
    if not head.startswith("Subject:"):
        raise ValueError("the first line of the text must be the subject: Subject: …")
    subject = " ".join(head.removeprefix("Subject:").split())
    return Rendered(subject, body.strip() + "\n", environment.get_template(f"{name}.html").render(values).strip() + "\n")


def _is_escaped(name: str | None) -> bool:
    return name is None or not name.endswith(".txt")


def _environment(loader: BaseLoader) -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        loader=loader,
        autoescape=_is_escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _built_in_sources() -> dict[str, str]:
    folder = files("fluxbase") / "mail" / "templates"
    return {item.name: item.read_text(encoding="utf-8") for item in folder.iterdir() if item.name.endswith((".txt", ".html"))}
