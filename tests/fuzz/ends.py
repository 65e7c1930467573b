"""One end of a session in any state, and what a step does to it."""

from collections import deque
from collections.abc import Callable

from tests.fuzz.program import Op, Start, Step
from ticketflow.feed import Hello, Limits, Position
from ticketflow.feed.errors import LocalProtocolError
from ticketflow.feed.limits import EVENT_BYTES_MAX, SEQ_MAX
from ticketflow.feed.messages import Ack, Events, Goodbye, Message, Ping, Pong, Refuse, Welcome, encode
from ticketflow.feed.protocol import Event, Protocol
from ticketflow.feed.receiving import ReceiverProtocol
from ticketflow.feed.sending import SenderProtocol
from ticketflow.feed.states import Role, State

LAST_SEQ = 40
CUTS_MAX = 500  # of one arrival; a program shall run in milliseconds
HELLO = Hello(1, "reservation", 1, 1, LAST_SEQ, "relay-1")
SMALL = Limits(window_events=4)
WATERMARK = 5


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def _bodies(number: int) -> list[bytes]:
    return [bytes([number]) * size for size in (1, 9, 200)]


# From either side: half of them are out of turn.
PHRASES: tuple[Callable[[int, int], Message], ...] = (
    lambda seq, number: Hello(1 + number % 3, "reservation", number, number, seq, "relay-1"),
    lambda seq, number: Welcome(1 + number % 3, 1, seq, 4, 262144, 50, 400, "billing-1"),
    lambda seq, number: Welcome(1, None, None, 2048, 2097152, 2000, 6000, "bridge-1"),
    lambda seq, number: Events(max(seq, 1), [b"e"]),
    lambda seq, number: Events(max(seq, 1), _bodies(number)),
    lambda seq, number: Events(max(seq, 1), [b"e"] * (number + 1)),
    lambda seq, number: Events(max(seq, 1), [b"x" * 65000] * (1 + number % 3)),
    lambda seq, number: Ack(seq),
    lambda seq, number: Ping(number),
    lambda seq, number: Pong(number),
    lambda seq, number: Refuse("gap", "expected at most seq 41", None),
    lambda seq, number: Refuse("code_of_tomorrow", "", number),
    lambda seq, number: Goodbye("shutting down"),
)


def phrase(arg: int, number: int) -> Message:
    """A well-formed message about ``number``; from 251 on it stands for the highest seqs there are."""
    seq = SEQ_MAX - (255 - number) if number > 250 else number
    return PHRASES[arg % len(PHRASES)](seq, number)


class End:
    """One end, its clock, and everything that came out of it."""

    def __init__(self, role: Role, start: Start) -> None:
        self.now = 1000.0
        self.cut = 0
        self.events: list[Event] = []
        self.output = bytearray()
        limits = SMALL if start.small else Limits()
        self.core: Protocol = (
            SenderProtocol(HELLO, limits, self.now)
            if role is Role.SENDER
            else ReceiverProtocol("billing-1", limits, self.now)
        )
        self.acks: list[int] = []  # a receiver's: what it has told to be durable, in WELCOME and then in each ACK
        self.watermark: int | None = None  # a receiver's, in WELCOME
        self.unacked: deque[Events] = deque()  # a receiver's: what has come out and is not acknowledged
        if start.state >= 1:
            self._greet()
        if start.state >= 2:
            self._welcome(None if start.forgetful else WATERMARK, 4 if start.small else 2048)
        if start.state == 3:
            self._leave(start.by_peer)

    def step(self, step: Step) -> None:
        if step.op is Op.RAW:
            self.arrive(step.data)
        elif step.op is Op.FRAME:
            self.arrive(framed(step.data))
        elif step.op is Op.SAY:
            self.arrive(framed(encode(phrase(step.arg, step.number))))
        elif step.op is Op.TIME:
            self.now += step.arg / 10
            self.events += self.core.tick(self.now)
        elif step.op is Op.ACT:
            self.act(step.arg, step.number)
        elif step.op is Op.LINE and step.arg:
            self.now += step.arg / 10
            self.core.stood_still(step.arg / 10)
        elif step.op is Op.LINE:
            self.events += self.core.eof()
        elif step.op is Op.TAKE:
            self.take()
        else:
            self.cut = step.arg

    def arrive(self, data: bytes) -> None:
        size = max(self.cut or len(data), len(data) // CUTS_MAX, 1)
        for at in range(0, len(data), size):
            events = self.core.receive(data[at : at + size], self.now)
            self.events += events
            self.unacked += [event for event in events if isinstance(event, Events)]

    def take(self) -> None:
        self.output += self.core.data_to_send()

    def act(self, arg: int, number: int) -> None:
        """What an owner may do at any moment; what is out of turn for it must say so, and change nothing."""
        try:
            if arg % 4 == 1:
                self.core.goodbye("done")
            elif arg % 4 == 2:
                self.events += self.core.refuse("unavailable", "try later", number / 10)
            elif isinstance(self.core, SenderProtocol):
                size = EVENT_BYTES_MAX if arg % 4 == 3 else 1 + arg
                after = self.core.acked or 0 if self.core.sent is None else max(self.core.sent, self.core.acked or 0)
                self.core.offer(after + 1, [b"o" * size] * number, 0, self.now)
            elif isinstance(self.core, ReceiverProtocol) and self.core.state is State.GREETED:
                self._welcome(None if number & 1 else number, 0)
            elif isinstance(self.core, ReceiverProtocol):
                seq = number if arg % 4 == 3 else (self.core.received or self.core.acked or 0)
                if seq <= (self.core.received or 0):  # a receiver acknowledges what it has: more is a bug of its owner
                    self.core.ack(seq)
                    self.acks.append(seq)
                    while self.unacked and self.unacked[0].last_seq <= seq:
                        self.unacked.popleft()
        except LocalProtocolError:
            pass

    # -- how it begins

    def _greet(self) -> None:
        if isinstance(self.core, ReceiverProtocol):
            self.arrive(framed(encode(HELLO)))
        else:
            self.take()

    def _welcome(self, watermark: int | None, senders_window: int) -> None:
        epoch = None if watermark is None else 1
        if isinstance(self.core, ReceiverProtocol):
            self.core.welcome(Position(epoch, watermark), self.now)
            self.watermark = watermark
            self.acks += [] if watermark is None else [watermark]
        else:
            welcome = Welcome(1, epoch, watermark, senders_window, 2097152, 2000, 6000, "billing-1")
            self.arrive(framed(encode(welcome)))

    def _leave(self, by_peer: bool) -> None:
        if by_peer:
            self.arrive(framed(encode(Goodbye("shutting down"))))
        else:
            self.core.goodbye("done")
