"""Billing against itself: orders, payments, tickets, refunds. Pure."""

from collections.abc import Iterator

from audit.money.judging import difference
from audit.money.limits import Limits
from audit.money.sides import PAID, Deal, Difference, Order, Payment

UNDER_WAY = frozenset({"STARTED", "AUTHORIZED", "SETTLED", "VOIDING"})


def judge_orders(deal: Deal, limits: Limits) -> Iterator[Difference]:
    order = deal.order
    if order is None:
        return
    yield from _tickets(deal, order)
    yield from _sums(deal, order)
    for refund in order.refunds:
        ids, said = [("refund", refund.refund_id)], f"{refund.state} for {refund.age_s:.0f} s"
        if refund.state == "REFUSED":
            yield difference("refund_refused", deal, ids, refund.reason, refund.amount_minor)
        elif refund.state == "REQUESTED" and refund.age_s > limits.stuck_s:
            yield difference("refund_stuck", deal, ids, said, refund.amount_minor)


def judge_stuck(deal: Deal, limits: Limits) -> Iterator[Difference]:
    """Of sales of any age: one that is stuck does change, as its worker tries."""
    for payment in deal.order.payments if deal.order is not None else ():
        if payment.state in UNDER_WAY and _waited_s(payment) > limits.stuck_s:
            said = f"{payment.state} for {payment.age_s:.0f} s"
            yield difference("payment_stuck", deal, [("payment", payment.payment_id)], said, payment.amount_minor)


def _waited_s(payment: Payment) -> float:
    """A page of the provider's may be open for a day."""
    if payment.state == "STARTED" and payment.page_left_s is not None:
        return min(payment.age_s, -payment.page_left_s)
    return payment.age_s


def _tickets(deal: Deal, order: Order) -> Iterator[Difference]:
    if order.state not in PAID:
        if order.good:
            ids = [("ticket", ticket.ticket_id) for ticket in order.good]
            yield difference("tickets_extra", deal, ids, f"the order is {order.state}")
        return
    have = {ticket.unit_id for ticket in order.tickets}
    missing = [line.unit_id for line in order.lines if line.unit_id not in have]
    if missing:
        yield difference("tickets_missing", deal, [("unit", unit_id) for unit_id in missing], f"{len(missing)} places")
    alive = [t for t in order.good if t.refund_id is not None or order.state == "REFUNDED"]
    if alive:
        yield difference("ticket_good_after_refund", deal, [("ticket", t.ticket_id) for t in alive], order.state)


def _sums(deal: Deal, order: Order) -> Iterator[Difference]:
    captured_minor = sum(payment.amount_minor for payment in order.captured)
    due_minor = order.total_minor if order.state in PAID else 0
    if captured_minor != due_minor:
        ids = [("payment", payment.payment_id) for payment in order.captured]
        detail = f"{captured_minor} captured, {due_minor} due of an order that is {order.state}"
        yield difference("captured_not_total", deal, ids, detail, captured_minor - due_minor)
    refunds_minor = sum(refund.amount_minor for refund in order.refunds)
    if order.refunds_minor != refunds_minor:
        detail = f"kept {order.refunds_minor}, its refunds make {refunds_minor}"
        yield difference("refunds_sum_differs", deal, (), detail, order.refunds_minor - refunds_minor)
    if order.state in PAID and order.state != (due := state_due(order)):
        yield difference("order_state_differs", deal, (), f"{order.state}, and it ought to be {due}")


def state_due(order: Order) -> str:
    """While a refund is under way the state may still be the one before it."""
    done = [refund for refund in order.refunds if refund.state == "REFUNDED"]
    if not done:
        return "CONFIRMED"
    return "REFUNDED" if money_is_back(order) and not order.good else "PARTIALLY_REFUNDED"


def money_is_back(order: Order) -> bool:
    """All that was captured has been given back."""
    refunded_minor = sum(refund.amount_minor for refund in order.refunds if refund.state == "REFUNDED")
    return refunded_minor == sum(payment.amount_minor for payment in order.captured)
