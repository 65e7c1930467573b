"""agreement: after the drain, reservation, billing and portal tell the same story, and nothing is left open.

- Each sale has ended, the same way in all three: SOLD, CONFIRMED, CONFIRMED; or over, FAILED, FAILED.
- The seats of a sold hold are its order's lines, its tickets in billing and in the portal, and no others are sold.
- No payment is under way, no seat held, nothing parked, nothing queued, no backlog.
"""

from collections import defaultdict
from collections.abc import Iterator

from drills.checkers.finding import Finding, finding
from drills.history import History, Stores

NAME = "agreement"

STORY = {"SOLD": "CONFIRMED", "RELEASED": "FAILED", "EXPIRED": "FAILED"}  # from a hold's end to its order's and sale's
UNDER_WAY = frozenset({"STARTED", "AUTHORIZED", "SETTLED", "VOIDING"})


def check(history: History) -> Finding:
    stores = history.stores
    problems = [*_stories(stores), *_seats(stores), *_open(stores), *_waiting(stores)]
    sold = sum(hold.state == "SOLD" for hold in stores.holds)
    return finding(NAME, problems, f"{len(stores.holds)} sales ended the same way everywhere, {sold} of them sold")


def _stories(stores: Stores) -> Iterator[str]:
    holds = {hold.hold_id: hold.state for hold in stores.holds}
    orders = {order.order_id: order.state for order in stores.orders}
    sales = {sale.order_id: sale.state for sale in stores.sales}
    for order_id in dict.fromkeys([*holds, *orders, *sales]):
        hold, order, sale = (states.get(order_id, "missing") for states in (holds, orders, sales))
        end = STORY.get(hold)
        if end is None or order != end or sale != end:
            yield f"sale {order_id}: the hold is {hold}, the order {order}, the portal's sale {sale}"


def _seats(stores: Stores) -> Iterator[str]:
    """One line for each sale whose seats differ, in what stores know of it."""
    lines = {order.order_id: set(order.seats) for order in stores.orders}
    units: dict[str, set[str]] = defaultdict(set)
    for unit in stores.units:
        if unit.state == "sold" and unit.hold_id is not None:
            units[unit.hold_id].add(unit.seat)
    tickets: dict[str, dict[str, str]] = defaultdict(dict)
    for ticket in stores.tickets:
        tickets[ticket.order_id][ticket.ticket_id] = ticket.seat
    shown = {sale.order_id: dict(sale.tickets) for sale in stores.sales}
    holds = {hold.hold_id: hold for hold in stores.holds}
    for order_id in dict.fromkeys([*holds, *lines, *units, *tickets, *shown]):
        hold = holds.get(order_id)
        asked = set(hold.seats) if hold else set()
        sold = asked if hold and hold.state == "SOLD" else set()
        found = {
            "sold places": (units[order_id], sold),
            "order's lines": (lines.get(order_id, set()), asked),
            "tickets": (set(tickets[order_id].values()), sold),
            "portal's tickets": (set(shown.get(order_id, {}).values()), sold),
        }
        differ = [f"{what} {_list(seats)}" for what, (seats, expected) in found.items() if seats != expected]
        if differ:
            yield f"sale {order_id} of seats {_list(asked)} ({hold.state if hold else 'no hold'}): {', '.join(differ)}"
        elif tickets[order_id].keys() != shown.get(order_id, {}).keys():
            yield f"sale {order_id}: billing and portal have different tickets for the same seats"


def _open(stores: Stores) -> Iterator[str]:
    for payment in stores.payments:
        if payment.state in UNDER_WAY:
            yield f"payment {payment.payment_id} of order {payment.order_id} is still {payment.state}"
    for unit in stores.units:
        if unit.state == "held":
            yield f"seat {unit.seat} is still held by {unit.hold_id}"


def _waiting(stores: Stores) -> Iterator[str]:
    yield from (f"{n} events parked at {where}" for where, n in stores.parked.items() if n)
    yield from (f"{n} messages in the queue {queue}" for queue, n in stores.queued.items() if n)
    yield from (f"backlog of {s.backlog} events in the stream {s.name}" for s in stores.streams if s.backlog)


def _list(seats: set[str]) -> str:
    return ", ".join(sorted(seats)) or "none"
