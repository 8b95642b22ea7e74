"""``OutboundClient``: what every area uses to call another server. One way out, through the guard.

No cookies, no proxy variables, no credentials but those of the call. Redirects are followed only where the caller asks for
it, never for a request that carries a body (a redirect must not carry a client secret elsewhere).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson

from fluxbase.kernel.deferred import Deferred
from fluxbase.kernel.errors import PeerUnavailable
from fluxbase.outbound.addresses import AddressRule

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    import httpx

    from fluxbase.config import Config
    from fluxbase.outbound.guard import Resolver
else:
    httpx = Deferred("httpx")

USER_AGENT = "Fluxbase"


@dataclass(frozen=True, slots=True)
class Answer:
    """What another server answered."""

    status: int
    headers: httpx.Headers
    body: bytes
    url: str
    """Where the last redirect led."""

    @property
    def is_success(self) -> bool:
        """2xx."""
        return 200 <= self.status < 300

    def parsed(self) -> Any:
        """The body as JSON. Raises PeerUnavailable when it is none."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise PeerUnavailable(httpx.URL(self.url).host) from error

    def json(self) -> dict[str, Any]:
        """The body as a JSON object. Raises PeerUnavailable when it is none."""
        found = self.parsed()
        if not isinstance(found, dict):
            raise PeerUnavailable(httpx.URL(self.url).host)
        return found  # pyright: ignore[reportUnknownVariableType] # checked by whoever reads a member


class OutboundClient:
    """HTTP calls to servers whose address others chose."""

    def __init__(self, config: Config, *, resolver: Resolver | None = None, verify: ssl.SSLContext | bool = True) -> None:
        self._settings = config.outbound
        self._timeout_seconds = config.outbound.timeout_seconds
        self._rule = AddressRule(config.outbound.allowed_networks)
        self._resolver = resolver
        self._verify: ssl.SSLContext | bool = verify
        self._made: httpx.AsyncClient | None = None

    async def _client(self) -> httpx.AsyncClient:
        """Made when it is first wanted, in a thread: httpx and the certificates it trusts cost time, and megabytes in every worker."""
        if self._made is None:
            made = await asyncio.to_thread(self._make)
            self._made = self._made or made
        return self._made

    def _make(self) -> httpx.AsyncClient:
        from fluxbase.outbound.guard import GuardedTransport, resolve

        return httpx.AsyncClient(
            transport=GuardedTransport(
                self._rule, max_answer_bytes=self._settings.max_answer_bytes, resolver=self._resolver or resolve, verify=self._verify
            ),
            timeout=httpx.Timeout(self._timeout_seconds),
            trust_env=False,
            headers={"user-agent": USER_AGENT, "accept": "application/json"},
        )

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, content: bytes | None = None, max_redirects: int = 0
    ) -> Answer:
        """One call, within the configured time. Raises AddressRefused or PeerUnavailable; any status is an answer."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._follow(method, url, headers or {}, content, max_redirects if content is None else 0)
        except TimeoutError as error:
            raise PeerUnavailable(_host_of(url)) from error
        except httpx.HTTPError as error:
            raise PeerUnavailable(_host_of(url)) from error
        except httpx.InvalidURL as error:
            raise PeerUnavailable("") from error

    async def _follow(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None, redirects_left: int) -> Answer:
        client = await self._client()
        request = client.build_request(method, url, headers=dict(headers), content=content)
        while True:
            answer = await client.send(request)
            client.cookies.clear()
            if answer.next_request is None or redirects_left == 0:
                return Answer(answer.status_code, answer.headers, answer.content, str(answer.url))
            redirects_left -= 1
            request = answer.next_request

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None, max_redirects: int = 0) -> Answer:
        """GET."""
        return await self.request("GET", url, headers=headers, max_redirects=max_redirects)

    async def post_form(self, url: str, form: Mapping[str, str], *, headers: Mapping[str, str] | None = None) -> Answer:
        """POST ``application/x-www-form-urlencoded``."""
        more = {"content-type": "application/x-www-form-urlencoded", **(headers or {})}
        return await self.request("POST", url, headers=more, content=urlencode(form).encode())

    async def post_json(self, url: str, body: object, *, headers: Mapping[str, str] | None = None) -> Answer:
        """POST JSON."""
        return await self.request("POST", url, headers={"content-type": "application/json", **(headers or {})}, content=orjson.dumps(body))

    async def close(self) -> None:
        """End it."""
        if self._made is not None:
            await self._made.aclose()


def _host_of(url: str) -> str:
    try:
        return httpx.URL(url).host
    except httpx.InvalidURL:
        return ""
