"""The sender over TCP: connect, say HELLO, send events, read acks. A thin asyncio shell round SenderProtocol."""

import asyncio
import ssl as ssl_module
from collections.abc import Sequence

from prometheus_client import Histogram

from ticketflow.feed.address import Address
from ticketflow.feed.alarm import Alarm
from ticketflow.feed.errors import (
    ELSEWHERE,
    ConnectFailed,
    FeedError,
    LocalProtocolError,
    PeerSilent,
    Refused,
    SessionLost,
    TlsFailed,
)
from ticketflow.feed.identity import Tls
from ticketflow.feed.limits import Limits
from ticketflow.feed.link import Link
from ticketflow.feed.messages import Ack, Hello, Welcome
from ticketflow.feed.metrics import (
    ACK_SECONDS,
    CONNECTS,
    ENDED,
    SESSIONS_OPEN,
    SESSIONS_OPENED,
    WINDOW_EVENTS,
    WINDOW_EVENTS_MAX,
)
from ticketflow.feed.protocol import Ended, Event
from ticketflow.feed.rotation import Rotation
from ticketflow.feed.sending import SenderProtocol
from ticketflow.feed.states import Role, State
from ticketflow.feed.tls import HANDSHAKE_TIMEOUT_S, SHUTDOWN_TIMEOUT_S
from ticketflow.feed.trust import Trust

CLOSE_TIMEOUT_S = 2.0  # for the receiver to acknowledge what it has begun, after our GOODBYE


async def connect(
    addresses: Sequence[Address],
    hello: Hello,
    *,
    ssl: ssl_module.SSLContext | Tls | None = None,
    limits: Limits | None = None,
    rotation: Rotation | None = None,
) -> "SenderSession":
    """Open a session with one of ``addresses``: one attempt at each, in the order of ``rotation`` (else as given).

    ``rotation``, made from the same addresses and kept between calls, remembers which one works. Raises Refused when a
    receiver refused us for a reason that another would give too, else, when no address works, Refused if that was the
    last answer, TlsFailed if TLS failed with one of them, or ConnectFailed.
    """
    limits = limits or Limits()
    rotation = rotation or Rotation(addresses)
    failures: list[str] = []
    distrust: TlsFailed | None = None  # does not pass by itself, so it is told rather than that another is away
    last: FeedError | None = None
    for address in rotation.order():
        session = SenderSession(address, hello, limits, rotation)
        try:
            await session._open(ssl)
        except FeedError as error:
            outcome = error.code if isinstance(error, Refused) and error.code in ELSEWHERE else type(error).__name__
            CONNECTS.labels(hello.stream, outcome).inc()
            rotation.failed(address)
            if isinstance(error, LocalProtocolError) or (isinstance(error, Refused) and error.code not in ELSEWHERE):
                raise
            failures.append(f"{address}: {error}")
            last = error
            if isinstance(error, TlsFailed):
                distrust = error
        else:
            CONNECTS.labels(hello.stream, "ok").inc()
            rotation.worked(address)
            return session
    if isinstance(last, Refused):
        raise last
    if distrust is not None:
        raise TlsFailed(distrust.fault, "; ".join(failures)) from distrust
    raise ConnectFailed("; ".join(failures)) from last


class SenderSession:
    """One open session. Not thread-safe; ``send`` is for one task at a time, ``wait_ack`` for another."""

    welcome: Welcome
    _ack_seconds: Histogram  # of this stream, with ``welcome``

    def __init__(self, address: Address, hello: Hello, limits: Limits, rotation: Rotation) -> None:
        self.address = address
        self.hello = hello
        self.closed = asyncio.Event()  # the session has ended; `error` says why
        self.error: FeedError | None = None
        self._limits = limits
        self._rotation = rotation
        self._loop = asyncio.get_running_loop()
        self._core = SenderProtocol(hello, limits, self._loop.time())
        self._link = Link(self._core, self._event, self._wake, self._connected)
        self._trust: Trust | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self._alarm = Alarm(self._loop, self._wake)
        self._acked_told: int | None = None  # what wait_ack gave last
        self._leaving = False

    @property
    def acked(self) -> int | None:
        """The receiver's watermark as far as we know it: from WELCOME, then from each ACK."""
        return self._core.acked

    @property
    def sent(self) -> int | None:
        """The last seq handed to the transport in this session."""
        return self._core.sent

    @property
    def rtt_s(self) -> float | None:
        """Round trip of the newest answered PING."""
        return self._core.rtt_s

    async def send(self, first_seq: int, bodies: Sequence[bytes]) -> None:
        """Send events; the seq of ``bodies[i]`` is ``first_seq + i``. Waits for the window and the write buffer.

        Seqs go on without a gap within a session (LocalProtocolError). Raises SessionLost or Refused when the session
        ends before all are handed over; what was, is unknown until acknowledged to the next session.
        """
        index = 0
        while True:
            self._raise_if_ended()
            if self._core.state is State.FINISHING:
                raise SessionLost("the session is ending; no more events may be sent")
            if self._link.writable.is_set():
                idle = self._core.window_events_used == 0
                index = self._core.offer(first_seq, bodies, index, self._loop.time())
                # What comes alone leaves at once. Where much comes, fewer and longer writes carry more.
                self._link.settle(at_once=idle and self._core.pending_bytes <= self._limits.frame_target_bytes)
            if index >= len(bodies):
                return
            await self._change()

    async def wait_ack(self, timeout_s: float) -> int | None:
        """The newest ack as soon as it is above what this gave last (at first: WELCOME's watermark).

        None when ``timeout_s`` passed first. Raises SessionLost or Refused when the session has ended and every ack has
        been given.
        """
        deadline = self._loop.time() + timeout_s
        while self._core.acked == self._acked_told:
            self._raise_if_ended()
            if self._loop.time() >= deadline:
                return None
            self._alarm.set(deadline)
            await self._change()
        self._acked_told = self._core.acked
        return self._acked_told

    async def close(self, reason: str = "done", timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Say GOODBYE, wait for the last acks, close. Never raises; when the time is over the connection is cut."""
        self._leaving = True
        if self._core.state is State.STREAMING:
            self._core.goodbye(reason)
            self._link.settle()
        if isinstance(self.error, PeerSilent):
            self.abort()  # nobody there to read our last words, or to close his end
        try:
            async with asyncio.timeout(timeout_s):
                await self._link.gone.wait()
        except TimeoutError:
            pass
        finally:
            self.abort()

    def abort(self) -> None:
        """Cut the connection now."""
        self._leaving = True
        self._link.abort()

    # -- inside

    async def _open(self, tls: ssl_module.SSLContext | Tls | None) -> None:
        """Connect and wait for WELCOME."""
        host = self.address.host
        self._trust = trust = Trust(tls)
        try:
            async with asyncio.timeout(self._limits.connect_timeout_s):
                await self._loop.create_connection(
                    lambda: self._link,
                    host,
                    self.address.port,
                    ssl=trust.context,
                    server_hostname=None if trust.context is None else host,
                    ssl_handshake_timeout=None if trust.context is None else HANDSHAKE_TIMEOUT_S,
                    ssl_shutdown_timeout=None if trust.context is None else SHUTDOWN_TIMEOUT_S,
                )
            while not hasattr(self, "welcome"):
                self._raise_if_ended()
                await self._change()
        except BaseException as error:
            self._link.abort()
            if (failure := trust.failure(error, self._link.lost_by)) is not None:
                raise failure from error
            if isinstance(error, TimeoutError):
                raise ConnectFailed(f"no connection within {self._limits.connect_timeout_s} s") from error
            if isinstance(error, OSError):
                raise ConnectFailed(str(error)) from error
            raise

    def _connected(self) -> None:
        """The connection stands, and HELLO is not written yet."""
        transport = self._link.transport
        if self._trust is not None and transport is not None and not self._trust.admits(transport):
            self._link.abort()

    def _event(self, event: Event) -> None:
        if isinstance(event, Ack):
            self._wake()
            if self._core.ack_delay_s is not None:  # told after whoever waits for the ACK has gone on
                self._loop.call_soon(self._ack_seconds.observe, self._core.ack_delay_s)
            return
        stream = self.hello.stream
        if isinstance(event, Welcome):
            self.welcome = event
            self._acked_told = event.watermark
            self._link.stream = stream
            self._ack_seconds = ACK_SECONDS.labels(stream)
            WINDOW_EVENTS_MAX.labels(stream).set(event.window_events)
            SESSIONS_OPENED.labels(Role.SENDER, stream).inc()
            SESSIONS_OPEN.labels(Role.SENDER, stream).inc()
        elif isinstance(event, Ended):
            self._ended(event.error)
        self._wake()

    def _ended(self, error: FeedError) -> None:
        self.error = error
        self.closed.set()
        self._alarm.cancel()
        if hasattr(self, "welcome"):
            SESSIONS_OPEN.labels(Role.SENDER, self.hello.stream).dec()
            WINDOW_EVENTS.labels(Role.SENDER, self.hello.stream).set(0)
            ENDED.labels(Role.SENDER, type(error).__name__).inc()
        if not self._leaving:
            self._rotation.failed(self.address)

    def _raise_if_ended(self) -> None:
        if self.error is not None:
            raise self.error

    async def _change(self) -> None:
        """Wait until anything changed, or the alarm goes off."""
        waiter = self._loop.create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
