"""The page a mailed link opens: a button, nothing else (for administrators, a field for the new password).

GET reads no table and uses nothing up, so a scanner that follows every link of a mail leaves it good (threat B22); the button POSTs
the token back.

The page is constant but for what the link itself carries. Its policy allows one form to us and, since browsers apply
``form-action`` to the redirect that follows, to the one configured place where the link ends.
"""

from __future__ import annotations

import secrets
from html import escape
from urllib.parse import urlsplit

from fastapi.responses import HTMLResponse

_ACTIONS = {
    "signup": "Confirm your address", "invite": "Accept the invitation", "magiclink": "Sign in", "email": "Sign in",
    "recovery": "Choose a new password", "email_change": "Confirm the change",
}  # fmt: skip
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;display:grid;place-items:center;min-height:90vh;margin:0;color:#1c2430;background:#f4f5f7}"
    "main{max-width:26rem;padding:2rem;text-align:center}button{font:inherit;font-weight:600;padding:.75rem 1.5rem;border:0;"
    "border-radius:6px;background:#1f5eff;color:#fff;cursor:pointer}button:focus-visible{outline:3px solid #9db8ff}"
)


def verify_page(app_name: str, token: str, kind: str, redirect_to: str) -> HTMLResponse:
    """The button. ``redirect_to`` is a configured URL or empty."""
    fields = "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">'
        for name, value in (("token", token[:300]), ("type", kind), ("redirect_to", redirect_to))
        if value
    )
    action = _ACTIONS.get(kind, "Continue")
    body = f'<form method="post" action="/auth/v1/verify">{fields}<button autofocus>{action}</button></form>'
    return _page(app_name, f"<h1>{escape(app_name)}</h1>{body}", form_target=_origin(redirect_to))


def reset_page(app_name: str, token: str, path: str, *, words: str = "", status: int = 200) -> HTMLResponse:
    """A field for the new password of a platform administrator; the form goes to ``path``."""
    note = f"<p role=alert>{escape(words)}</p>" if words else ""
    body = (
        f'<form method="post" action="{escape(path)}"><input type="hidden" name="token" value="{escape(token[:300])}">'
        '<p><label>New password <input type="password" name="new_password" autocomplete="new-password" required autofocus></label></p>'
        f"<button>{_ACTIONS['recovery']}</button></form>"
    )
    return _page(app_name, f"<h1>{escape(app_name)}</h1>{note}{body}", status=status, form_target="")


def note_page(app_name: str, words: str, *, status: int) -> HTMLResponse:
    """What happened, where there is no application to go back to."""
    return _page(app_name, f"<h1>{escape(app_name)}</h1><p>{escape(words)}</p>", status=status)


def _page(title: str, content: str, *, status: int = 200, form_target: str | None = None) -> HTMLResponse:
    nonce = secrets.token_urlsafe(16)
    form = "'none'" if form_target is None else f"'self' {form_target}".strip()
    policy = f"default-src 'none'; style-src 'nonce-{nonce}'; form-action {form}; frame-ancestors 'none'; base-uri 'none'"
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta name="robots" content="noindex"><title>{escape(title)}</title><style nonce="{nonce}">{_STYLE}</style></head>'
        f"<body><main>{content}</main></body></html>"
    )
    return HTMLResponse(html, status, {"content-security-policy": policy, "cache-control": "no-store"})


def _origin(url: str) -> str:
    """Scheme and host of a configured URL as a source of a policy; empty for none."""
    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and parts.netloc and not set(parts.netloc) & set(" ;,'\""):
        return f"{parts.scheme}://{parts.netloc}"
    return f"{parts.scheme}:" if parts.scheme.isalnum() else ""
