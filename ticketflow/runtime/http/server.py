"""The HTTP server: one dispatch for every request, so that every answer, good or bad, is of one kind.

aiohttp's low-level server does the HTTP; there is no Application, router or middleware of it. A client that hangs up
cancels nothing. The request time-out cancels the handler, which a COMMIT under way outlives (see commit.py).
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from types import AsyncGeneratorType
from urllib.parse import parse_qsl

import msgspec
from prometheus_client import Counter, Histogram

from ticketflow.events.ids import new_id
from ticketflow.runtime import metrics
from ticketflow.runtime.correlation import (
    acceptable_correlation_id,
    acceptable_traceparent,
    bind_correlation,
    new_traceparent,
)
from ticketflow.runtime.health import Health
from ticketflow.runtime.http.accept import Acceptor
from ticketflow.runtime.http.answer import JSON_TYPE, PROBLEM_TYPE, problem_bytes, problem_for
from ticketflow.runtime.http.connection import ConnectionFactory
from ticketflow.runtime.http.deadline import Deadline
from ticketflow.runtime.http.incoming import Incoming
from ticketflow.runtime.http.openapi import document
from ticketflow.runtime.http.outgoing import Outgoing
from ticketflow.runtime.http.route import Reply, Request, Route
from ticketflow.runtime.http.router import Router
from ticketflow.runtime.http.streaming import StreamedResponse
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.problem import Problem

HEADERS_TIMEOUT_S = 5.0
BODY_TIMEOUT_S = 5.0
# Longer than nginx keeps its upstream connections (60 s): the side that sends requests should be the one that closes.
KEEPALIVE_TIMEOUT_S = 75.0
HEADER_BYTES_MAX = 8190
HEADERS_MAX = 64
CONNECTIONS_MAX = 4096
LINGER_S = 2.0  # how long an unread body is read and thrown away, so that the client sees the answer

log = get_logger("http")
_encoder = msgspec.json.Encoder()

_requests = metrics.counter("http_requests_total", "HTTP requests", ("route", "method", "status"))
_seconds = metrics.histogram("http_request_seconds", "Time to answer an HTTP request", ("route", "method"))


class HttpServer:
    """Serves ``routes``, and /healthz, /readyz, /metrics, /openapi.json, which every process has."""

    def __init__(
        self,
        routes: Sequence[Route],
        *,
        title: str,
        version: str,
        host: str,
        port: int,
        admin_key: str | None,
        health: Health,
        body_bytes_max: int = 65_536,
        request_timeout_s: float = 10,
    ) -> None:
        self._host = host
        self._port = port
        self._health = health
        self._body_bytes_max = body_bytes_max
        self._request_timeout_s = request_timeout_s
        self._openapi = msgspec.json.encode(document(routes, title=title, version=version))
        own = [
            Route(method="GET", path="/healthz", handler=self._healthz, summary="The process is alive"),
            Route(method="GET", path="/readyz", handler=self._readyz, summary="The process can serve"),
            Route(method="GET", path="/metrics", handler=self._metrics, summary="Metrics for Prometheus"),
            Route(method="GET", path="/openapi.json", handler=self._document, summary="This interface"),
        ]
        self._router = Router([*routes, *own])
        self._acceptors = {id(route): Acceptor(route, admin_key) for route in [*routes, *own]}
        self._keep = [*routes, *own]
        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._factory: ConnectionFactory | None = None
        self._listener: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port it listens on; of use when it was asked to listen on port 0."""
        if self._listener is None:
            raise RuntimeError("the HTTP server has not been started")
        return int(self._listener.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listens. Raises OSError when the port is taken."""
        self._factory = ConnectionFactory(
            self._answer,
            headers_timeout_s=HEADERS_TIMEOUT_S,
            connections_max=CONNECTIONS_MAX,
            keepalive_timeout=KEEPALIVE_TIMEOUT_S,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
            max_headers=HEADERS_MAX,
            lingering_time=LINGER_S,
            access_log=None,
            auto_decompress=False,
        )
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            self._factory, self._host, self._port, backlog=1024, reuse_address=True
        )
        log.info("http_listens", host=self._host, port=self.port)

    async def drain(self, deadline_s: float) -> None:
        """Accepts nothing new, lets the requests under way end, cuts what is left after ``deadline_s``."""
        self._health.draining = True
        if self._listener is None or self._factory is None:
            return
        self._listener.close()
        self._factory.pre_shutdown()
        await self._factory.shutdown(deadline_s)

    async def _answer(self, incoming: Incoming, deadline: Deadline) -> Outgoing | StreamedResponse:
        """Every answer goes through here; nothing but cancellation is ever raised to the connection."""
        started = time.perf_counter()
        headers = incoming.headers
        correlation_id = (
            acceptable_correlation_id(headers.get("X-Correlation-Id") or headers.get("X-Request-Id")) or new_id()
        )
        traceparent = acceptable_traceparent(headers.get("traceparent")) or new_traceparent()
        routes, parameters = self._router.find(incoming.path)
        route = routes.get("GET" if incoming.method == "HEAD" else incoming.method)
        with bind_correlation(correlation_id, traceparent):
            try:
                answer: Outgoing | StreamedResponse
                if route is None:
                    answer = _no_route(incoming.method, routes, correlation_id)
                else:
                    work = self._handle(incoming, route, parameters, correlation_id)
                    answer = await deadline.within(self._request_timeout_s, work)
            except Exception as error:
                answer = _failed(problem_for(error), correlation_id)
            answer.headers["X-Correlation-Id"] = correlation_id
            if isinstance(answer, StreamedResponse):
                await answer.send(incoming.for_stream())
        self._count(route, incoming.method, answer.status, time.perf_counter() - started)
        return answer

    def _count(self, route: Route | None, method: str, status: int, took_s: float) -> None:
        """Unknown paths and methods share one label, or a scanner would make a time series for each of its guesses."""
        key = ("none", "any", status) if route is None else (route.path, method, status)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = (_requests.labels(*key), _seconds.labels(*key[:2]))
        series[0].inc()
        series[1].observe(took_s)

    async def _handle(
        self, incoming: Incoming, route: Route, parameters: Mapping[str, str], correlation_id: str
    ) -> Outgoing | StreamedResponse:
        acceptor = self._acceptors[id(route)]
        acceptor.before_body(parameters, incoming.headers)
        content = b"" if route.body is None else await self._read(incoming, route.body_bytes_max)
        query = parse_qsl(incoming.query, keep_blank_values=True) if route.query is not None else ()
        request = acceptor.request(parameters, query, incoming.headers, incoming.path, content, correlation_id)
        reply = await route.handler(request)
        if isinstance(reply.body, AsyncGeneratorType):
            return await StreamedResponse.begun(reply, reply.body, head=incoming.method == "HEAD")
        return _outgoing(reply)

    async def _read(self, incoming: Incoming, bytes_max: int | None) -> bytes:
        bytes_max = bytes_max or self._body_bytes_max
        if incoming.content.is_eof():  # it came with the headers, as bodies of this size do
            return await incoming.read(bytes_max)
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                return await incoming.read(bytes_max)
        except TimeoutError:
            raise Problem(408, "body_timed_out", f"the body did not arrive within {BODY_TIMEOUT_S:.0f} s") from None

    async def _healthz(self, _request: Request) -> Reply:
        return Reply(200, {"status": "alive"})

    async def _readyz(self, _request: Request) -> Reply:
        failures = await self._health.failures()
        if failures:
            return Reply(503, {"status": "not ready", "failing": failures}, {"Retry-After": "1"})
        return Reply(200, {"status": "ready"})

    async def _metrics(self, _request: Request) -> Reply:
        return Reply(200, metrics.exposition(), {"Content-Type": metrics.CONTENT_TYPE})

    async def _document(self, _request: Request) -> Reply:
        return Reply(200, self._openapi)


def _no_route(method: str, routes: Mapping[str, Route], correlation_id: str) -> Outgoing:
    if not routes:
        raise Problem(404, "not_found", "there is nothing at this path")
    allowed = ", ".join(sorted({*routes, "OPTIONS", *(["HEAD"] if "GET" in routes else [])}))
    if method == "OPTIONS":
        answer = Outgoing(204, None, {})
    else:
        answer = _failed(Problem(405, "method_not_allowed", f"this path takes {allowed}"), correlation_id)
    answer.headers["Allow"] = allowed
    return answer


def _outgoing(reply: Reply) -> Outgoing:
    headers = dict(reply.headers)
    if reply.body is None:
        return Outgoing(reply.status, None, headers)
    headers.setdefault("Content-Type", JSON_TYPE)
    content = reply.body if isinstance(reply.body, bytes) else _encoder.encode(reply.body)
    return Outgoing(reply.status, content, headers)


def _failed(problem: Problem, correlation_id: str) -> Outgoing:
    content = problem_bytes(problem.status, problem.code, problem.detail, correlation_id, problem.extra)
    headers = {"Content-Type": PROBLEM_TYPE}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(problem.retry_after_s)
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    # Its body has not been read: the connection cannot be used for another request.
    return Outgoing(problem.status, content, headers, close=problem.status in (408, 413, 415))
