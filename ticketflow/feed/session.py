"""One connection at the receiver: HELLO to decide about, events to apply, one task for both.

Laws:
- The link reads all the time, so PING is answered however long `apply` takes; the window bounds what can queue.
- `apply` is never cancelled because a connection is lost: half-done work has an unknown outcome, finished work has not.
- Of one stream, one `apply` runs at a time, whatever sessions come and go.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol as Interface

import structlog
from prometheus_client import Histogram

from ticketflow.feed.errors import Code, FeedError, Refusal
from ticketflow.feed.limits import Limits
from ticketflow.feed.link import Link
from ticketflow.feed.messages import Events, Goodbye, Hello
from ticketflow.feed.metrics import APPLY_SECONDS, ENDED, SESSIONS_OPEN, SESSIONS_OPENED, WINDOW_EVENTS
from ticketflow.feed.protocol import Ended, Event
from ticketflow.feed.receiving import Position, ReceiverProtocol
from ticketflow.feed.states import Role, State
from ticketflow.feed.tls import peer_names

log = structlog.get_logger("ticketflow.feed")


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is connected. ``names``: the DNS and URI names of its certificate; none without TLS."""

    host: str
    port: int
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Receiver(Interface):
    """What a service does with a stream. Implementations need no locks: one call at a time for each stream."""

    async def hello(self, hello: Hello, peer: Peer) -> Position:
        """Judge a sender and say where we stand. Raises Refusal; any other error refuses it as `unavailable`."""

    async def apply(self, hello: Hello, first_seq: int, bodies: Sequence[bytes]) -> int:
        """Apply events durably; the seq of ``bodies[i]`` is ``first_seq + i``. Some may have come before.

        Returns the durable watermark. Raises Refusal; any other error ends the session, and the sender sends again.
        """


class Desk(Interface):
    """What a session needs of its server."""

    receiver: Receiver
    limits: Limits
    name: str
    expected_errors: tuple[type[BaseException], ...]

    def opened(self, session: "ReceiverSession") -> None: ...
    def enter(self, session: "ReceiverSession", stream: str) -> bool: ...
    def turn(self, stream: str) -> asyncio.Lock: ...
    def ended(self, session: "ReceiverSession") -> None: ...


class ReceiverSession:
    """``number``: order of arrival, by which the newest session of a stream is known."""

    _apply_seconds: Histogram  # of this stream, from WELCOME on

    def __init__(self, desk: Desk, number: int) -> None:
        self.number = number
        self.peer = Peer("?", 0)
        self.task: asyncio.Task[None] | None = None
        self._desk = desk
        self._loop = asyncio.get_running_loop()
        self._core = ReceiverProtocol(desk.name, desk.limits, self._loop.time())
        self.link = Link(self._core, self._event, self._wake, self._opened)
        self._queue: deque[Events] = deque()
        self._waiter: asyncio.Future[None] | None = None  # of the task, while it has nothing to do
        self._serving = False  # it is our turn: no other session of this stream applies
        self._applying = False
        self._stopping = False  # a GOODBYE of ours is out: finish the apply in progress, begin no other
        self._log = log

    # -- for the server

    def refuse(self, code: str, reason: str, retry_after_s: float | None = None) -> None:
        """End the session with REFUSE; nothing when it has ended."""
        self.link.end(self._core.refuse(code, reason, retry_after_s))

    def drain(self) -> None:
        """Take no more: a session finishes the apply in progress, acknowledges it and closes."""
        if self._core.state is State.STREAMING:
            self._core.goodbye("shutting down")
            self.link.settle()
            if not self._serving:  # still behind the session before it: nothing of ours has begun
                self.link.close()
        elif self._core.state is not State.FINISHING:
            self.refuse(Code.SHUTTING_DOWN, "shutting down", 0.0)
        self._stopping = True
        self._wake()

    # -- what the link tells

    def _opened(self) -> None:
        transport = self.link.transport
        assert transport is not None
        host, port = (transport.get_extra_info("peername") or ("?", 0))[:2]
        tls = transport.get_extra_info("ssl_object")
        self.peer = Peer(host, port, peer_names(tls.getpeercert()) if tls is not None else ())
        self._log = log.bind(peer=str(self.peer))
        self._desk.opened(self)

    def _event(self, event: Event) -> None:
        if isinstance(event, Events):
            self._queue.append(event)
        elif isinstance(event, Hello):
            self._log = self._log.bind(stream=event.stream, sender=event.sender)
            self.task = asyncio.create_task(self._run(event), name=f"feed {event.stream} from {self.peer}")
            self.task.add_done_callback(self._task_over)
        elif isinstance(event, Goodbye):
            self._log.info("feed_goodbye", reason=event.reason)
        elif isinstance(event, Ended):
            self._ended(event.error)
        self._wake()

    def _ended(self, error: FeedError) -> None:
        if self.link.stream is not None:
            SESSIONS_OPEN.labels(Role.RECEIVER, self.link.stream).dec()
            WINDOW_EVENTS.labels(Role.RECEIVER, self.link.stream).set(0)
        ENDED.labels(Role.RECEIVER, type(error).__name__).inc()
        self._log.info("feed_session_ended", error=type(error).__name__, detail=str(error))
        if self.task is not None and not self._applying and self.task is not asyncio.current_task():
            self.task.cancel()
        self._desk.ended(self)

    def _task_over(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("feed_session_crashed", error=type(error).__name__, detail=str(error), exc_info=error)
            self.refuse(Code.INTERNAL, "the session failed")

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- the task

    async def _run(self, hello: Hello) -> None:
        position = await self._decide(hello)
        if position is None or self._core.state is not State.GREETED:
            return
        if not self._desk.enter(self, hello.stream):
            self.refuse(Code.SUPERSEDED, "a newer session of this stream was opened")
            return
        self.link.stream = hello.stream
        self._apply_seconds = APPLY_SECONDS.labels(hello.stream)
        SESSIONS_OPENED.labels(Role.RECEIVER, hello.stream).inc()
        SESSIONS_OPEN.labels(Role.RECEIVER, hello.stream).inc()
        self._core.welcome(position, self._loop.time())
        self.link.settle()
        self._log.info("feed_session_opened", epoch=hello.epoch, watermark=position.watermark, last_seq=hello.last_seq)
        async with self._desk.turn(hello.stream):
            self._serving = True
            await self._serve(hello)

    async def _decide(self, hello: Hello) -> Position | None:
        limits = self._desk.limits
        try:
            async with asyncio.timeout(limits.decide_timeout_s):
                return await self._desk.receiver.hello(hello, self.peer)
        except Refusal as refusal:
            self.refuse(refusal.code, refusal.reason, refusal.retry_after_s)
        except Exception as error:
            self._failed("feed_hello_failed", error)
            self.refuse(Code.UNAVAILABLE, "the receiver cannot tell where it stands", limits.unavailable_retry_s)
        return None

    async def _serve(self, hello: Hello) -> None:
        """Apply what arrives until the session ends or is to stop, then close."""
        while self._core.state is not State.CLOSED and not self._stopping:
            if not self._queue:
                if self._core.state is State.FINISHING:
                    break
                self._waiter = self._loop.create_future()
                await self._waiter
            elif not self.link.writable.is_set():  # a sender that does not read its acks is not served
                await self.link.writable.wait()
            elif not await self._apply(hello):
                return
        self.link.close()

    async def _apply(self, hello: Hello) -> bool:
        """Apply one batch and acknowledge it; False when that ended the session."""
        first_seq, bodies = self._batch()
        self._applying = True
        began = time.perf_counter()
        try:
            watermark = await self._desk.receiver.apply(hello, first_seq, bodies)
        except Refusal as refusal:
            self.refuse(refusal.code, refusal.reason, refusal.retry_after_s)
            return False
        except Exception as error:
            expected = self._failed("feed_apply_failed", error, first_seq=first_seq, events=len(bodies))
            code = Code.UNAVAILABLE if expected else Code.INTERNAL
            self.refuse(code, f"events from {first_seq} could not be applied", self._desk.limits.unavailable_retry_s)
            return False
        finally:
            self._applying = False
            # After the ack is written: the sender waits for that, and for nothing of this.
            self._loop.call_soon(self._apply_seconds.observe, time.perf_counter() - began)
        return self._acknowledge(watermark, first_seq + len(bodies) - 1)

    def _acknowledge(self, watermark: int, last_seq: int) -> bool:
        if self._core.state is State.CLOSED:
            return False
        self._core.ack(max(watermark, self._core.acked or 0))
        if watermark < last_seq:
            self.refuse(Code.UNAVAILABLE, f"applied up to {watermark} only", self._desk.limits.unavailable_retry_s)
            return False
        self.link.settle(at_once=True)  # before the next batch is begun: its first steps may take milliseconds
        return True

    def _batch(self) -> tuple[int, list[bytes]]:
        """Take from the queue what goes into one apply: frames that follow one another, up to the limits."""
        limits = self._desk.limits
        first = self._queue.popleft()
        if not self._queue:
            return first.first_seq, first.bodies
        bodies = list(first.bodies)
        size = sum(map(len, bodies))
        while self._queue and self._queue[0].first_seq == first.first_seq + len(bodies):
            size += sum(map(len, self._queue[0].bodies))
            if len(bodies) + len(self._queue[0].bodies) > limits.batch_events_max or size > limits.batch_bytes_max:
                break
            bodies += self._queue.popleft().bodies
        return first.first_seq, bodies

    def _failed(self, action: str, error: Exception, **facts: int) -> bool:
        """Log a failure of the receiver; whether it is of a kind that passes by itself."""
        expected = isinstance(error, self._desk.expected_errors)
        if expected:
            self._log.warning(action, error=type(error).__name__, detail=str(error), **facts)
        else:
            self._log.error(action, error=type(error).__name__, detail=str(error), exc_info=error, **facts)
        return expected
