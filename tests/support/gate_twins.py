"""Controls of captcha, hooks and leaked passwords, each with what stands in its place while a twin's request names it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import orjson

from fluxbase.auth.captcha import proof_of_work, service, store
from fluxbase.auth.hooks import service as hooks
from fluxbase.auth.leaked_passwords import LeakedPasswords
from fluxbase.auth.minter import RESERVED
from fluxbase.kernel.errors import AuthError, Unavailable


def _always(_: Any) -> Any:
    def answer(*_arguments: Any, **_options: Any) -> bool:
        return True

    return answer


def _later(value: Any) -> Callable[[Any], Any]:
    async def answer(*_arguments: Any, **_options: Any) -> Any:
        return value

    def make(_: Any) -> Any:
        return answer

    return make


def _nothing(_: Any) -> Any:
    def answer(*_arguments: Any, **_options: Any) -> None:
        return None

    return answer


def _unsigned(_: Any) -> Any:
    def read(_self: Any, text: str) -> Any:
        body = text.removeprefix(proof_of_work.PREFIX).partition(".")[0]
        return proof_of_work.Work(*orjson.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))[:4])

    return read


def _open(original: Any) -> Any:
    async def ask_provider(*arguments: Any) -> None:
        try:
            await original(*arguments)
        except Unavailable:
            return

    return ask_provider


def _lets_silence_pass(original: Any) -> Any:
    async def ask(*arguments: Any) -> Any:
        try:
            return await original(*arguments)
        except AuthError as error:
            if error.code != "hook_failed":
                raise
            return {}

    return ask


def _believes_the_hook(original: Any) -> Any:
    async def issue(self: Any, tenant: Any, user: Any, session: Any, claims: Any) -> Any:
        answer = await self._ask("token_issue", tenant.settings.hooks.token_issue, tenant, {"claims": {}})
        return {**claims, **{name: value for name, value in answer.get("claims", {}).items() if name not in RESERVED}}

    return issue


def _tells_everything(original: Any) -> Any:
    def described(user: Any) -> Any:
        return {**original(user), "encrypted_password": user.password_hash}

    return described


def _signs_nothing(_: Any) -> Any:
    def signature(*arguments: Any) -> str:
        return f"t=0,v1={len(orjson.dumps(arguments[-1].decode()))}"

    return signature


LIFTED: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "captcha:asked": (service.CaptchaService, "check", _later(None)),
    "captcha:once": (store, "spend", _later(True)),
    "captcha:work": (proof_of_work, "is_solved", _always),
    "captcha:signature": (proof_of_work.ProofOfWork, "read", _unsigned),
    "captcha:answer": (service.CaptchaService, "_check_answer", _nothing),
    "captcha:closed": (service.CaptchaService, "_ask_provider", _open),
    "passwords:leaked": (LeakedPasswords, "has", _later(False)),
    "hooks:asked": (hooks.HookService, "_ask", _later({})),
    "hooks:closed": (hooks.HookService, "_ask", _lets_silence_pass),
    "hooks:claims": (hooks.HookService, "issue_token", _believes_the_hook),
    "hooks:told": (hooks, "described", _tells_everything),
    "hooks:signature": (hooks.HookService, "_signature", _signs_nothing),
}
