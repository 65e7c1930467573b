"""Reservation against billing. Pure."""

from collections.abc import Iterator

from audit.money.judging import difference
from audit.money.limits import Limits
from audit.money.sides import PAID, Deal, Difference, Hold, Order


def judge_seats(deal: Deal, limits: Limits) -> Iterator[Difference]:
    hold, order = deal.hold, deal.order
    if hold is not None and order is None:
        yield from _no_order(deal, hold)
    elif order is not None and hold is None:
        if order.state != "FAILED":  # holds that ended without a sale are purged after a while
            yield difference("order_without_hold", deal, detail=f"the order is {order.state}")
    elif order is not None and hold is not None:
        yield from _owners(deal, hold, order, limits)
        yield from _lines(deal, hold, order)


def _no_order(deal: Deal, hold: Hold) -> Iterator[Difference]:
    if hold.sold:
        ids = [("payment", hold.payment_id or ""), *(("unit", place.unit_id) for place in hold.sold)]
        yield difference("seat_sold_without_order", deal, ids, f"{len(hold.sold)} places", hold.total_minor)
    elif hold.state != "SOLD":  # else its places have been returned: nobody has anything
        yield difference("hold_without_order", deal, detail=f"the hold is {hold.state}")


def _owners(deal: Deal, hold: Hold, order: Order, limits: Limits) -> Iterator[Difference]:
    sold = {place.unit_id for place in hold.sold}
    units = [("unit", unit_id) for unit_id in sorted(sold)]
    if order.state == "FAILED" and sold:
        yield difference("seat_sold_order_failed", deal, units, f"the order failed: {order.closing}")
    if order.state == "PENDING" and not order.paying:
        if sold:
            yield difference("seat_sold_not_paid", deal, units, f"the hold is sold to payment {hold.payment_id}")
        elif hold.state in ("RELEASED", "EXPIRED") and order.closing is None:
            yield difference("order_open_hold_ended", deal, detail=f"the hold is {hold.state}")
    if order.state not in PAID:
        return
    unsold = [ticket for ticket in order.good if ticket.unit_id not in sold]
    if unsold:
        owners = {place.unit_id: f"{place.state} {place.owner or ''}".strip() for place in hold.places}
        ids = [("unit", ticket.unit_id) for ticket in unsold] + [("ticket", ticket.ticket_id) for ticket in unsold]
        detail = ", ".join(f"{ticket.unit_id} is {owners.get(ticket.unit_id, 'not of the hold')}" for ticket in unsold)
        yield difference("order_confirmed_seat_not_sold", deal, ids, f"hold {hold.state}: {detail}")
    for refund in order.refunds:
        kept = [t.unit_id for t in order.tickets if t.refund_id == refund.refund_id and t.void and t.unit_id in sold]
        if refund.seats_back and kept and refund.age_s > limits.grace_s:
            ids = [("refund", refund.refund_id), *(("unit", unit_id) for unit_id in kept)]
            yield difference("seats_not_returned", deal, ids, f"{len(kept)} places")


def _lines(deal: Deal, hold: Hold, order: Order) -> Iterator[Difference]:
    if order.state == "PENDING" and order.paying:  # it may be about to hear that it has other places
        return
    faults = [
        f"{name}: {mine} at billing, {theirs} at reservation"
        for name, mine, theirs in (
            ("event", order.event_id, hold.event_id),
            ("buyer", order.buyer_id, hold.buyer_id),
            ("total", f"{order.total_minor} {order.currency}", f"{hold.total_minor} {hold.currency}"),
        )
        if mine != theirs
    ]
    mine_ = {(line.unit_id, line.price_minor) for line in order.lines}
    theirs_ = {(place.unit_id, place.price_minor) for place in hold.places}
    ids = [("unit", unit_id) for unit_id in sorted({unit_id for unit_id, _ in mine_ ^ theirs_})]
    if ids:
        faults.append(f"{len(mine_ - theirs_)} places at billing only, {len(theirs_ - mine_)} at reservation only")
    if sum(line.price_minor for line in order.lines) != order.total_minor:
        faults.append("the lines of the order do not sum to its total")
    if faults:
        yield difference("lines_differ", deal, ids, "; ".join(faults))
