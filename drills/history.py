"""What happened in one drill: the only thing that checkers, measures and reports ever see.

Laws of this file:
- Data only. It knows no clock, no network, no store and no cluster; whoever was there writes it down.
- `..._s` is seconds since the drill began, by the driver's monotonic clock; so is `Sample.at_s`. Every other `..._at_s`
  is the Unix time by the clock of the store that says so; `History.started_at_s` lays the one over the other.
- Money is in minor units. A seat is a place's unit id, numbered or general admission. A hold and its order have one id.
- What is not known is None or empty, never a guess. "indefinite": may have happened, may still happen.
- Rows are of this drill's ticketed event only, and of the time since it began; the drill bounds how many there are.

Rows are arrays in JSON: a drill has tens of thousands of them.
"""

from typing import Literal

import msgspec

Action = Literal["hold", "release", "pay", "order", "sale", "availability"]
# "refused": it is certain that it was not done. A 503 that promises so (store_unavailable) is "refused" too, and still
# an error that a buyer saw. "indefinite": some attempt may have been done and no later answer decided it; that the last
# attempt did nothing decides nothing about the first. A read that was answered is "ok", whatever it said.
Outcome = Literal["ok", "refused", "indefinite"]


class Row(msgspec.Struct, frozen=True, array_like=True):
    """Base of what there is much of."""


class Op(Row, frozen=True):
    """One wish of one buyer, with all its repeats under one key, from the first attempt to the last answer.

    A buyer who sends the same key again on purpose (a double click) makes a second Op with that key. Who follows his
    order or sale makes one Op of all his looks: its state is what he was shown last.
    """

    buyer: str  # the buyer_id as sent; one buyer of the workload, unique in the drill
    action: Action
    began_s: float  # the first attempt was sent
    ended_s: float  # the last answer was read, or patience was over
    outcome: Outcome
    key: str = ""  # Idempotency-Key; empty for what has none (release, reads)
    status: int = 0  # HTTP status of the last answer; 0: none came
    code: str = ""  # stable code of a problem, such as seat_unavailable; empty when ok
    attempts: int = 1
    order_id: str = ""  # of a hold: only when ok; of all else: the order it was about
    payment_id: str = ""  # of a pay: when its answer said it
    seats: tuple[str, ...] = ()  # of a hold: those of the answer when ok, else the numbered ones that were asked for
    amount_minor: int | None = None  # of a hold: its total; of a pay: what the payment is over
    state: str = ""  # as the last answer said: HELD, RELEASED, PENDING, PAYING, CONFIRMED, FAILED, ...
    tickets: int = 0  # of an order or sale: how many it showed
    body_digest: str = ""  # of the last answer's body as received, when it decides (2xx but 202, or 4xx); else empty


class Fault(msgspec.Struct, frozen=True):
    """One fault of the nemesis, as it describes itself."""

    name: str  # "kill", "cut off", ...
    target: str  # what it was done to: "postgres2"
    began_s: float
    healed_s: float  # the nemesis took it back, or saw that it had healed by itself


class StreamAt(Row, frozen=True):
    """A stream at one moment, each end read where its decisions are read: the primary, the writer; never a replica."""

    epoch: int  # the sender's
    last_seq: int
    acked_seq: int
    watermark: int | None = None  # the receiver's; None: it has none (bridge), or could not be read


class Places(Row, frozen=True):
    """A ticketed event's places, of one answer (one snapshot of the store)."""

    free: int
    held: int
    sold: int


class Sample(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the watch saw at one moment. What could not be read is missing: that a store is away is no finding."""

    at_s: float  # since the drill began
    roles: dict[str, str] = {}  # {"postgres primary": "postgres2", "galera writer": "mariadb1"}
    backlog: dict[str, int] = {}  # by stream: events not yet stamped, or stamped and not acknowledged
    streams: dict[str, StreamAt] = {}
    places: Places | None = None


# -- the stores, as the auditor found them after the drain


class Unit(Row, frozen=True):
    seat: str
    state: str  # free, held, sold
    hold_id: str | None


class Hold(Row, frozen=True):
    hold_id: str
    buyer: str
    state: str  # as stored: HELD, RELEASED, EXPIRED, SOLD
    seats: tuple[str, ...]
    total_minor: int
    payment_id: str | None  # the payment it was sold to
    placed_at_s: float
    held_until_at_s: float
    ended_at_s: float | None  # when it was released, sold, or seen to be over by the sweeper


class Order(Row, frozen=True):
    order_id: str
    buyer: str
    state: str  # PENDING, CONFIRMED, FAILED
    seats: tuple[str, ...]  # of its lines
    total_minor: int
    created_at_s: float


class Payment(Row, frozen=True):
    payment_id: str
    order_id: str
    state: str  # see billing/orders/states.py
    amount_minor: int


class Ticket(Row, frozen=True):
    ticket_id: str
    order_id: str
    seat: str
    price_minor: int  # of its order's line
    issued_at_s: float


class Sale(Row, frozen=True):
    """What the portal shows. ``tickets``: (ticket id, seat) pairs."""

    order_id: str
    buyer: str
    state: str  # PENDING, PAYING, FAILED, CONFIRMED
    tickets: tuple[tuple[str, str], ...]


class Charge(Row, frozen=True):
    """One authorization at the provider: every one that was made since the drill began, whoever asked for it."""

    authorization_id: str
    reference: str  # billing's payment id
    state: str  # authorized, declined, captured, voided, refunded
    amount_minor: int
    captured_minor: int
    refunded_minor: int


class Staged(Row, frozen=True):
    """A row of an outbox."""

    event_id: str
    kind: str
    key: str  # the hold's, and so the order's id
    seq: int | None  # None: not stamped


class Received(Row, frozen=True):
    """A row of an inbox."""

    event_id: str
    seq: int | None  # None where the way has no seq (RabbitMQ)
    kind: str = ""  # where the receiver keeps it (portal, in sale_history), as the key
    key: str = ""


class Stream(msgspec.Struct, frozen=True):
    """Both ends of a stream at the end, and what went through it.

    ``staged``: every event staged since the drill began. ``received``: every dedup key recorded since the drill began,
    but those of events that were staged before it.
    """

    name: str  # the sender's name too: reservation, billing, portal
    receiver: str  # billing, portal (behind bridge and RabbitMQ), reservation
    epoch: int
    last_seq: int
    acked_seq: int
    receiver_epoch: int | None  # None, as the watermark: the receiver at the feed's end stores nothing (bridge)
    watermark: int | None
    staged: tuple[Staged, ...]
    received: tuple[Received, ...]
    rewinds: int = 0  # by the metrics of the senders that lived to the end; those that died took theirs with them

    @property
    def backlog(self) -> int:
        """Events that are not acknowledged."""
        return self.last_seq - self.acked_seq + sum(event.seq is None for event in self.staged)


class Stores(msgspec.Struct, frozen=True):
    """``parked`` and ``queued`` say how many are waiting, by name: receivers of streams, and RabbitMQ's queues."""

    read_at_s: float  # by the clock of reservation's database
    units: tuple[Unit, ...]
    holds: tuple[Hold, ...]
    orders: tuple[Order, ...]
    payments: tuple[Payment, ...]
    tickets: tuple[Ticket, ...]
    sales: tuple[Sale, ...]
    charges: tuple[Charge, ...]
    streams: tuple[Stream, ...]
    parked: dict[str, int] = {}
    queued: dict[str, int] = {}


class Show(msgspec.Struct, frozen=True):
    """The ticketed event that the drill sells."""

    event_id: str
    capacity: int
    hold_ttl_s: float
    grace_s: float


class History(msgspec.Struct, frozen=True):
    """``load_...``: when buyers arrived; faults begin inside of it. Before the first fault it is in steady state."""

    drill: str
    seed: int
    started_at_s: float  # the Unix time of second 0
    show: Show
    load_began_s: float
    load_ended_s: float
    recovered_s: float | None  # every service was found healthy after the last heal; None: never
    drained_s: float | None  # every sale was decided and every backlog empty; None: not before patience was over
    ops: tuple[Op, ...]
    faults: tuple[Fault, ...]
    samples: tuple[Sample, ...]
    stores: Stores
    replicas: tuple[str, ...] = ()  # how the nodes of Galera differ at the end, in words


def encode(history: History) -> bytes:
    """As JSON."""
    return msgspec.json.encode(history)


def decode(data: bytes) -> History:
    """Raises msgspec.ValidationError."""
    return msgspec.json.decode(data, type=History)
