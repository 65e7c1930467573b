"""Two ends of the protocol with a fake network link in between: bytes cross when `cross` says so, in any cut."""

from dataclasses import dataclass, field

from ticketflow.feed import Hello, Limits, Position
from ticketflow.feed.errors import FeedError
from ticketflow.feed.messages import Events, Message, encode
from ticketflow.feed.protocol import Ended, Event, Protocol
from ticketflow.feed.receiving import ReceiverProtocol
from ticketflow.feed.sending import SenderProtocol

HELLO = Hello(1, "reservation", 1, 1, 100, "relay-1")


def framed(message: Message) -> bytes:
    body = encode(message)
    return len(body).to_bytes(4, "big") + body


@dataclass
class Wire:
    """``cut``: how many bytes arrive at a time; 0 for all at once."""

    limits: Limits = field(default_factory=Limits)
    cut: int = 0
    hello: Hello = HELLO
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.sender = SenderProtocol(self.hello, self.limits, self.now)
        self.receiver = ReceiverProtocol("billing-1", self.limits, self.now)
        self.at_sender: list[Event] = []
        self.at_receiver: list[Event] = []

    def carry(self, source: Protocol, target: Protocol, events: list[Event]) -> bool:
        """Deliver what ``source`` has to say; whether it was anything."""
        data = source.data_to_send()
        step = self.cut or len(data) or 1
        for start in range(0, len(data), step):
            events += target.receive(data[start : start + step], self.now)
        return bool(data)

    def cross(self) -> None:
        """Carry bytes to and fro until neither end has anything more to say."""
        while self.carry(self.sender, self.receiver, self.at_receiver) | self.carry(
            self.receiver, self.sender, self.at_sender
        ):
            pass

    def open(self, watermark: int | None = 0) -> "Wire":
        """Through HELLO and WELCOME."""
        self.cross()
        self.receiver.welcome(Position(1, watermark), self.now)
        self.cross()
        self.at_sender.clear()
        self.at_receiver.clear()
        return self

    def send(self, first_seq: int, *bodies: bytes) -> int:
        """Offer events and carry them over; how many were taken."""
        taken = self.sender.offer(first_seq, bodies, 0, self.now)
        self.cross()
        return taken

    def later(self, seconds: float) -> None:
        """Time passes at both ends, and what they then say crosses."""
        self.now += seconds
        self.at_sender += self.sender.tick(self.now)
        self.at_receiver += self.receiver.tick(self.now)
        self.cross()

    def arrived(self) -> list[bytes]:
        """The bodies that have come out at the receiver, in order."""
        return [body for event in self.at_receiver if isinstance(event, Events) for body in event.bodies]


def end_of(events: list[Event]) -> FeedError:
    """Why the session ended, told exactly once, and last."""
    ends = [event for event in events if isinstance(event, Ended)]
    assert len(ends) == 1, events
    assert events[-1] is ends[0]
    return ends[0].error
