"""The repair of money that went back at the provider past us, when it is the price of all tickets that are good.

They are made void by a refund that is as if it had been asked for already: billing's worker asks the provider first,
finds the money given back, and writes down all the rest (state, ledger, order.refunded) as of any refund.
"""

from typing import Any

from audit.money.hands import CORRELATION, Hands, RepairRefused
from audit.money.judge_provider import extra_of, main_of, refunds_of
from audit.money.read_billing import orders
from audit.money.sides import PAID, Deal, Difference, Order
from ticketflow.events import TicketsVoided, new_id
from ticketflow.runtime.mariadb import execute

Conn = Any
REASON = "refunded at the provider"
ASKED_BEFORE = "audit: the provider has given this back already"  # a refund with a detail is not asked for at once


async def refund_all(hands: Hands, one: Difference, deal: Deal) -> str:
    assert deal.order is not None
    payment_id, refund_id = one.id_of("payment"), new_id()
    given_minor = _beyond_refunds(deal, deal.order, payment_id)
    said = f"refund {refund_id} of {given_minor} makes its tickets void; its worker finds the money given back"
    async with hands.billing(one, said) as conn:
        order = (await orders(conn, [deal.order.order_id])).get(deal.order.order_id)
        if order is None or _ids(order) != _ids(deal.order):
            raise RepairRefused("it has changed meanwhile: look again")
        _check(order, given_minor)
        await _write(conn, order, payment_id, refund_id, given_minor)
        told = TicketsVoided(
            order_id=order.order_id,
            refund_id=refund_id,
            ticket_ids=[ticket.ticket_id for ticket in order.good],
            unit_ids=[ticket.unit_id for ticket in order.good],
            seats_back=False,
            reason=REASON,
        )
        await hands.tell_from_billing(conn, order.order_id, [told])
    return said


def _beyond_refunds(deal: Deal, order: Order, payment_id: str) -> int:
    """What the provider gave back more than our refunds and what it took too much."""
    payment = next(payment for payment in order.payments if payment.payment_id == payment_id)
    main = main_of(payment, deal.at_provider.get(payment_id, ()))
    if main is None:
        raise RepairRefused("the provider was not asked about it")
    refunds_minor, _ = refunds_of(order, payment_id)
    return main.refunded_minor - refunds_minor - extra_of(payment, main.captured_minor)


def _check(order: Order, given_minor: int) -> None:
    """Raises RepairRefused unless there is one way only to read it."""
    if order.state not in PAID or len(order.captured) != 1:
        raise RepairRefused(f"the order is {order.state}, with {len(order.captured)} captured payments")
    if any(refund.state != "REFUNDED" for refund in order.refunds):
        raise RepairRefused(
            "a refund of it is under way or refused, and may be this one: wait for it, or have it retried"
        )
    if order.refunds_minor != sum(refund.amount_minor for refund in order.refunds):
        raise RepairRefused("what it keeps of its refunds is wrong: see refunds_sum_differs")
    prices = {line.unit_id: line.price_minor for line in order.lines}
    worth_minor = sum(prices[ticket.unit_id] for ticket in order.good)
    if not order.good or worth_minor != given_minor or any(ticket.refund_id for ticket in order.good):
        raise RepairRefused(
            f"{given_minor} went back, and its good tickets cost {worth_minor}: find out which of them it was for"
        )


async def _write(conn: Conn, order: Order, payment_id: str, refund_id: str, given_minor: int) -> None:
    await execute(
        conn,
        """
        INSERT INTO refunds (refund_id, order_id, payment_id, state, card_minor, credits_minor, currency, reason,
                             seats_back, due_at, detail, correlation_id)
        VALUES (%s, %s, %s, 'REQUESTED', %s, 0, %s, %s, FALSE, UTC_TIMESTAMP(6), %s, %s)
        """,
        (refund_id, order.order_id, payment_id, given_minor, order.currency, REASON, ASKED_BEFORE, CORRELATION),
    )
    await execute(
        conn,
        "UPDATE tickets SET voided_at = UTC_TIMESTAMP(6), refund_id = %s WHERE ticket_id IN %s",
        (refund_id, [ticket.ticket_id for ticket in order.good]),
    )
    await execute(
        conn,
        "UPDATE orders SET refunds_minor = refunds_minor + %s WHERE order_id = %s",
        (given_minor, order.order_id),
    )


def _ids(order: Order) -> list[tuple[str, str, int]]:
    return [(refund.refund_id, refund.state, refund.card_minor) for refund in order.refunds]
