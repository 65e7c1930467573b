"""bank: places and money add up.

- free + held + sold is the capacity, in every sample and at the end: a snapshot shows each place, and shows it once.
- A confirmed order has exactly its total captured, which is the sum of its tickets. No other order has anything.
- The provider's books say the same, payment by payment; it keeps, or sets aside, money for nothing else.
"""

from collections import defaultdict
from collections.abc import Iterator

from drills.checkers.finding import Finding, finding
from drills.history import Charge, History, Places

NAME = "bank"

NOTHING_KEPT = ("VOIDED", "FAILED", "DECLINED")  # states of payments; those still under way are agreement's concern


def check(history: History) -> Finding:
    problems = [*_places(history), *_orders(history), *_books(history), *_total(history)]
    read = sum(sample.places is not None for sample in history.samples)
    sold = sum(ticket.price_minor for ticket in history.stores.tickets)
    return finding(NAME, problems, f"places add up in {read} samples and at the end; {sold} paid for tickets, and kept")


def _places(history: History) -> Iterator[str]:
    capacity = history.show.capacity
    for sample in history.samples:
        if sample.places is not None and _sum(sample.places) != capacity:
            yield f"at {sample.at_s:.1f} s {_counts(sample.places)}, which is not {capacity}"
    units = history.stores.units
    end = Places(*(sum(unit.state == state for unit in units) for state in ("free", "held", "sold")))
    if _sum(end) != capacity or len(units) != capacity:
        yield f"at the end {_counts(end)} of {len(units)} places, which is not {capacity}"


def _orders(history: History) -> Iterator[str]:
    captured: dict[str, int] = defaultdict(int)
    for payment in history.stores.payments:
        if payment.state == "CAPTURED":
            captured[payment.order_id] += payment.amount_minor
    tickets: dict[str, int] = defaultdict(int)
    for ticket in history.stores.tickets:
        tickets[ticket.order_id] += ticket.price_minor
    for order in history.stores.orders:
        paid, worth = captured.pop(order.order_id, 0), tickets.pop(order.order_id, 0)
        due = order.total_minor if order.state == "CONFIRMED" else 0
        if not paid == worth == due:
            yield (
                f"order {order.order_id} is {order.state}: due {due}, captured {paid}, tickets worth {worth}"
                f" ({', '.join(_payments(history, order.order_id)) or 'no payment'})"
            )
    for order_id in captured.keys() | tickets.keys():
        yield f"money or tickets of order {order_id}, which does not exist"


def _books(history: History) -> Iterator[str]:
    """Payment by payment, billing against the provider."""
    charges: dict[str, list[Charge]] = defaultdict(list)
    for charge in history.stores.charges:
        charges[charge.reference].append(charge)
    for payment in history.stores.payments:
        made = charges.pop(payment.payment_id, [])
        kept, aside = sum(map(_kept, made)), sum(map(_aside, made))
        named = f"payment {payment.payment_id} of order {payment.order_id} is {payment.state}"
        if payment.state == "CAPTURED" and (kept != payment.amount_minor or aside):
            yield f"{named} over {payment.amount_minor}; the provider {_said(made)}"
        if payment.state in NOTHING_KEPT and (kept or aside):
            yield f"{named}; the provider {_said(made)}"
    for reference, strays in charges.items():
        if any(_kept(charge) or _aside(charge) for charge in strays):
            yield f"there is no payment {reference}; the provider {_said(strays)}"


def _total(history: History) -> Iterator[str]:
    kept = sum(map(_kept, history.stores.charges))
    worth = sum(ticket.price_minor for ticket in history.stores.tickets)
    if kept != worth:
        yield f"the provider keeps {kept} in all, the tickets are worth {worth}"


def _kept(charge: Charge) -> int:
    return charge.captured_minor - charge.refunded_minor


def _aside(charge: Charge) -> int:
    return charge.amount_minor if charge.state == "authorized" else 0


def _said(charges: list[Charge]) -> str:
    if not charges:
        return "does not know of it"
    return "has " + ", ".join(
        f"{charge.authorization_id} {charge.state}: keeps {_kept(charge)}, sets aside {_aside(charge)}"
        for charge in charges
    )


def _payments(history: History, order_id: str) -> list[str]:
    return [f"{p.payment_id} {p.state}" for p in history.stores.payments if p.order_id == order_id]


def _sum(places: Places) -> int:
    return places.free + places.held + places.sold


def _counts(places: Places) -> str:
    return f"{places.free} free + {places.held} held + {places.sold} sold = {_sum(places)}"
