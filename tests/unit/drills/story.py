"""A drill as it should be, told sale by sale; a test then spoils what it wants to see found.

Ids speak: hold h1 of buyer b1, payment h1-pay, ticket h1-s1 for seat s1. Times are seconds since the drill began; the
stores' clocks are START_AT_S ahead. Hold, order, sale, events and answers are made together, as a perfect system would.
"""

from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from drills.history import (
    Charge,
    Fault,
    History,
    Hold,
    Op,
    Order,
    Payment,
    Received,
    Sale,
    Sample,
    Show,
    Staged,
    Stores,
    Stream,
    Ticket,
    Unit,
)

START_AT_S = 1_700_000_000.0
TTL_S, GRACE_S = 20.0, 10.0
PRICE = 2500
T = TypeVar("T", bound=msgspec.Struct)


def change(rows: list[T], found: T, **changes: Any) -> T:
    """Puts a changed row in its place, and returns it."""
    changed = msgspec.structs.replace(found, **changes)
    rows[rows.index(found)] = changed
    return changed


@dataclass
class Story:
    capacity: int = 10
    ops: list[Op] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)
    sales: list[Sale] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    events: dict[str, list[Staged]] = field(default_factory=lambda: {"reservation": [], "billing": [], "portal": []})
    inbox: dict[str, list[Received]] = field(default_factory=lambda: {"reservation": [], "billing": [], "portal": []})
    units: dict[str, Unit] = field(default_factory=dict)
    stream: dict[str, dict[str, Any]] = field(default_factory=dict)  # what of a stream is to be otherwise
    parked: dict[str, int] = field(default_factory=dict)
    queued: dict[str, int] = field(default_factory=dict)
    otherwise: dict[str, Any] = field(default_factory=dict)  # what of the history is to be otherwise

    def __post_init__(self) -> None:
        self.units = {f"s{n}": Unit(f"s{n}", "free", None) for n in range(1, self.capacity + 1)}

    # -- sales that went well

    def sold(self, name: str, *seats: str, at: float, key: str | None = None) -> None:
        """Held at ``at``, paid a second later, confirmed a second after that."""
        self.hold(name, *seats, at=at, key=key)
        self.pay(name, at=at + 1)
        self.settle(name, at=at + 2)
        self.op("sale", name, at=at + 2.1, state="CONFIRMED", tickets=len(seats))

    def released(self, name: str, *seats: str, at: float, after: float = 1.0) -> None:
        self.hold(name, *seats, at=at)
        self.op("release", name, at=at + after, state="RELEASED")
        self.end(name, "RELEASED", "released", at=at + after)

    def expired(self, name: str, *seats: str, at: float) -> None:
        self.hold(name, *seats, at=at)
        self.end(name, "EXPIRED", "expired", at=at + TTL_S + GRACE_S + 1)

    def refused(self, name: str, *seats: str, at: float, code: str = "seat_unavailable") -> None:
        self.op(
            "hold", name, at=at, outcome="refused", status=409, code=code, order_id="", seats=seats, key=f"{name}-key"
        )

    # -- its steps

    def hold(self, name: str, *seats: str, at: float, key: str | None = None, told: bool = True) -> None:
        """``told``: the buyer got an answer; else his wish was done and he never knew."""
        total, buyer = PRICE * len(seats), _buyer(name)
        answer: dict[str, Any] = {"status": 201, "state": "HELD", "amount_minor": total, "body_digest": f"{name}-held"}
        if not told:
            answer = {"outcome": "indefinite", "status": 0, "order_id": "", "attempts": 3}
        self.op("hold", name, at=at, key=key or f"{name}-key", seats=seats, **answer)
        placed = START_AT_S + at - 0.05
        self.holds.append(Hold(name, buyer, "HELD", seats, total, None, placed, placed + TTL_S + GRACE_S, None))
        for seat in seats:
            self.units[seat] = Unit(seat, "held", name)
        self.tell("reservation", "hold.placed", name)
        self.orders.append(Order(name, buyer, "PENDING", seats, total, START_AT_S + at + 0.1))
        self.tell("billing", "order.pending", name)
        self.sales.append(Sale(name, buyer, "PENDING", ()))

    def pay(self, name: str, *, at: float) -> None:
        payment, total = f"{name}-pay", self.of(self.orders, name).total_minor
        answer: dict[str, Any] = {"status": 201, "state": "AUTHORIZED", "payment_id": payment}
        self.op("pay", name, at=at, key=f"{name}-pay-key", amount_minor=total, body_digest=f"{name}-paid", **answer)
        self.payments.append(Payment(payment, name, "AUTHORIZED", total))
        self.charges.append(Charge(f"auth-{name}", payment, "authorized", total, 0, 0))
        self.tell("billing", "payment.authorized", name)
        self.tell("portal", "sale.settle", name)

    def settle(self, name: str, *, at: float) -> None:
        hold, order = self.of(self.holds, name), self.of(self.orders, name)
        change(self.holds, hold, state="SOLD", payment_id=f"{name}-pay", ended_at_s=START_AT_S + at)
        self.tell("reservation", "hold.sold", name)
        for seat in hold.seats:
            self.units[seat] = Unit(seat, "sold", name)
            self.tickets.append(Ticket(f"{name}-{seat}", name, seat, PRICE, START_AT_S + at))
        change(self.payments, self.of(self.payments, name), state="CAPTURED")
        charge = self.charge_of(name)
        change(self.charges, charge, state="captured", captured_minor=charge.amount_minor)
        change(self.orders, order, state="CONFIRMED")
        shown = tuple((f"{name}-{seat}", seat) for seat in hold.seats)
        change(self.sales, self.of(self.sales, name), state="CONFIRMED", tickets=shown)
        self.tell("billing", "ticket.issued", name)
        self.tell("billing", "order.confirmed", name)

    def end(self, name: str, state: str, reason: str, *, at: float) -> None:
        hold = self.of(self.holds, name)
        change(self.holds, hold, state=state, ended_at_s=START_AT_S + at)
        for seat in hold.seats:
            if self.units[seat].hold_id == name:
                self.units[seat] = Unit(seat, "free", None)
        self.tell("reservation", f"hold.{reason}", name)
        change(self.orders, self.of(self.orders, name), state="FAILED")
        change(self.sales, self.of(self.sales, name), state="FAILED")
        self.tell("billing", "order.failed", name)

    def op(self, action: Any, name: str, *, at: float, took: float = 0.1, **fields: Any) -> Op:
        """Answered at ``at``."""
        known: dict[str, Any] = {"outcome": "ok", "status": 200, "order_id": name}
        made = Op(_buyer(name), action, at - took, at, **(known | fields))
        self.ops.append(made)
        return made

    def tell(self, stream: str, kind: str, key: str, event_id: str = "") -> None:
        """Staged, stamped and received."""
        seq = len(self.events[stream]) + 1
        event_id = event_id or f"{key}:{kind}"
        self.events[stream].append(Staged(event_id, kind, key, seq))
        received = Received(event_id, None, kind, key) if stream == "billing" else Received(event_id, seq)
        self.inbox[stream].append(received)

    # -- what there is

    def of(self, rows: list[T], name: str) -> T:
        """The row of this sale."""
        (found,) = [row for row in rows if name in (getattr(row, "order_id", None), getattr(row, "hold_id", None))]
        return found

    def charge_of(self, name: str) -> Charge:
        (found,) = [charge for charge in self.charges if charge.reference == f"{name}-pay"]
        return found

    def op_of(self, action: str, name: str) -> Op:
        (found,) = [op for op in self.ops if op.action == action and op.buyer == _buyer(name)]
        return found

    def history(self) -> History:
        streams = tuple(self._stream(name) for name in self.events)
        stores = Stores(
            START_AT_S + 100,
            tuple(self.units.values()),
            tuple(self.holds),
            tuple(self.orders),
            tuple(self.payments),
            tuple(self.tickets),
            tuple(self.sales),
            tuple(self.charges),
            streams,
            self.parked,
            self.queued,
        )
        told: dict[str, Any] = {
            "drill": "a drill",
            "seed": 7,
            "started_at_s": START_AT_S,
            "show": Show("show", self.capacity, TTL_S, GRACE_S),
            "load_began_s": 0.0,
            "load_ended_s": 60.0,
            "recovered_s": 61.0,
            "drained_s": 70.0,
            "ops": tuple(self.ops),
            "faults": tuple(self.faults),
            "samples": tuple(self.samples),
            "stores": stores,
        }
        return History(**(told | self.otherwise))

    def _stream(self, name: str) -> Stream:
        receiver = {"reservation": "billing", "billing": "portal", "portal": "reservation"}[name]
        last = len([event for event in self.events[name] if event.seq is not None])
        watermark = None if name == "billing" else last
        known: dict[str, Any] = {
            "epoch": 1,
            "last_seq": last,
            "acked_seq": last,
            "receiver_epoch": None if name == "billing" else 1,
            "watermark": watermark,
            "staged": tuple(self.events[name]),
            "received": tuple(self.inbox[name]),
        }
        return Stream(name, receiver, **(known | self.stream.get(name, {})))


def good_story() -> Story:
    """One of each: sold, released and held again, expired, refused."""
    story = Story()
    story.sold("h1", "s1", "s2", at=1.0)
    story.released("h2", "s3", at=2.0)
    story.sold("h3", "s3", at=4.0)
    story.expired("h4", "s4", at=5.0)
    story.refused("h5", "s1", at=6.0)
    return story


def _buyer(name: str) -> str:
    return name.replace("h", "b")
