"""Templates: every built-in one renders, the administrator's replace them, values cannot become markup, the sandbox holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from fluxbase.mail.templates import NAMES, Templates

VALUES = {
    "url": "https://app.example/auth/v1/verify?token=fb_ot_x&type=signup",
    "code": "012345",
    "valid_for": "15 minutes",
    "email": "ada@example.com",
    "new_email": "new@example.com",
}


@pytest.mark.parametrize("name", NAMES)
def test_every_built_in_template_renders(name: str) -> None:
    """Subject, text and HTML have no placeholder left and name the application."""
    mail = Templates("").render(name, {"app_name": "Acme", **VALUES})
    assert mail.subject
    assert "\n" not in mail.subject
    for part in (mail.text, mail.html):
        assert "Acme" in part
        assert "{{" not in part
        assert "{%" not in part
    assert VALUES["code"] in mail.text
    assert VALUES["code"] in mail.html


def test_a_link_stands_alone_in_its_line_of_the_text() -> None:
    """Mail programs find the whole link."""
    assert VALUES["url"] in Templates("").render("signup", {"app_name": "Acme", **VALUES}).text.splitlines()


def test_values_cannot_become_markup() -> None:
    """HTML in a value is text in the mail, also in its attributes."""
    hostile = '"><script>alert(1)</script>'
    html = Templates("").render("email_change_current", {**VALUES, "app_name": hostile, "url": hostile, "new_email": hostile}).html
    assert "<script" not in html


def test_the_administrators_template_replaces_the_built_in_one(tmp_path: Path) -> None:
    """A file in the folder counts; what is missing there is built in, the layout too."""
    (tmp_path / "signup.txt").write_text("Subject: Hello {{ email }}\n\nYour code is {{ code }}.\n")
    mail = Templates(str(tmp_path)).render("signup", {"app_name": "Acme", **VALUES})
    assert (mail.subject, mail.text) == ("Hello ada@example.com", "Your code is 012345.\n")
    assert "Confirm address" in mail.html


HOSTILE = {
    "reads the program's inside": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "changes a value": "{% set _ = [].append(1) %}",
    "reads a file outside of the folder": "{% include '../secret.txt' %}",
    "asks for a value there is not": "{{ password }}",
    "is not a template": "{% if %}",
    "never ends": "{% for i in range(10 ** 9) %}x{% endfor %}",
    "has no subject": "Dear {{ email }}",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_template_that_fails_does_not_stop_the_mail(case: str, tmp_path: Path) -> None:
    """The built-in one is sent instead, and nothing of what the hostile one reached for."""
    (tmp_path / "secret.txt").write_text("canary")
    folder = tmp_path / "templates"
    folder.mkdir()
    head = "" if case == "has no subject" else "Subject: own\n"
    (folder / "signup.txt").write_text(head + HOSTILE[case])
    mail = Templates(str(folder)).render("signup", {"app_name": "Acme", **VALUES})
    assert mail.subject == "Confirm your e-mail address"
    assert "canary" not in mail.text
