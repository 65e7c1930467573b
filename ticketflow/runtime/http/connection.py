"""aiohttp's connection, made cheap and strict.

aiohttp parses, pipelines, pauses who sends too much, and closes who is idle. Ours: one task serves all requests of a
connection, and an answer is one write (aiohttp makes a task, a request, a response and a writer for each); a deadline
for the headers; problem+json for what is not HTTP; a cap.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from ticketflow.events.ids import new_id
from ticketflow.runtime.http.answer import PROBLEM_TYPE, problem_bytes
from ticketflow.runtime.http.deadline import Deadline
from ticketflow.runtime.http.incoming import Incoming
from ticketflow.runtime.http.outgoing import Outgoing, to_bytes
from ticketflow.runtime.http.streaming import StreamedResponse
from ticketflow.runtime.log import get_logger

log = get_logger("http")

# Nothing but cancellation is ever raised by it.
Answerer = Callable[[Incoming, Deadline], Awaitable[Outgoing | StreamedResponse]]


class Connection(RequestHandler):
    """One client connection. ``headers_timeout_s``: from the first byte of a request to the end of its headers."""

    __slots__ = ("_answer", "_deadline", "_headers_timeout_s", "_headers_timer")

    def __init__(self, manager: web.Server, answer: Answerer, *, headers_timeout_s: float, **options: Any) -> None:
        super().__init__(manager, **options)
        self._answer = answer
        self._deadline = Deadline(self._loop)
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

    # -- one request after the other

    async def start(self) -> None:
        """Serves until the connection ends; aiohttp calls it when there is one."""
        try:
            while not self._force_close:
                if not self._messages:
                    await self._next()
                message, content = self._messages.popleft()
                self._make_room()
                if not await self._serve(message, content):
                    break
                self._await_next()
        except asyncio.CancelledError:
            self.force_close()
            raise
        except ConnectionError:  # the client left before he had all of an answer
            self.force_close()
        except Exception as error:
            log.error("http_failed", exc_info=error)
            self.force_close()
        finally:
            self._deadline.stop()
        if not self._force_close:
            self._task_handler = None
            if self.transport is not None:
                self.transport.close()

    async def _next(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _make_room(self) -> None:
        """A request has been taken from those that were pipelined: others may come."""
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()

    async def _serve(self, message: Any, content: StreamReader) -> bool:
        """Answers one request; whether another may follow."""
        self._request_in_progress = True
        try:
            if isinstance(message, RawRequestMessage):
                stays = await self._served(message, content)
            else:
                self._write(_not_http(message.status, message.exc, message.message), (1, 1), head=False, stays=False)
                stays = False
        finally:
            self._current_request = None
            self._request_in_progress = False
            if self._handler_waiter is not None and not self._handler_waiter.done():
                self._handler_waiter.set_result(None)
        if self._paused:
            await self._drain_helper()
        if not content.is_eof():
            stays = await self._throw_away(content) and stays
        transport = self.transport
        return stays and not self._close and transport is not None and not transport.is_closing()

    async def _served(self, message: RawRequestMessage, content: StreamReader) -> bool:
        incoming = Incoming(message, content, self)
        self._current_request = incoming  # type: ignore[assignment]  # it only ever cancels it
        answer = await self._answer(incoming, self._deadline)
        self._no_upgrade()
        if isinstance(answer, StreamedResponse):  # sent already
            return bool(answer.keep_alive)
        stays = not (answer.close or message.should_close)
        self._write(answer, message.version, head=message.method == "HEAD", stays=stays)
        return stays

    def _write(self, answer: Outgoing, version: tuple[int, int], *, head: bool, stays: bool) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(to_bytes(answer, version=version, head=head, keep_alive=stays))

    def _no_upgrade(self) -> None:
        """Nobody here speaks another protocol: what came behind a wish for one is HTTP like the rest."""
        if self._upgraded and not self._messages and self._parser is not None:
            self._parser.set_upgraded(False)
            self._upgraded = False
            tail, self._message_tail = self._message_tail, b""
            if tail:
                self.data_received(tail)
            if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
                self._resume_reading_if_drained()

    async def _throw_away(self, content: StreamReader) -> bool:
        """Reads for a while what is left of the body, so that the client sees the answer; whether that was all."""
        try:
            async with asyncio.timeout(self._lingering_time):
                while not content.is_eof() and not self._force_close:
                    await content.readany()
        except (TimeoutError, web.RequestPayloadError):
            return False
        return content.is_eof()

    def _await_next(self) -> None:
        """From now on the connection is idle."""
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)


def _not_http(status: int, error: BaseException | None, message: str | None) -> Outgoing:
    """The answer to what never became a request."""
    correlation_id = new_id()
    log.info("http_bad_request", error=str(message or error), correlation_id=correlation_id)
    detail = "the request is not HTTP that this server takes"
    content = problem_bytes(status, "bad_request", detail, correlation_id)
    headers = {"Content-Type": PROBLEM_TYPE, "X-Correlation-Id": correlation_id}
    return Outgoing(status, content, headers, close=True)


class ConnectionFactory(web.Server):
    """Makes connections; beyond ``connections_max`` a new one is closed before a byte of it is read."""

    def __init__(self, answer: Answerer, *, headers_timeout_s: float, connections_max: int, **options: Any) -> None:
        super().__init__(_never, handler_cancellation=False)
        self._answer = answer
        self._headers_timeout_s = headers_timeout_s
        self._connections_max = connections_max
        self._options = options

    def __call__(self) -> RequestHandler:
        return Connection(
            self, self._answer, loop=self._loop, headers_timeout_s=self._headers_timeout_s, **self._options
        )

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self._connections) > self._connections_max:
            transport.abort()


async def _never(_request: web.BaseRequest) -> web.StreamResponse:
    raise RuntimeError("our connections answer themselves")
