"""The front, with small services behind it that say what they were asked."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from stack.servers.nginx import NginxServer
from tests.support.freezing import freeze
from tests.support.ports import free_port
from tests.support.running import RunningServer
from tests.support.waiting import wait_until

CREATE = {"Idempotency-Key": "k1"}


@dataclass
class Upstream:
    """Answers everything with its name, and remembers the requests."""

    name: str
    port: int = field(default_factory=free_port)
    seen: list[web.Request] = field(default_factory=list)
    hangs_up: bool = False
    delay_s: float = 0
    headers: dict[str, str] = field(default_factory=dict)
    runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application(client_max_size=1024**2)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        self.seen.append(request)
        await request.read()
        if self.hangs_up:
            assert request.transport is not None
            request.transport.abort()
        await asyncio.sleep(self.delay_s)
        if request.headers.get("If-None-Match"):
            return web.Response(status=304, headers=self.headers)
        return web.json_response({"by": self.name, "path": request.path}, headers=self.headers)


@dataclass(frozen=True)
class Answer:
    by: str
    took_s: float


async def hold(client: aiohttp.ClientSession) -> Answer:
    begun = time.monotonic()
    async with client.post("/api/v1/holds", json={}, headers=CREATE) as response:
        assert response.status == 200, await response.text()
        return Answer((await response.json())["by"], time.monotonic() - begun)


@contextmanager
def frozen(port: int) -> Iterator[Callable[[], None]]:
    """A replica of its own process that is stopped: its kernel accepts connections, and nobody answers."""
    with subprocess.Popen([sys.executable, "-c", REPLICA, str(port)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"listens\n"
            freeze(process.pid)
            yield lambda: process.send_signal(signal.SIGCONT)
        finally:
            process.kill()


REPLICA = """
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"by": "thawed"}')

server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print("listens", flush=True)
server.serve_forever()
"""


@dataclass
class Front:
    url: str
    one: Upstream
    two: Upstream
    billing: Upstream
    portal: Upstream
    log: RunningServer[NginxServer]


@pytest.fixture(scope="module")
def upstreams() -> dict[str, Upstream]:
    return {name: Upstream(name) for name in ("RESERVATION_1", "RESERVATION_2", "BILLING", "PORTAL")}


@pytest.fixture(scope="module")
def nginx(servers_folder: Path, upstreams: dict[str, Upstream]) -> Iterator[RunningServer[NginxServer]]:
    one, two, billing, portal = (f"127.0.0.1:{upstream.port}" for upstream in upstreams.values())
    addresses = {"RESERVATION": [one, two], "BILLING": [billing], "PORTAL": [portal]}
    server = NginxServer(servers_folder / "nginx", free_port(), addresses)
    running = RunningServer(server, servers_folder / "nginx.log")
    running.start()
    yield running
    running.stop()


@pytest.fixture
async def front(nginx: RunningServer[NginxServer], upstreams: dict[str, Upstream]) -> AsyncIterator[Front]:
    nginx.stop()  # it remembers which upstreams failed, and each test brings its own failures
    nginx.start()
    for upstream in upstreams.values():
        upstream.seen.clear()
        upstream.hangs_up = False
        upstream.delay_s = 0
        upstream.headers = {}
        await upstream.start()
    one, two, billing, portal = upstreams.values()
    yield Front(f"http://127.0.0.1:{nginx.server.port}", one, two, billing, portal, nginx)
    for upstream in upstreams.values():
        await upstream.stop()


@pytest.fixture
async def client(front: Front) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(front.url) as session:
        yield session


@pytest.mark.parametrize(
    ("path", "by"),
    [
        ("/api/v1/orders/1/payments", "BILLING"),
        ("/api/v1/admin/exports/ledger.csv", "BILLING"),
        ("/api/v1/admin/orders/1/refunds", "BILLING"),
        ("/api/v1/admin/refunds/1/retry", "BILLING"),
        ("/api/v1/admin/events/1/cancellation", "BILLING"),
        ("/api/v1/admin/events/1/cancellation/pause", "BILLING"),
        ("/api/v1/webhooks/stripe", "BILLING"),
        ("/api/v1/wallets/buyer-1", "BILLING"),
        ("/api/v1/wallets/buyer-1/topups", "BILLING"),
        ("/api/v1/admin/buyers/buyer-1/token", "BILLING"),
        ("/api/v1/admin/wallets/buyer-1/freezes", "BILLING"),
        ("/api/v1/sales", "PORTAL"),
        ("/api/v1/sales/1", "PORTAL"),
        ("/sales/1", "PORTAL"),
        ("/api/v1/buyers/ann:1/contact", "PORTAL"),
    ],
)
async def test_each_path_has_its_service(client: aiohttp.ClientSession, path: str, by: str) -> None:
    async with client.get(path) as response:
        assert await response.json() == {"by": by, "path": path}


@pytest.mark.parametrize(
    "path",
    ["/api/v1/holds", "/api/v1/events/1", "/api/v1/venues", "/api/v1/halls", "/api/v1/admin/events"],
)
async def test_both_replicas_of_reservation_take_their_turns(client: aiohttp.ClientSession, path: str) -> None:
    by = set()
    for _ in range(8):  # each worker of nginx keeps its own turns
        async with client.get(path) as response:
            by.add((await response.json())["by"])
    assert by == {"RESERVATION_1", "RESERVATION_2"}


async def test_what_readers_and_services_say_of_caching_passes_unchanged(
    client: aiohttp.ClientSession, front: Front
) -> None:
    path = "/api/v1/events/1/availability"
    said = {"ETag": 'W/"1"', "Cache-Control": "public, max-age=1", "Vary": "Accept-Encoding"}
    front.one.headers = front.two.headers = said
    asked = {"Cache-Control": "no-cache", "Accept-Encoding": "gzip;q=0.5"}
    async with client.get(path, headers=asked) as response:
        assert {name: response.headers[name] for name in said} == said
    async with client.get(path, headers={"If-None-Match": 'W/"1"'}) as response:
        assert (response.status, response.headers["ETag"]) == (304, 'W/"1"')
    [first, second] = sorted([*front.one.seen, *front.two.seen], key=lambda seen: "If-None-Match" in seen.headers)
    assert {name: first.headers[name] for name in asked} == asked
    assert second.headers["If-None-Match"] == 'W/"1"'


@pytest.mark.parametrize(
    "path", ["/metrics", "/readyz", "/", "/api/v1/holdsx", "/api/v1/admin/parked", "/openapi.json", "/api/v1"]
)
async def test_what_is_not_published_is_not_found(client: aiohttp.ClientSession, front: Front, path: str) -> None:
    async with client.get(path) as response:
        assert response.status == 404
        assert response.content_type == "application/problem+json"
        problem = await response.json()
    assert problem["code"] == "not_found"
    assert problem["correlation_id"] == response.headers["X-Correlation-Id"]
    assert not [seen for service in (front.one, front.two, front.billing, front.portal) for seen in service.seen]


async def test_the_services_descriptions_are_published(client: aiohttp.ClientSession) -> None:
    async with client.get("/openapi/portal.json") as response:
        assert await response.json() == {"by": "PORTAL", "path": "/openapi.json"}


async def test_nginx_answers_for_its_own_health(client: aiohttp.ClientSession) -> None:
    async with client.get("/healthz") as response:
        assert await response.json() == {"status": "alive"}


async def test_a_clients_correlation_id_goes_through(client: aiohttp.ClientSession, front: Front) -> None:
    async with client.get("/api/v1/sales", headers={"X-Correlation-Id": "shop:42.a_b-c"}):
        assert front.portal.seen[0].headers["X-Correlation-Id"] == "shop:42.a_b-c"


@pytest.mark.parametrize("claimed", [None, "", "a b", "x" * 65, 'q"uote'])
async def test_a_missing_or_unfit_one_is_replaced_by_the_request_id(
    client: aiohttp.ClientSession, front: Front, claimed: str | None
) -> None:
    async with client.get("/api/v1/sales", headers={} if claimed is None else {"X-Correlation-Id": claimed}):
        headers = front.portal.seen[0].headers
    assert len(headers["X-Correlation-Id"]) == 32
    assert headers["X-Correlation-Id"] == headers["X-Request-Id"]


async def test_a_post_goes_to_the_other_replica_when_one_hangs_up(client: aiohttp.ClientSession, front: Front) -> None:
    front.one.hangs_up = True
    for _ in range(4):
        async with client.post("/api/v1/holds", json={}, headers=CREATE) as response:
            assert (await response.json())["by"] == "RESERVATION_2"
    assert front.one.seen, "it was tried"


async def test_a_dead_replica_is_not_noticed(client: aiohttp.ClientSession, front: Front) -> None:
    await front.two.stop()
    for _ in range(8):
        async with client.post("/api/v1/holds", json={}, headers=CREATE) as response:
            assert (await response.json())["by"] == "RESERVATION_1"


async def test_with_both_replicas_dead_the_client_is_told_to_try_again(
    client: aiohttp.ClientSession, front: Front
) -> None:
    await front.one.stop()
    await front.two.stop()
    async with client.post("/api/v1/holds", json={}, headers=CREATE) as response:
        assert response.status in (502, 503)
        assert response.headers["Retry-After"] == "1"
        assert response.content_type == "application/problem+json"
        assert (await response.json())["code"] == "upstream_unavailable"


async def test_a_replica_that_comes_back_is_found_at_once_when_it_is_the_only_one(
    client: aiohttp.ClientSession, front: Front
) -> None:
    await front.one.stop()
    await front.two.stop()
    for _ in range(4):
        async with client.post("/api/v1/holds", json={}, headers=CREATE) as response:
            assert response.status == 502
    await front.two.start()
    async with client.post("/api/v1/holds", json={}, headers=CREATE) as response:
        assert (await response.json())["by"] == "RESERVATION_2"


async def test_a_frozen_replica_delays_a_few_and_stops_nobody(client: aiohttp.ClientSession, front: Front) -> None:
    await front.two.stop()
    with frozen(front.two.port) as thaw:
        begun = time.monotonic()
        answers = await asyncio.gather(*(hold(client) for _ in range(20)))
        assert {answer.by for answer in answers} == {"RESERVATION_1"}
        assert max(answer.took_s for answer in answers) < 2.9, "one time-out of 1.5 s, not two"

        answers = [await hold(client) for _ in range(20)]
        assert {answer.by for answer in answers} == {"RESERVATION_1"}
        assert time.monotonic() - begun < 4, "it is left alone now"

        thaw()

        async def seen_again() -> bool:
            return (await hold(client)).by == "thawed"

        await wait_until(seen_again, timeout_s=10)


async def test_replicas_that_are_slow_with_their_store_answer_nevertheless(
    client: aiohttp.ClientSession, front: Front
) -> None:
    front.one.delay_s = front.two.delay_s = 2.0
    for _ in range(2):
        answers = await asyncio.gather(*(hold(client) for _ in range(20)))
        assert max(answer.took_s for answer in answers) < 4.5
    # The first twenty may go to both replicas. Then both count as failed, and nothing is sent twice any more.
    assert len(front.one.seen) + len(front.two.seen) <= 60 + 2

    front.one.seen.clear()
    front.two.seen.clear()
    await asyncio.gather(*(hold(client) for _ in range(20)))
    assert len(front.one.seen) + len(front.two.seen) <= 20 + 2


async def test_a_payment_waits_for_the_provider(client: aiohttp.ClientSession, front: Front) -> None:
    front.billing.delay_s = 2.0
    async with client.post("/api/v1/orders/1/payments", json={}, headers=CREATE) as response:
        assert response.status == 200
    assert len(front.billing.seen) == 1


async def test_the_body_goes_along_with_every_try(client: aiohttp.ClientSession, front: Front) -> None:
    front.one.delay_s = front.two.delay_s = 2.0
    async with client.post("/api/v1/holds", data=b"x" * 65536, headers=CREATE) as response:
        assert response.status == 200
    seen = [*front.one.seen, *front.two.seen]
    assert [(request.method, len(await request.read())) for request in seen] == [("POST", 65536)] * 2


async def test_a_webhook_may_have_256_kib_and_all_of_it_goes_along_with_every_try(
    client: aiohttp.ClientSession, front: Front
) -> None:
    front.billing.delay_s = 2.0
    async with client.post("/api/v1/webhooks/stripe", data=b"x" * 262_144) as response:
        assert response.status == 200
    assert [len(await request.read()) for request in front.billing.seen] == [262_144] * 2
    async with client.post("/api/v1/webhooks/stripe", data=b"x" * 262_145) as response:
        assert response.status == 413


async def test_a_body_of_64_kib_passes_and_a_larger_one_does_not(client: aiohttp.ClientSession, front: Front) -> None:
    async with client.post("/api/v1/orders/1/payments", data=b"x" * 65536, headers=CREATE) as response:
        assert response.status == 200
    async with client.post("/api/v1/orders/1/payments", data=b"x" * 65537, headers=CREATE) as response:
        assert response.status == 413
        assert (await response.json())["code"] == "body_too_large"
    assert len(front.billing.seen) == 1


async def test_garbage_gets_a_problem(front: Front) -> None:
    port = front.log.server.port
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"GET /api/v1/sales HTTP/1.1\r\nHost: a\r\nContent-Length: many\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert b" 400 " in answer.splitlines()[0]
    assert b'"code":"bad_request"' in answer


async def test_each_request_is_one_json_line_in_the_log(client: aiohttp.ClientSession, front: Front) -> None:
    async with client.get("/api/v1/sales?buyer_id=secret", headers={"X-Correlation-Id": "find-me"}):
        pass
    # nginx writes it when the request is over, just after the client has its answer.
    await wait_until(lambda: "find-me" in front.log.tail(5))
    line = next(line for line in front.log.tail(5).splitlines() if "find-me" in line)
    logged = {"service": "nginx", "method": "GET", "path": "/api/v1/sales", "status": 200}
    assert json.loads(line).items() >= logged.items()
