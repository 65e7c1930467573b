"""The asyncio shell round a Protocol, the same for both roles: one transport, one timer, one flush a loop turn.

Laws:
- It decides nothing about the protocol; it moves bytes and time in, bytes out, and hands events to its owner.
- Output is coalesced: everything queued in one turn of the loop leaves in one write; but for what somebody waits for.
- A connection always ends: close, linger and abort each have a deadline.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from ticketflow.feed.errors import Refused
from ticketflow.feed.metrics import SessionMeter, count_refusal
from ticketflow.feed.protocol import Ended, Event, Protocol
from ticketflow.feed.states import State

# Queued output beyond this, as 256 events together, does not wait for the end of the loop turn. Over TLS a write costs
# more whatever its length, so there are fewer; one that is longer still leaves the other end without work.
FLUSH_BYTES = 48 * 1024
TLS_FLUSH_BYTES = 72 * 1024
TICK_S_MAX = 0.25  # a deadline that moved forward is noticed this late at most
TICK_S_MIN = 0.005
LATE_S = 0.1  # a timer this late means that we stood still (stopped, or starved of processor), not the peer
DROPPED_BYTES_MAX = 4 * 1024 * 1024  # read and dropped after a REFUSE, so that the peer can read it; then abort


class Link(asyncio.Protocol):
    """One connection. ``writable`` and ``gone`` may be awaited; ``on_wake`` is called when either changes."""

    def __init__(
        self,
        core: Protocol,
        on_event: Callable[[Event], None],
        on_wake: Callable[[], None],
        on_open: Callable[[], None] = lambda: None,
    ) -> None:
        self.core = core
        self.writable = asyncio.Event()
        self.gone = asyncio.Event()  # the transport is closed, nothing is left of this connection
        self.on_gone: Callable[[], None] = lambda: None
        self.lost_by: Exception | None = None  # what took the connection, where it was not a plain end
        self.stream: str | None = None  # the label of metrics, once the session is agreed on
        self._on_event = on_event
        self._on_wake = on_wake
        self._on_open = on_open
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._meter = SessionMeter(core.role)
        self._timer: asyncio.TimerHandle | None = None
        self._closer: asyncio.TimerHandle | None = None
        self._was_late = False
        self._flush_due = False
        self._flush_bytes = FLUSH_BYTES
        self._finishing = False
        self._linger = False  # whether the peer has something of ours to read before the socket may die
        self._dropped_bytes = 0

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without inheriting from it
        tune(transport)
        if transport.get_extra_info("ssl_object") is not None:
            self._flush_bytes = TLS_FLUSH_BYTES
        self._transport.set_write_buffer_limits(high=self.core.limits.write_buffer_bytes)
        self.writable.set()
        self.core.connected(self._loop.time())
        self._on_open()
        self._arm()
        self._settle()

    def data_received(self, data: bytes) -> None:
        if self._finishing:
            self._dropped_bytes += len(data)
            if self._dropped_bytes > DROPPED_BYTES_MAX:
                self.abort()
            return
        self._handle(self.core.receive(data, self._loop.time()))

    def eof_received(self) -> None:
        self._handle(self.core.eof())

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()
        self._on_wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._finishing = True
        self.lost_by = exc
        self._handle(self.core.eof())
        for timer in (self._timer, self._closer):
            if timer is not None:
                timer.cancel()
        self._timer = self._closer = None
        self._transport = None
        self._meter.update(self.core.counts, self.stream)
        self.gone.set()
        self.on_gone()
        self._on_wake()

    # -- for the owner

    def push(self) -> None:
        """Have queued output written at the end of this loop turn, or at once when it is much."""
        if self.core.pending_bytes >= self._flush_bytes:
            self._flush()
        elif not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def settle(self, *, at_once: bool = False) -> None:
        """Call after using the core: writes what it queued, and closes the connection if the session has ended.

        ``at_once``: now, not at the end of this turn of the loop, as the peer has nothing to do before he has it.
        """
        if at_once:
            self._flush()
        self._settle()

    def end(self, events: list[Event]) -> None:
        """Handle events that the owner caused itself, as ``Protocol.refuse`` gives them."""
        self._handle(events)

    def close(self) -> None:
        """Close peacefully: queued output is flushed and the peer given time to read it, within deadlines."""
        self._linger = True
        self._handle(self.core.eof())
        self._finish()

    def abort(self) -> None:
        """Close at once; queued output is lost."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def transport(self) -> asyncio.Transport | None:
        """None before the connection is made and after it is lost."""
        return self._transport

    # -- inside

    def _handle(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Ended) and isinstance(event.error, Refused):
                count_refusal(self.core.role, "in", event.error.code)
            self._on_event(event)
        self._settle()

    def _settle(self) -> None:
        if self.core.state is State.CLOSED:
            self._finish()
        elif self.core.pending_bytes:
            self.push()

    def _flush(self) -> None:
        self._flush_due = False
        if self._transport is None or not self.core.pending_bytes:
            return
        data = self.core.data_to_send()
        if not self._transport.is_closing():
            self._transport.write(data)

    def _arm(self) -> None:
        deadline = self.core.next_deadline()
        if deadline is None:
            return
        now = self._loop.time()
        self._timer = self._loop.call_at(now + min(max(deadline - now, TICK_S_MIN), TICK_S_MAX), self._tick)

    def _tick(self) -> None:
        assert self._timer is not None
        now = self._loop.time()
        late_s = now - self._timer.when()
        if late_s > LATE_S:
            self.core.stood_still(late_s)
        # Read what has arrived meanwhile before judging the peer; once, for one who is always late must judge as well.
        self._was_late = not self._was_late and late_s > LATE_S
        if not self._was_late:
            self._handle(self.core.tick(now))
        self._meter.update(self.core.counts, self.stream, None if self.core.closed else self.core.window_events_used)
        self._arm()

    def _finish(self) -> None:
        """The session has ended: write what is left, let the peer read it, close."""
        if self._finishing or self._transport is None:
            return
        self._finishing = True
        if self.core.refused is not None:
            count_refusal(self.core.role, "out", self.core.refused)
            self._linger = True
        self._flush()
        if self._linger and self._transport.can_write_eof() and not self._transport.is_closing():
            # Closing a socket that has unread input resets it, and the peer may never see why it was refused.
            # (TLS has its own exchange of goodbyes at the end, with a deadline.)
            with suppress(OSError):  # plain asyncio's: the peer has cut the connection, and we have not read so yet
                self._transport.write_eof()
            self._closer = self._loop.call_later(self.core.limits.linger_s, self._close)
        else:
            self._close()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._closer = self._loop.call_later(self.core.limits.connection_lost_s, self.abort)


def tune(transport: asyncio.BaseTransport) -> None:
    """Set the socket options of a feed: no Nagle delay, and dead peers noticed by the kernel too."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # First probe after 5 s, then every 2 s, dead after 3; unacknowledged output is given 8 s.
    for option, value in (
        ("TCP_KEEPIDLE", 5),
        ("TCP_KEEPINTVL", 2),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", 8000),
    ):
        if hasattr(socket, option):  # Linux has all four
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
