"""The receiver's end of a session, without I/O."""

from dataclasses import dataclass

from ticketflow.feed.errors import Code, LocalProtocolError, RemoteProtocolError
from ticketflow.feed.limits import FRAME_BYTES_MAX, SMALL_BYTES_MAX, VERSION, VERSION_MIN, Limits
from ticketflow.feed.messages import Ack, Events, Hello, Message, Welcome
from ticketflow.feed.protocol import Event, Protocol
from ticketflow.feed.states import Role, State
from ticketflow.feed.window import Window


@dataclass(frozen=True, slots=True)
class Position:
    """Where a receiver stands in a stream: both None when it stores nothing."""

    epoch: int | None
    watermark: int | None


class ReceiverProtocol(Protocol):
    """After a Hello event call ``welcome`` or ``refuse``; after Events, ``ack`` what is durable."""

    def __init__(self, name: str, limits: Limits, now: float) -> None:
        """``name``: this receiver's, 1 to 64 characters, for the sender's logs."""
        super().__init__(Role.RECEIVER, limits, now, body_bytes_max=SMALL_BYTES_MAX)
        self.hello: Hello | None = None
        self.version = VERSION
        self.received: int | None = None  # the last seq received in this session
        self.acked: int | None = None  # what the sender was told is durable: in WELCOME, then in each ACK
        self._name = name
        self._window = Window(limits.window_events, limits.window_bytes)
        self._hello_deadline = now + limits.hello_timeout_s

    def connected(self, now: float) -> None:
        super().connected(now)
        self._hello_deadline = now + self.limits.hello_timeout_s

    def stood_still(self, for_s: float) -> None:
        super().stood_still(for_s)
        self._hello_deadline += for_s

    @property
    def window_events_used(self) -> int:
        """How many events are received and not acknowledged."""
        return self._window.events_used

    def welcome(self, position: Position, now: float) -> None:
        """Accept the sender that said HELLO."""
        limits = self.limits
        self._send(
            Welcome(
                self.version,
                position.epoch,
                position.watermark,
                limits.window_events,
                limits.window_bytes,
                int(limits.ping_interval_s * 1000),
                int(limits.idle_timeout_s * 1000),
                self._name,
            )
        )
        self.acked = position.watermark
        self._heard_at = self._pinged_at = now
        self._reader.body_bytes_max = FRAME_BYTES_MAX

    def ack(self, seq: int) -> None:
        """Say that every event up to ``seq`` is durable. Never goes back (LocalProtocolError)."""
        if self.acked is not None and seq < self.acked:
            raise LocalProtocolError(f"ack of {seq} after {self.acked}")
        self._send(Ack(seq))
        self.acked = seq
        self._window.release(seq)

    def _received(self, message: Message, now: float, events: list[Event]) -> None:
        if isinstance(message, Events):
            self._arrived(message, now, events)
        elif isinstance(message, Hello):
            self._greeted(message, events)
        else:
            super()._received(message, now, events)

    def _greeted(self, hello: Hello, events: list[Event]) -> None:
        if hello.version < VERSION_MIN:
            raise RemoteProtocolError(
                Code.VERSION_UNSUPPORTED, f"version {hello.version}; we speak {VERSION_MIN} to {VERSION}"
            )
        self.hello = hello
        self.version = min(VERSION, hello.version)
        events.append(hello)

    def _arrived(self, message: Events, now: float, events: list[Event]) -> None:
        if self.state is not State.STREAMING:
            return  # they crossed a GOODBYE: the sender sends them again elsewhere
        fresh = self._without_repeats(message)
        if fresh is None:
            if self._courtesy(now) and self.acked is not None and message.last_seq <= self.acked:
                self._send(Ack(self.acked))
            return
        self.received = fresh.last_seq
        self.counts.events += len(fresh.bodies)
        if not self._window.add(fresh.last_seq, len(fresh.bodies), sum(map(len, fresh.bodies)), now):
            raise RemoteProtocolError(
                Code.WINDOW_EXCEEDED,
                f"{self._window.events_used} events of {self._window.bytes_used} bytes are unacknowledged; "
                f"{self._window.events_max} of {self._window.bytes_max} are allowed",
            )
        events.append(fresh)

    def _without_repeats(self, message: Events) -> Events | None:
        """``message`` without the events this session has already taken; None when that is all. Refuses a gap."""
        if self.received is None:  # the first frame of a session may go back behind the watermark
            if self.acked is not None and message.first_seq > self.acked + 1:
                raise RemoteProtocolError(Code.GAP, f"expected at most seq {self.acked + 1}, got {message.first_seq}")
            return message
        known = max(self.received, self.acked or 0)
        if message.first_seq > known + 1:
            raise RemoteProtocolError(Code.GAP, f"expected at most seq {known + 1}, got {message.first_seq}")
        if message.first_seq == known + 1:
            return message
        if message.last_seq <= known:
            return None
        return Events(known + 1, message.bodies[known + 1 - message.first_seq :])

    def _phase_deadline(self) -> float | None:
        return self._hello_deadline if self.state is State.NEW else None

    def _phase_over(self, now: float, events: list[Event]) -> None:
        self._refuse(RemoteProtocolError(Code.HANDSHAKE_TIMEOUT, "no HELLO came in time"), events)
