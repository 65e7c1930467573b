"""The sender's end of a session, without I/O."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from ticketflow.feed.errors import Code, LocalProtocolError, PeerSilent, RemoteProtocolError
from ticketflow.feed.limits import (
    EVENT_BYTES_MAX,
    EVENTS_PER_FRAME_MAX,
    SEQ_MAX,
    SMALL_BYTES_MAX,
    VERSION,
    VERSION_MIN,
    Limits,
)
from ticketflow.feed.messages import Ack, Events, Hello, Message, Welcome, decode, encode
from ticketflow.feed.protocol import Event, Protocol
from ticketflow.feed.states import Role, State
from ticketflow.feed.window import Window


class SenderProtocol(Protocol):
    """HELLO is queued at once; then ``offer`` events while the window has room, and read the acks."""

    def __init__(self, hello: Hello, limits: Limits, now: float) -> None:
        """Raises LocalProtocolError when ``hello`` is not what a receiver would accept."""
        super().__init__(Role.SENDER, limits, now, body_bytes_max=SMALL_BYTES_MAX)
        self.hello = hello
        self.welcome: Welcome | None = None
        self.acked: int | None = None  # the receiver's watermark: from WELCOME, then from each ACK
        self.sent: int | None = None  # the last seq sent in this session
        self.ack_delay_s: float | None = None  # how long the oldest frame of the newest ACK waited for it
        self._window = Window(1, 1)
        self._open: list[bytes] = []  # events taken, not yet in a frame; the last one is `sent`
        self._open_bytes = 0
        self._open_since = now
        self._deadline: float | None = now + limits.welcome_timeout_s
        try:
            decode(encode(hello))
        except RemoteProtocolError as error:
            raise LocalProtocolError(f"HELLO is not valid: {error.reason}") from error
        self._send(hello)

    def connected(self, now: float) -> None:
        super().connected(now)
        self._deadline = now + self.limits.welcome_timeout_s

    def stood_still(self, for_s: float) -> None:
        super().stood_still(for_s)
        if self._deadline is not None:
            self._deadline += for_s

    @property
    def window_events_used(self) -> int:
        """How many events are sent and not acknowledged."""
        return self._window.events_used + len(self._open)

    def offer(self, first_seq: int, bodies: Sequence[bytes], start: int, now: float) -> int:
        """Take ``bodies[start:]`` as far as the window goes; the seq of ``bodies[i]`` is ``first_seq + i``.

        Returns the index of the first body that was not taken: ``start`` when there is no room. Events this session has
        taken, or seen acknowledged, are passed over. Events taken one after another share frames.
        Raises LocalProtocolError for a gap, a seq or a size out of bounds; events before the one at fault are taken.
        """
        total = len(bodies)
        if self.sent is not None:
            start = min(max(start, self._known - first_seq + 1), total)
        if start >= total or self.state is not State.STREAMING:
            return start
        self._check_seq(first_seq + start, first_seq + total - 1)
        if not self._open and total - start == 1 and 1 <= (size := len(bodies[start])) <= EVENT_BYTES_MAX:
            return start + self._take_one(first_seq + start, bodies[start], size, now)
        room = max(self._window.events_free - len(self._open), 0)
        part = bodies[start : start + room]
        ends = list(accumulate(map(len, part)))  # of each body, in bytes from the first of ``part`` on
        good = _good_sizes(part, ends)
        taken = bisect_right(ends, self._window.bytes_free - self._open_bytes, 0, good)
        self._take(first_seq + start, part, ends, taken, now)
        if taken == good < len(part):
            raise LocalProtocolError(f"an event of {len(part[good])} bytes; 1 to {EVENT_BYTES_MAX} are allowed")
        return start + taken

    def _take_one(self, seq: int, body: bytes, size: int, now: float) -> int:
        """The same for an event that comes alone, whose way is to be short: 1, or 0 where the window has no room."""
        window = self._window
        if window.events_used >= window.events_max or size > window.bytes_max - window.bytes_used:
            return 0
        self._open, self._open_bytes, self._open_since = [body], size, now
        self.sent = seq
        return 1

    def _take(self, first_seq: int, part: Sequence[bytes], ends: list[int], taken: int, now: float) -> None:
        """Put ``part[:taken]`` into frames, each closed when the next event would make it too long."""
        index = start_bytes = 0
        while index < taken:
            frame_max = min(taken, index + EVENTS_PER_FRAME_MAX - len(self._open))
            fits = bisect_right(ends, start_bytes + self.limits.frame_target_bytes - self._open_bytes, index, frame_max)
            if not self._open:
                self._open_since = now
                fits = max(fits, index + 1)  # a frame has one event at least, whatever its size
            elif fits <= index:
                self._seal()
                continue
            self._open += part[index:fits]
            self._open_bytes += ends[fits - 1] - start_bytes
            index, start_bytes = fits, ends[fits - 1]
            self.sent = first_seq + index - 1

    def goodbye(self, reason: str) -> None:
        self._seal()
        super().goodbye(reason)

    def data_to_send(self) -> bytearray:
        self._seal()
        return super().data_to_send()

    @property
    def pending_bytes(self) -> int:
        return len(self._out) + self._open_bytes

    @property
    def _known(self) -> int:
        """The last seq that is sent in this session or, after that, acknowledged; 0 before the first event."""
        return 0 if self.sent is None else max(self.sent, self.acked or 0)

    def _check_seq(self, first_seq: int, last_seq: int) -> None:
        if not 1 <= first_seq <= last_seq <= SEQ_MAX:
            raise LocalProtocolError(f"seq {first_seq} is out of bounds")
        after = self.acked if self.sent is None else self._known
        if after is not None and first_seq > after + 1:
            raise LocalProtocolError(f"first_seq {first_seq} leaves a gap after {after}")

    def _seal(self) -> None:
        """Make a frame of the events that were taken."""
        if not self._open:
            return
        bodies, self._open = self._open, []
        size, self._open_bytes = self._open_bytes, 0
        if self.state is not State.STREAMING:
            return  # the session ended under them: they were not sent
        assert self.sent is not None
        self._send(Events(self.sent - len(bodies) + 1, bodies))
        self._window.add(self.sent, len(bodies), size, self._open_since)
        self.counts.events += len(bodies)

    def _received(self, message: Message, now: float, events: list[Event]) -> None:
        if isinstance(message, Ack):
            self._acknowledged(message.seq, now)
            events.append(message)
        elif isinstance(message, Welcome):
            self._welcomed(message, now)
            events.append(message)
        else:
            super()._received(message, now, events)

    def _welcomed(self, welcome: Welcome, now: float) -> None:
        if not VERSION_MIN <= welcome.version <= min(VERSION, self.hello.version):
            raise RemoteProtocolError(
                Code.VERSION_UNSUPPORTED, f"version {welcome.version}; we speak {VERSION_MIN} to {VERSION}"
            )
        self.welcome = welcome
        self.acked = welcome.watermark
        self._window = Window(welcome.window_events, welcome.window_bytes)
        self._ping_interval_s = welcome.ping_interval_ms / 1000
        self._idle_timeout_s = welcome.idle_timeout_ms / 1000
        self._pinged_at = now
        self._deadline = None

    def _acknowledged(self, seq: int, now: float) -> None:
        # The receiver may know more than this session sent: an earlier one may have been applied after our WELCOME.
        framed = 0 if self.sent is None else self.sent - len(self._open)  # what waits for its frame was never sent
        highest = max(self.hello.last_seq, framed, self.acked or 0)
        if seq > highest:
            raise RemoteProtocolError(Code.BAD_ACK, f"ack of {seq}, but nothing after {highest} was ever sent")
        if self.acked is not None and seq < self.acked:
            raise RemoteProtocolError(Code.BAD_ACK, f"ack of {seq} after {self.acked}")
        self.acked = seq
        oldest = self._window.release(seq)
        self.ack_delay_s = None if oldest is None else now - oldest

    def _phase_deadline(self) -> float | None:
        return self._deadline

    def _phase_over(self, now: float, events: list[Event]) -> None:
        self._write_refuse(Code.HANDSHAKE_TIMEOUT, "no WELCOME came in time", None)
        events += self._end(PeerSilent(f"no answer to HELLO within {self.limits.welcome_timeout_s} s"))


def _good_sizes(part: Sequence[bytes], ends: list[int]) -> int:
    """How many bodies at the front of ``part`` have a size that an event may have; ``ends`` are their sums."""
    if all(part) and (not part or ends[-1] <= EVENT_BYTES_MAX or max(map(len, part)) <= EVENT_BYTES_MAX):
        return len(part)
    return next((index for index, body in enumerate(part) if not 1 <= len(body) <= EVENT_BYTES_MAX), len(part))
