"""aiohttp's connection with what it lacks: a deadline for the headers, problem+json for what is not HTTP, a cap."""

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from ticketflow.events.ids import new_id
from ticketflow.runtime.http.answer import PROBLEM_TYPE, problem_bytes
from ticketflow.runtime.log import get_logger

log = get_logger("http")


class Connection(RequestHandler):
    """One client connection. ``headers_timeout_s``: from the first byte of a request to the end of its headers."""

    __slots__ = ("_headers_timeout_s", "_headers_timer")

    def __init__(self, manager: web.Server, *, headers_timeout_s: float, **options: Any) -> None:
        super().__init__(manager, **options)
        self._headers_timeout_s = headers_timeout_s
        self._headers_timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            self._stop_headers_timer()
        elif self._headers_timer is None and data and self._waiter is not None and not self._force_close:
            self._headers_timer = self._loop.call_later(self._headers_timeout_s, self._headers_late)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_headers_timer()
        super().connection_lost(exc)

    def _stop_headers_timer(self) -> None:
        if self._headers_timer is not None:
            self._headers_timer.cancel()
            self._headers_timer = None

    def _headers_late(self) -> None:
        self._headers_timer = None
        if self._waiter is not None and not self._waiter.done():
            log.info("http_headers_late", peer=str(self.peername))
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Only for what never became a request; the server answers all others itself."""
        correlation_id = new_id()
        if status == 400:
            detail = "the request is not HTTP that this server takes"
            log.info("http_bad_request", error=str(message or exc), correlation_id=correlation_id)
            content = problem_bytes(400, "bad_request", detail, correlation_id)
        else:
            log.error("http_failed", status=status, exc_info=exc, correlation_id=correlation_id)
            content = problem_bytes(status, "internal", "something went wrong here", correlation_id)
        response = web.Response(status=status, body=content, content_type=PROBLEM_TYPE)
        response.headers["X-Correlation-Id"] = correlation_id
        response.force_close()
        return response


class ConnectionFactory(web.Server):
    """Makes connections; beyond ``connections_max`` a new one is closed before a byte of it is read."""

    def __init__(
        self, handler: Any, *, headers_timeout_s: float, connections_max: int, request_factory: Any, **options: Any
    ) -> None:
        super().__init__(handler, request_factory=request_factory, handler_cancellation=False)
        self._headers_timeout_s = headers_timeout_s
        self._connections_max = connections_max
        self._options = options

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, headers_timeout_s=self._headers_timeout_s, **self._options)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self.connections) > self._connections_max:
            transport.abort()
