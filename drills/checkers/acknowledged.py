"""set: what was acknowledged exists, everywhere; what exists was attempted.

- The id of every hold that was answered with 2xx is in reservation, in billing and in the portal, as it was told.
- Every release and payment that was answered with 2xx has happened, and no end that a buyer has seen was taken back.
- What no answer tells of was at least asked for: a buyer has at most as many unknown holds as he had indefinite wishes.
  Whether those exist is nobody's concern, for an indefinite wish may or may not have been done.
"""

from collections import Counter
from collections.abc import Iterator

from drills.checkers.finding import Finding, finding
from drills.history import History, Hold, Op

NAME = "set"
ENDS = ("CONFIRMED", "FAILED")


def check(history: History) -> Finding:
    problems = [
        *_holds_lost(history),
        *_releases_lost(history),
        *_payments_lost(history),
        *_ends_taken_back(history),
        *_never_attempted(history),
    ]
    kept = sum(op.action in ("hold", "release", "pay") and op.outcome == "ok" for op in history.ops)
    indefinite = sum(op.outcome == "indefinite" for op in history.ops)
    return finding(NAME, problems, f"all of {kept} acknowledged wishes are kept; {indefinite} ended indefinite")


def _holds_lost(history: History) -> Iterator[str]:
    holds = {hold.hold_id: hold for hold in history.stores.holds}
    orders = {order.order_id for order in history.stores.orders}
    sales = {sale.order_id for sale in history.stores.sales}
    for op in _acknowledged(history, "hold"):
        stores = {"reservation": holds.keys(), "billing": orders, "portal": sales}
        missing = [store for store, ids in stores.items() if op.order_id not in ids]
        if missing:
            where = ", ".join(missing)
            yield f"hold {op.order_id} of {op.buyer}, acknowledged at {op.ended_s:.3f} s, is not in {where}"
        if op.order_id in holds:
            yield from _told_otherwise(op, holds[op.order_id])


def _told_otherwise(op: Op, hold: Hold) -> Iterator[str]:
    """An answer tells of the hold as it stands in the store."""
    if hold.buyer != op.buyer:
        yield f"hold {op.order_id} was acknowledged to {op.buyer}, and is {hold.buyer}'s"
    if set(hold.seats) != set(op.seats):
        yield f"hold {op.order_id} was acknowledged with seats {_list(op.seats)}, and has {_list(hold.seats)}"
    if op.amount_minor is not None and op.amount_minor != hold.total_minor:
        yield f"hold {op.order_id} was acknowledged at {op.amount_minor}, and costs {hold.total_minor}"


def _releases_lost(history: History) -> Iterator[str]:
    holds = {hold.hold_id: hold for hold in history.stores.holds}
    for op in _acknowledged(history, "release"):
        hold = holds.get(op.order_id)
        state = hold.state if hold else "gone"
        if state != "RELEASED":
            yield f"release of hold {op.order_id}, acknowledged at {op.ended_s:.3f} s: the hold is {state}"


def _payments_lost(history: History) -> Iterator[str]:
    """202 too says that the payment is written down."""
    by_order = Counter(payment.order_id for payment in history.stores.payments)
    ids = {payment.payment_id for payment in history.stores.payments}
    for op in _acknowledged(history, "pay"):
        if op.payment_id not in ids if op.payment_id else not by_order[op.order_id]:
            yield (
                f"payment {op.payment_id or '(id unknown)'} of order {op.order_id}, acknowledged with {op.status} at"
                f" {op.ended_s:.3f} s, is not in billing"
            )


def _ends_taken_back(history: History) -> Iterator[str]:
    """CONFIRMED and FAILED are final, for whoever has seen them."""
    orders = {order.order_id: order.state for order in history.stores.orders}
    sales = {sale.order_id: sale for sale in history.stores.sales}
    for op in history.ops:
        if op.action not in ("order", "sale") or op.outcome != "ok" or op.state not in ENDS:
            continue
        sale = sales.get(op.order_id)
        now = {"billing": orders.get(op.order_id, "gone"), "portal": sale.state if sale else "gone"}
        other = [f"{state} in {store}" for store, state in now.items() if state != op.state]
        if other:
            yield f"order {op.order_id} was shown {op.state} at {op.ended_s:.3f} s, and is {', '.join(other)}"
        if sale is not None and op.tickets > len(sale.tickets):
            yield f"order {op.order_id} was shown with {op.tickets} tickets, and the portal has {len(sale.tickets)}"


def _never_attempted(history: History) -> Iterator[str]:
    wishes = [op for op in history.ops if op.action == "hold"]
    told = {op.order_id for op in wishes if op.outcome == "ok"}
    decided = {(op.buyer, op.key) for op in wishes if op.outcome != "indefinite"}
    may_exist = Counter(buyer for buyer, _key in {(op.buyer, op.key) for op in wishes} - decided)
    for hold in history.stores.holds:
        if hold.hold_id in told:
            continue
        may_exist[hold.buyer] -= 1
        if may_exist[hold.buyer] < 0:
            yield f"hold {hold.hold_id} of {hold.buyer} exists, and no wish of that buyer can have made it"
    holds = {hold.hold_id for hold in history.stores.holds}
    for order in history.stores.orders:
        if order.order_id not in holds:
            yield f"order {order.order_id} of {order.buyer} exists in billing, its hold does not in reservation"
    for sale in history.stores.sales:
        if sale.order_id not in holds:
            yield f"sale {sale.order_id} of {sale.buyer} exists in the portal, its hold does not in reservation"
    payers = {op.order_id for op in history.ops if op.action == "pay"}
    for payment in history.stores.payments:
        if payment.order_id not in payers:
            yield f"payment {payment.payment_id} of order {payment.order_id} exists, and nobody asked to pay that order"


def _acknowledged(history: History, action: str) -> Iterator[Op]:
    return (op for op in history.ops if op.action == action and op.outcome == "ok")


def _list(seats: tuple[str, ...]) -> str:
    return ", ".join(sorted(seats)) or "none"
