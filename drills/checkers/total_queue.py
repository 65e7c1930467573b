"""total-queue: every staged event had its effect, exactly once. By stream:

- lost: staged, and never received; or received, and what it tells of is not so at the receiver.
- unexpected: received, and never staged.
- doubled: one fact told by two events. Not by a nudge: billing asks again, by the same event, what nobody has answered
  for a minute; the portal then tells reservation to settle again, which answers that again.

Recovered is allowed: an event that its sender's store lost after it was sent, where its fact stands all the same: it
was staged anew under another id, or what followed from it brought the sender to the same state.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from drills.checkers.finding import Finding, finding
from drills.history import History, Staged, Stream
from ticketflow.events.ids import is_id, time_of_us

NAME = "total-queue"

NUDGE = "payment.authorized"
NUDGED_AFTER_S = 59.0  # billing waits for a minute at least

# At most one of each for a sale, ever.
ONCE_A_SALE = frozenset(
    {
        "hold.placed",
        "hold.released",
        "hold.expired",
        "order.pending",
        "order.confirmed",
        "order.failed",
        "ticket.issued",
    }
)
# At most one for each time that the portal has told reservation to settle. (Told again they bring about nothing.)
ONCE_A_COMMAND = frozenset({"hold.sold"})
# At most one for each payment, and nudges. (sale.settle and hold.lost may be told again: their effect happens once.)
ONCE_A_PAYMENT = frozenset({"payment.authorized", "payment.declined", "payment.voided"})


def check(history: History) -> Finding:
    problems: list[str] = []
    recovered = {stream.name: _recovered(stream, history) for stream in history.stores.streams}
    for stream in history.stores.streams:
        problems += [*_lost(stream), *_unexpected(stream, recovered[stream.name]), *_doubled(stream, history)]
    problems += _without_effect(history)
    staged = sum(len(stream.staged) for stream in history.stores.streams)
    again = sum(map(len, recovered.values()))
    return finding(NAME, problems, f"{staged} events, each with its effect, once; {again} recovered")


def _lost(stream: Stream) -> Iterator[str]:
    received = {event.event_id for event in stream.received}
    for event in stream.staged:
        if event.event_id not in received:
            seq = "never stamped" if event.seq is None else f"seq {event.seq}"
            yield f"{stream.name}: lost: {_named(event)} ({seq}) never reached {stream.receiver}"


def _unexpected(stream: Stream, recovered: set[str]) -> Iterator[str]:
    explained = recovered | {event.event_id for event in stream.staged}
    for event in stream.received:
        if event.event_id not in explained:
            yield f"{stream.name}: unexpected: {stream.receiver} has event {event.event_id}, which was never staged"


def _recovered(stream: Stream, history: History) -> set[str]:
    """Received events that the sender no longer knows, and whose fact stands. Only the portal keeps what it is told."""
    staged = {event.event_id for event in stream.staged}
    told = {(event.kind, event.key) for event in stream.staged}
    stands = _billings_facts(history)
    return {
        event.event_id
        for event in stream.received
        if event.event_id not in staged
        and event.kind
        and ((event.kind, event.key) in told or event.key in stands.get(event.kind, ()))
    }


def _billings_facts(history: History) -> dict[str, set[str]]:
    """The orders of which each kind of event would tell the truth, as billing's tables stand."""
    orders, payments = history.stores.orders, history.stores.payments
    return {
        "order.pending": {order.order_id for order in orders},
        "order.confirmed": {order.order_id for order in orders if order.state == "CONFIRMED"},
        "order.failed": {order.order_id for order in orders if order.state == "FAILED"},
        "payment.authorized": {p.order_id for p in payments if p.state in ("CAPTURED", "VOIDED")},
        "payment.declined": {p.order_id for p in payments if p.state == "DECLINED"},
        "payment.voided": {p.order_id for p in payments if p.state == "VOIDED"},
        "ticket.issued": {ticket.order_id for ticket in history.stores.tickets},
    }


def _doubled(stream: Stream, history: History) -> Iterator[str]:
    for event_id, times in Counter(event.event_id for event in stream.received).items():
        if times > 1:
            yield f"{stream.name}: doubled: {stream.receiver} has event {event_id} {times} times"
    most = _most(history)
    ours = {hold.hold_id for hold in history.stores.holds}
    told: dict[tuple[str, str], list[Staged]] = {}
    for event in stream.staged:
        told.setdefault((event.kind, event.key), []).append(event)
    for (kind, key), events in told.items():
        if kind in ONCE_A_SALE | ONCE_A_COMMAND or (kind in ONCE_A_PAYMENT and key in ours):
            times = _unprompted(events) if kind == NUDGE else len(events)
            if times > most(kind, key):
                yield f"{stream.name}: doubled: {times} times {kind} of {key}, at most {most(kind, key)} can be true"


def _most(history: History) -> Callable[[str, str], int]:
    """How often an event of a kind and a key may be told."""
    payments = Counter(payment.order_id for payment in history.stores.payments)
    commands = Counter(
        event.key for stream in history.stores.streams for event in stream.staged if event.kind == "sale.settle"
    )

    def most(kind: str, key: str) -> int:
        if kind in ONCE_A_PAYMENT:
            return payments[key]
        return max(commands[key], 1) if kind in ONCE_A_COMMAND else 1

    return most


def _unprompted(events: Sequence[Staged]) -> int:
    """How many of them are no nudges, as the times in their ids tell."""
    made_s = sorted(time_of_us(event.event_id) / 1e6 for event in events if is_id(event.event_id))
    nudges = sum(after - before >= NUDGED_AFTER_S for before, after in pairwise(made_s))
    return len(events) - nudges


Effect = Callable[[str], bool]


def _without_effect(history: History) -> Iterator[str]:
    """Events of this drill's holds whose receiver does not stand as they say. The other ends are agreement's."""
    effects = _effects(history)
    ours = {hold.hold_id for hold in history.stores.holds}
    for stream in history.stores.streams:
        for event in stream.staged:
            effect = effects.get(event.kind)
            if effect is not None and event.key in ours and not effect(event.key):
                yield f"{stream.name}: lost: {_named(event)} had no effect at {stream.receiver}"


def _effects(history: History) -> dict[str, Effect]:
    """By kind: whether what an event of this kind brings about is so for this key."""
    stores = history.stores
    orders = {order.order_id: order.state for order in stores.orders}
    sales = {sale.order_id: sale for sale in stores.sales}
    states = {sale.order_id: sale.state for sale in stores.sales}
    issued: dict[str, set[str]] = {}
    for ticket in stores.tickets:
        issued.setdefault(ticket.order_id, set()).add(ticket.ticket_id)
    told = {(event.kind, event.key) for stream in stores.streams for event in stream.staged}

    def shown(key: str) -> set[str]:
        return {ticket_id for ticket_id, _seat in sales[key].tickets} if key in sales else set()

    return {
        "hold.placed": lambda key: key in orders,
        "hold.released": lambda key: orders.get(key) in ("FAILED", "CONFIRMED"),
        "hold.expired": lambda key: orders.get(key) in ("FAILED", "CONFIRMED"),
        "hold.lost": lambda key: orders.get(key) in ("FAILED", "CONFIRMED"),
        "hold.sold": lambda key: orders.get(key) == "CONFIRMED",
        "order.pending": lambda key: key in sales,
        "payment.authorized": lambda key: ("sale.settle", key) in told,
        "payment.declined": lambda key: key in sales,
        "payment.voided": lambda key: key in sales,
        "ticket.issued": lambda key: shown(key) == issued.get(key, set()) != set(),
        "order.confirmed": lambda key: states.get(key) == "CONFIRMED",
        "order.failed": lambda key: states.get(key) == "FAILED",
        "sale.settle": lambda key: ("hold.sold", key) in told or ("hold.lost", key) in told,
    }


def _named(event: Staged) -> str:
    return f"{event.kind} of {event.key} (event {event.event_id})"
