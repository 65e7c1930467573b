"""The protocol without I/O: bytes and `now` in, events and bytes out. This file: what both roles share.

Laws:
- No asyncio, no socket, no clock: `now` is any clock that never goes back, in seconds, and is always passed in.
- ``receive`` and ``tick`` never raise on what a peer does: they give an ``Ended`` event, after which the state is
  CLOSED and ``data_to_send`` holds the REFUSE, if one is due. Only our caller's mistakes raise (LocalProtocolError).
- Any complete frame is a sign of life; half a frame is not, and has a deadline of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter

from ticketflow.feed.errors import (
    Code,
    FeedError,
    LocalProtocolError,
    PeerLeft,
    PeerSilent,
    Refused,
    RemoteProtocolError,
    SessionLost,
)
from ticketflow.feed.frames import FrameReader, write_frame
from ticketflow.feed.limits import COURTESIES_PER_SECOND, FLOOD_PER_SECOND, TIMEOUT_MS_MAX, Limits
from ticketflow.feed.messages import (
    Ack,
    Events,
    Goodbye,
    Hello,
    Message,
    Ping,
    Pong,
    Refuse,
    Welcome,
    append,
    clip,
    decode,
)
from ticketflow.feed.states import TRANSITIONS, Role, State, Way


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over. Nothing follows; unacknowledged events may or may not have been applied."""

    error: FeedError


Event = Hello | Welcome | Events | Ack | Goodbye | Ended
_End = Callable[[float, list[Event]], None]  # ends the session at a time, and tells of it


@dataclass(slots=True)
class Counts:
    """Totals of one session, for metrics."""

    frames_in: int = 0
    frames_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    events: int = 0  # sent by a sender, received by a receiver


class Protocol:
    """One end of one session. Not used itself: see SenderProtocol and ReceiverProtocol."""

    def __init__(self, role: Role, limits: Limits, now: float, *, body_bytes_max: int) -> None:
        self.role = role
        self.limits = limits
        self.state = State.NEW
        self.counts = Counts()
        self.error: FeedError | None = None  # why it ended
        self.refused: str | None = None  # the code we refused the peer with
        self.rtt_s: float | None = None  # of the newest ping that was answered
        self._row = TRANSITIONS[role][State.NEW]
        self._reader = FrameReader(body_bytes_max)
        self._out = bytearray()
        self._heard_at = now
        self._begun_at: float | None = None  # when the frame that is not complete began
        self._pinged_at = now
        self._ping_n = 0
        self._courtesy_since = now
        self._courtesies = 0
        self._ping_interval_s = limits.ping_interval_s
        self._idle_timeout_s = limits.idle_timeout_s

    def connected(self, now: float) -> None:
        """The connection stands: deadlines count from here."""
        self._heard_at = self._pinged_at = now

    def stood_still(self, for_s: float) -> None:
        """We did nothing for so long, because we were stopped or busy: nobody is blamed for that time."""
        self._heard_at += for_s
        if self._begun_at is not None:
            self._begun_at += for_s

    # -- bytes in, events out

    def receive(self, data: bytes | bytearray | memoryview, now: float) -> list[Event]:
        """Take bytes from the peer, in any cut. What they mean, in order."""
        events: list[Event] = []
        if self.state is State.CLOSED:
            return events
        self.counts.bytes_in += len(data)
        completed = False
        try:
            self._reader.feed(data)
            while not self.closed and (body := self._reader.next()) is not None:
                completed = True
                self.counts.frames_in += 1
                self._heard_at = now
                message = decode(body)
                self._turn(Way.RECEIVE, message)
                self._received(message, now, events)
        except RemoteProtocolError as error:
            self._refuse(error, events)
        if not self._reader.partial:
            self._begun_at = None
        elif completed or self._begun_at is None:
            self._begun_at = now
        return events

    def eof(self) -> list[Event]:
        """The connection is gone, or the peer will write no more."""
        if self.state is State.CLOSED:
            return []
        if self.state is State.FINISHING:
            return self._end(PeerLeft("the connection is closed after GOODBYE"))
        return self._end(SessionLost("the connection was closed without GOODBYE"))

    # -- time

    def next_deadline(self) -> float | None:
        """When ``tick`` has something to do, at the latest; None when closed."""
        if self.state is State.CLOSED:
            return None
        deadlines = [deadline for deadline, _end in self._ends()]
        if self._alive:
            deadlines.append(self._pinged_at + self._ping_interval_s)
        return min(deadlines, default=None)

    def tick(self, now: float) -> list[Event]:
        """Send what is due at ``now``, and end the session if the peer is late."""
        events: list[Event] = []
        if self.state is State.CLOSED:
            return events
        missed = [(deadline, end) for deadline, end in self._ends() if now >= deadline]
        if missed:
            _deadline, end = min(missed, key=itemgetter(0))
            end(now, events)
        elif self._alive and now >= self._pinged_at + self._ping_interval_s:
            self._pinged_at = now
            self._ping_n += 1
            self._send(Ping(self._ping_n))
        return events

    def _ends(self) -> list[tuple[float, _End]]:
        """The deadlines that run, and what ends the session when one is missed.

        The one that was missed first is the cause. When we come late, as a busy machine does, others are over too: they
        must not change what the peer is told. Of two that fall together the one listed first counts.
        """
        ends: list[tuple[float, _End]] = []
        if (deadline := self._phase_deadline()) is not None:
            ends.append((deadline, self._phase_over))
        if self._begun_at is not None:
            ends.append((self._begun_at + self.limits.frame_timeout_s, self._frame_over))
        if self._alive:
            ends.append((self._heard_at + self._idle_timeout_s, self._idle_over))
        return ends

    @property
    def closed(self) -> bool:
        """Whether the session has ended; ``error`` says why."""
        return self.state is State.CLOSED

    @property
    def window_events_used(self) -> int:
        """How many events have passed this end and are not acknowledged."""
        raise NotImplementedError

    @property
    def _alive(self) -> bool:
        """Whether the two exchange signs of life: from WELCOME on."""
        return self.state is State.STREAMING or self.state is State.FINISHING

    def _phase_deadline(self) -> float | None:
        """The deadline of the handshake, if this role has one in this state."""
        raise NotImplementedError

    def _phase_over(self, now: float, events: list[Event]) -> None:
        raise NotImplementedError

    def _frame_over(self, now: float, events: list[Event]) -> None:
        self._refuse(RemoteProtocolError(Code.FRAME_TIMEOUT, "a frame was begun and not completed in time"), events)

    def _idle_over(self, now: float, events: list[Event]) -> None:
        self._write_refuse(Code.IDLE_TIMEOUT, "nothing was heard from you", None)
        events += self._end(PeerSilent(f"nothing was heard for {now - self._heard_at:.1f} s"))

    def refuse(self, code: str, reason: str, retry_after_s: float | None = None) -> list[Event]:
        """End the session with REFUSE. Does nothing when it has ended."""
        if self.state is State.CLOSED:
            return []
        self._write_refuse(code, reason, retry_after_s)
        return self._end(SessionLost(f"we refused the peer: {code}: {reason}"))

    def goodbye(self, reason: str) -> None:
        """Say that no more events may follow. Once; allowed while streaming."""
        self._send(Goodbye(clip(reason)))

    def data_to_send(self) -> bytearray:
        """Take the bytes that wait to be written, all of them. They are the caller's: nothing here changes them."""
        data, self._out = self._out, bytearray()
        self.counts.bytes_out += len(data)
        return data

    @property
    def pending_bytes(self) -> int:
        """How many bytes ``data_to_send`` would give."""
        return len(self._out)

    def _received(self, message: Message, now: float, events: list[Event]) -> None:
        """One message that the table allows. Roles extend this."""
        if isinstance(message, Ping) and self._courtesy(now):
            self._send(Pong(message.n))
        elif isinstance(message, Pong) and message.n == self._ping_n:
            self.rtt_s = now - self._pinged_at
        elif isinstance(message, Goodbye):
            events.append(message)
        elif isinstance(message, Refuse):
            retry_after_s = None if message.retry_after_ms is None else message.retry_after_ms / 1000
            events += self._end(Refused(message.code, message.reason, retry_after_s))

    def _courtesy(self, now: float) -> bool:
        """Whether one more answer may be queued for a peer that may never read it. Refuses a flood."""
        if now - self._courtesy_since >= 1.0:
            self._courtesy_since = now
            self._courtesies = 0
        self._courtesies += 1
        if self._courtesies > FLOOD_PER_SECOND:
            raise RemoteProtocolError(Code.OUT_OF_TURN, f"more than {FLOOD_PER_SECOND} pings or repeats in a second")
        return self._courtesies <= COURTESIES_PER_SECOND

    def _send(self, message: Message) -> None:
        self._turn(Way.SEND, message)
        write_frame(self._out, append, message)
        self.counts.frames_out += 1

    def _turn(self, way: Way, message: Message) -> None:
        after = self._row.get((way, type(message)))
        if after is None:
            text = f"a {self.role} that is {self.state} may not {way} {type(message).__name__.upper()}"
            if way is Way.SEND:
                raise LocalProtocolError(text)
            raise RemoteProtocolError(Code.OUT_OF_TURN, text)
        if after is not self.state:
            self.state = after
            self._row = TRANSITIONS[self.role][after]

    def _refuse(self, error: RemoteProtocolError, events: list[Event]) -> None:
        self._write_refuse(error.code, error.reason, None)
        events += self._end(error)

    def _write_refuse(self, code: str, reason: str, retry_after_s: float | None) -> None:
        self.refused = str(code)
        retry_after_ms = None if retry_after_s is None else min(int(retry_after_s * 1000), TIMEOUT_MS_MAX)
        if self.state is not State.CLOSED:
            self._send(Refuse(str(code), clip(reason), retry_after_ms))

    def _end(self, error: FeedError) -> list[Event]:
        self.state = State.CLOSED
        self._row = TRANSITIONS[self.role][State.CLOSED]
        self._begun_at = None
        self.error = error
        return [Ended(error)]
