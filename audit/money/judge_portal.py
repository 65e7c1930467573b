"""The portal against billing. Pure."""

from collections.abc import Iterator, Mapping

from audit.money.judging import difference
from audit.money.sides import Deal, Difference, Order, Sale

SHOWN: Mapping[str, frozenset[str]] = {
    "PENDING": frozenset({"PENDING", "PAYING"}),
    "FAILED": frozenset({"FAILED"}),
    "CONFIRMED": frozenset({"CONFIRMED"}),
    "PARTIALLY_REFUNDED": frozenset({"PARTIALLY_REFUNDED"}),
    "REFUNDED": frozenset({"REFUNDED"}),
}


def judge_portal(deal: Deal) -> Iterator[Difference]:
    order, sale = deal.order, deal.sale
    if order is None:
        if sale is not None:
            yield difference("portal_unknown_order", deal, detail=f"the portal shows {sale.state}")
        return
    if sale is None:
        yield difference("portal_missing", deal, detail=f"the order is {order.state}")
        return
    yield from _state(deal, order, sale)
    yield from _tickets(deal, order, sale)


def _state(deal: Deal, order: Order, sale: Sale) -> Iterator[Difference]:
    knows_refunds = sale.refunded_minor is not None
    state = order.state if knows_refunds or "REFUNDED" not in order.state else "CONFIRMED"
    faults = [] if sale.state in SHOWN[state] else [f"{order.state} at billing, {sale.state} at the portal"]
    refunded_minor = sum(refund.amount_minor for refund in order.refunds if refund.state == "REFUNDED")
    for name, mine, theirs in (
        ("event", order.event_id, sale.event_id),
        ("buyer", order.buyer_id, sale.buyer_id),
        ("total", order.total_minor, sale.total_minor),
        ("refunded", refunded_minor, sale.refunded_minor if knows_refunds else refunded_minor),
    ):
        if mine != theirs:
            faults.append(f"{name}: {mine} at billing, {theirs} at the portal")
    if faults:
        yield difference("portal_state_differs", deal, detail="; ".join(faults))


def _tickets(deal: Deal, order: Order, sale: Sale) -> Iterator[Difference]:
    knows_void = sale.refunded_minor is not None
    mine = {t.ticket_id: (t.unit_id, t.void and knows_void) for t in order.tickets}
    theirs = {t.ticket_id: (t.unit_id, t.void) for t in sale.tickets}
    differ = sorted(id_ for id_ in mine.keys() | theirs.keys() if mine.get(id_) != theirs.get(id_))
    if differ:
        only = len(theirs.keys() - mine.keys())
        detail = f"{len(differ)} differ; {only} of them only the portal knows"
        yield difference("portal_tickets_differ", deal, [("ticket", id_) for id_ in differ], detail)
