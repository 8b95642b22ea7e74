"""Threat G61, contract-native 4.3: limits hold over workers, nodes and restarts, and say truthfully where a caller stands."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import http_sfv
import httpx
import pytest

from fluxbase.config.limits import Limits
from fluxbase.kernel.access import Limit
from fluxbase.kernel.errors import RateLimited, Unavailable
from fluxbase.kernel.secret import Secret
from fluxbase.limits.limiter import RateLimiter
from fluxbase.limits.redis_store import RedisStore
from tests.support.cluster import TempCluster
from tests.support.from_address import client_from, fresh_address
from tests.support.redis_server import RedisServer
from tests.support.server import Server, start_server

JWKS = "/.well-known/jwks.json"
PASSWORD = "violet tunnel 93 cup"
MASTER_KEY = "bGltaXRzLW9mLXR3by1ub2Rlcy1zaGFyZS1vbmVrZXk="


def statuses(urls: list[str], times: int) -> Counter[int]:
    """GET so often at each URL, all at once, each on a connection of its own so that every worker is asked."""

    async def run() -> Counter[int]:
        limits = httpx.Limits(max_connections=48, max_keepalive_connections=0)
        async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False, verify=False) as client:
            answers = await asyncio.gather(*(client.get(url) for url in urls for _ in range(times)))
        return Counter(answer.status_code for answer in answers)

    return asyncio.run(run())


class TwoNodes:
    """Two programs of four workers each on one PostgreSQL."""

    def __init__(self) -> None:
        self.cluster = TempCluster()
        info = self.cluster.info
        password, folder = quote(info.superuser_password.reveal(), safe=""), quote(str(self.cluster.cluster.socket_dir), safe="")
        self.cluster.create_database("shared")
        self.env = {
            "FLUXBASE_DATABASE_URL": f"postgresql://{info.superuser}:{password}@{folder}/shared",
            "FLUXBASE_MASTER_KEY": MASTER_KEY,
            "FLUXBASE_LIMITS_ENABLED": "true",
            "FLUXBASE_LIMITS_RULES": '{"control": "100/1d", "data": "20/1d"}',
        }
        self.nodes = [self.start(), self.start()]

    def start(self) -> Server:
        return start_server(env=self.env, arguments=("--workers", "4"), has_keys=False)

    def stop(self) -> None:
        for node in self.nodes:
            node.stop(keep_data=True)
            shutil.rmtree(node.data_dir, ignore_errors=True)
        self.cluster.stop()


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[TwoNodes]:
    """One pair for this file."""
    nodes = TwoNodes()
    yield nodes
    nodes.stop()


def test_eight_workers_of_two_nodes_admit_exactly_the_limit(two_nodes: TwoNodes) -> None:
    """100 a day, 200 requests at once over eight workers: exactly 100 pass, and neither ``kill -9`` of a node nor its restart gives one back."""
    first, second = two_nodes.nodes
    assert statuses([first.url + JWKS, second.url + JWKS], 100) == {200: 100, 429: 100}
    first.process.kill()
    first.process.wait(30)
    assert statuses([second.url + JWKS], 10) == {429: 10}
    two_nodes.nodes[0] = two_nodes.start()
    assert statuses([two_nodes.nodes[0].url + JWKS], 10) == {429: 10}


def test_the_data_planes_limit_counts_over_the_workers_of_a_node(two_nodes: TwoNodes) -> None:
    """20 of 60 on connections of their own pass although four workers share them; the other node counts by itself."""
    address = fresh_address()
    for node in two_nodes.nodes:
        found: Counter[int] = Counter()
        for _ in range(60):
            with client_from(node, address) as client:
                found[client.get("/rest/v1/nothing").status_code] += 1
        assert found == {404: 20, 429: 40}


def test_the_store_knows_no_address(two_nodes: TwoNodes) -> None:
    """Keys in the table are digests: no e-mail address, ticket or client address is readable there."""
    statuses([two_nodes.nodes[1].url + JWKS], 1)
    keys = [str(key) for (key,) in two_nodes.cluster.sql("shared", "select key from platform.rate_limits")]
    assert keys
    assert not [key for key in keys if "127.0" in key or "@" in key]


@pytest.fixture(scope="module")
def counted() -> Iterator[Server]:
    """A server whose limits are small."""
    running = start_server(
        env={
            "FLUXBASE_LIMITS_ENABLED": "true",
            "FLUXBASE_LIMITS_X_FIELDS": "true",
            "FLUXBASE_LIMITS_EXEMPT_NETWORKS": "127.0.0.1/32",
            "FLUXBASE_LIMITS_RULES": '{"control": "5/1h", "tenants.mine": "3/1h", "auth.refresh": "2/1h", "auth.confirm": "2/1h", "auth.sign_in.account": "3/1h", "auth.recovery.account": "1/1h", "data.service_role": "4/1h"}',
        }
    )
    yield running
    running.stop()


def fields_of(answer: httpx.Response) -> dict[str, tuple[dict[str, int], dict[str, int]]]:
    """Policy name → its parameters in RateLimit-Policy and RateLimit, as a parser of structured fields reads them."""
    policy, standing = http_sfv.List(), http_sfv.List()
    policy.parse(answer.headers["ratelimit-policy"].encode())
    standing.parse(answer.headers["ratelimit"].encode())
    now = {item.value: dict(item.params) for item in standing}
    return {item.value: (dict(item.params), now[item.value]) for item in policy}


def test_the_fields_are_true(counted: Server) -> None:
    """``r`` counts down to 0 and that many requests pass; the 429 has Retry-After, the contract's body and the fields."""
    with client_from(counted) as client:
        for left in (4, 3, 2, 1, 0):
            answer = client.get(JWKS)
            assert answer.status_code == 200
            quota, standing = fields_of(answer)["control"]
            assert quota == {"q": 5, "w": 3600}
            assert standing["r"] == left
            assert 0 < standing["t"] <= 3600
            assert answer.headers["x-ratelimit-remaining"] == str(left)
        refused = client.get(JWKS)
    assert refused.status_code == 429
    body = refused.json()
    assert body["code"] == "RATE_LIMIT_EXCEEDED"
    assert isinstance(body["error"], str)
    assert body["message"]
    assert int(refused.headers["retry-after"]) == body["retry_after"]
    assert 0 < body["retry_after"] <= 720
    quota, standing = fields_of(refused)["control"]
    assert (quota, standing["r"]) == ({"q": 5, "w": 3600}, 0)
    assert body["retry_after"] <= standing["t"] <= 3600
    assert refused.headers["x-ratelimit-limit"] == "5"


def test_browsers_may_read_the_fields(counted: Server) -> None:
    """CORS exposes Retry-After, RateLimit, RateLimit-Policy and X-RateLimit-*."""
    exposed = counted.get("/health", headers={"origin": "https://app.example"}).headers["access-control-expose-headers"].lower()
    wanted = {"retry-after", "ratelimit", "ratelimit-policy", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}
    assert wanted <= {name.strip() for name in exposed.split(",")}


def test_addresses_are_counted_apart(counted: Server) -> None:
    """One address over its limit takes nothing from another."""
    with client_from(counted) as greedy, client_from(counted) as other:
        assert [greedy.get(JWKS).status_code for _ in range(6)][-1] == 429
        assert other.get(JWKS).status_code == 200


def test_a_route_has_a_rule_of_its_own(counted: Server) -> None:
    """``limits.rules`` names a route: it is refused earlier than the global limit would."""
    with client_from(counted, headers={"authorization": f"Bearer {counted.service_key}"}) as client:
        answers = [client.get("/api/v1/admin/tenants/mine") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert fields_of(answers[-1])["admin"][0] == {"q": 3, "w": 3600}
    assert {"admin", "control", "service_role"} >= set(fields_of(answers[0])) >= {"admin", "control"}


def test_guessed_links_are_counted_by_address(counted: Server) -> None:
    """Any link can be tried, so what is tried says nothing: an address may try no more often than the limit says (threat B26)."""
    with client_from(counted, headers={"apikey": counted.anon_key}) as client:
        answers = [client.post("/api/v1/auth/magiclink/verify", json={"token": f"x{number}"}).status_code for number in range(3)]
    assert 429 not in answers[:2]
    assert answers[2] == 429


def signed_up(server: Server, email: str) -> dict[str, str]:
    """A new account's session."""
    with client_from(server, headers={"apikey": server.anon_key}) as client:
        answer = client.post("/api/v1/auth/signup", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 201, answer.text
    return answer.json()


def asked_from_anywhere(server: Server, path: str, body: dict[str, str], most: int, headers: dict[str, str] | None = None) -> list[int]:
    """The same request, each time from an address that nobody has used."""
    found: list[int] = []
    for _ in range(most):
        with client_from(server, headers={"apikey": server.anon_key, **(headers or {})}) as client:
            found.append(client.post(f"/api/v1/auth/{path}", json=body).status_code)
    return found


@pytest.mark.parametrize("is_known", [True, False])
def test_an_account_is_counted_whatever_the_address(counted: Server, is_known: bool) -> None:
    """Guesses at one e-mail address from many machines end at its own limit, however it is spelled, with an account or without."""
    email = f"{uuid.uuid4().hex}@example.com"
    if is_known:
        signed_up(counted, email)
    assert asked_from_anywhere(counted, "signin", {"email": email, "password": "wrong-words-of-twelve"}, 3) == [401, 401, 401]
    assert asked_from_anywhere(counted, "signin", {"email": email.upper(), "password": PASSWORD}, 1) == [429]
    assert asked_from_anywhere(counted, "signin", {"email": f"x{email}", "password": PASSWORD}, 1) == [401]


def test_mails_to_one_address_are_counted(counted: Server) -> None:
    """Whoever asks and from wherever: a mailbox is not flooded, whether it has an account or not."""
    answers = asked_from_anywhere(counted, "password/reset", {"email": f"{uuid.uuid4().hex}@example.com"}, 4)
    assert answers[0] == 200
    assert answers[-1] == 429


def test_a_session_is_counted_and_keeps_its_token(counted: Server) -> None:
    """Refreshing one session too often is refused wherever it comes from, and the refused token is not used up."""
    token = signed_up(counted, f"{uuid.uuid4().hex}@example.com")["refresh_token"]
    for _ in range(2):
        with client_from(counted, headers={"apikey": counted.anon_key}) as client:
            token = client.post("/api/v1/auth/refresh", json={"refresh_token": token}).json()["refresh_token"]
    assert asked_from_anywhere(counted, "refresh", {"refresh_token": token}, 2) == [429, 429]
    digest = hashlib.sha256(token.encode()).hexdigest()
    unused = f"select count(*) from auth.refresh_tokens where used_at is null and token_hash = decode('{digest}', 'hex')"
    assert counted.root_sql(unused) == [(1,)]


@pytest.mark.twin("auth:account-limits")
def test_twin_without_account_limits_lets_guesses_through(twin: Server) -> None:
    """The same guesses from many machines never end when the services do not count."""
    email = f"{uuid.uuid4().hex}@example.com"
    body = {"email": email, "password": "wrong-words-of-twelve"}
    assert asked_from_anywhere(twin, "signin", body, 31, {"x-twin-without": "auth:account-limits"}) == [401] * 31
    assert asked_from_anywhere(twin, "signin", body, 31)[-1] == 429


def test_a_role_of_the_data_plane_has_a_rule_of_its_own(counted: Server) -> None:
    """``data.service_role`` counts the key, wherever its requests come from."""
    counted.sql("create table if not exists counted_rows (id int)")
    codes: list[int] = []
    for _ in range(5):
        with client_from(counted, headers={"authorization": f"Bearer {counted.service_key}"}) as client:
            codes.append(client.get("/rest/v1/counted_rows").status_code)
    assert codes == [200, 200, 200, 200, 429]


def test_a_restart_keeps_the_count(counted: Server) -> None:
    """Stopped and started on the same data, the server goes on counting where it was."""
    address = "127.66.0.1"
    with client_from(counted, address) as client:
        assert [client.get(JWKS).status_code for _ in range(6)] == [200] * 5 + [429]
    data, env = counted.data_dir, {k: v for k, v in counted.env.items() if k.startswith("FLUXBASE_LIMITS")}
    counted.stop(keep_data=True)
    again = start_server(data_dir=Path(data), env=env)
    counted.process, counted.port, counted.log_path = again.process, again.port, again.log_path
    with client_from(counted, address) as client:
        assert client.get(JWKS).status_code == 429


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """A real Redis of this file's own."""
    if RedisServer.binary() is None:
        pytest.skip("redis-server is not installed: apt-get install redis-server (.ci/run does)")
    running = RedisServer()
    yield running
    running.remove()


def test_redis_counts_for_two_nodes_and_its_death_is_survived(redis: RedisServer) -> None:
    """Two nodes on one Redis: exactly 20 pass. Without Redis strict limits are 503, others count in the process; its restart keeps the count."""
    settings = Limits(store="redis", redis_url=Secret(redis.url))
    limit, strict = Limit("redis.test", rate=20, per_seconds=86_400), Limit("redis.strict", rate=5, per_seconds=86_400, is_strict=True)

    async def run() -> None:
        nodes = [RateLimiter(settings, RedisStore(redis.url, 1.0)) for _ in range(2)]

        async def passes(node: RateLimiter, which: Limit) -> bool:
            try:
                await node.admit(which, "somebody")
            except RateLimited:
                return False
            return True

        assert sum(await asyncio.gather(*(passes(nodes[n % 2], limit) for n in range(60)))) == 20
        await nodes[0].admit(strict, "somebody")
        redis.stop()
        with pytest.raises(Unavailable):
            await nodes[1].admit(strict, "somebody")
        assert await passes(nodes[0], Limit("redis.other", rate=20, per_seconds=86_400))
        redis.start()
        again = RateLimiter(settings, RedisStore(redis.url, 1.0))
        assert [await passes(again, strict) for _ in range(6)] == [True] * 4 + [False] * 2
        assert not await passes(again, limit)
        for node in (*nodes, again):
            await node.close()

    asyncio.run(run())


def test_a_server_counts_in_redis(redis: RedisServer) -> None:
    """With ``limits.store: redis`` the shipped program refuses at the limit and PostgreSQL holds no count."""
    env = {
        "FLUXBASE_LIMITS_ENABLED": "true", "FLUXBASE_LIMITS_STORE": "redis", "FLUXBASE_LIMITS_REDIS_URL": redis.url,
        "FLUXBASE_LIMITS_RULES": '{"control": "7/1d"}',
    }  # fmt: skip
    running = start_server(env=env)
    try:
        assert statuses([running.url + JWKS], 20) == {200: 7, 429: 13}
        assert running.root_sql("select count(*) from platform.rate_limits where key like 'control:%'") == [(0,)]
    finally:
        running.stop()
