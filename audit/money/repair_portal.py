"""Repairs of what the portal shows: billing tells an order's facts again, as new events. The portal folds them in."""

from audit.money.hands import Hands, RepairRefused
from audit.money.repair_orders import tickets
from audit.money.sides import PAID, Deal, Difference, Order
from ticketflow.events import (
    EndReason,
    HoldLine,
    OrderConfirmed,
    OrderFailed,
    OrderPending,
    OrderRefunded,
    Payload,
    Ticket,
    TicketIssued,
    TicketsVoided,
)


async def tell_again(hands: Hands, one: Difference, deal: Deal) -> str:
    order, sale = deal.order, deal.sale
    assert order is not None
    if sale is not None and (strange := {t.ticket_id for t in sale.tickets} - {t.ticket_id for t in order.tickets}):
        raise RepairRefused(
            f"only the portal knows of {', '.join(sorted(strange))}: look for them in a copy of billing"
        )
    async with hands.billing(one, "told its facts again") as conn:
        facts = facts_of(order, await tickets(conn, order.order_id))
        await hands.tell_from_billing(conn, order.order_id, facts)
    return f"staged {', '.join(fact.kind for fact in facts)} at billing"


def facts_of(order: Order, issued: list[Ticket]) -> list[Payload]:
    """What the portal has to know of it. Nothing that would move seats or money: those have kinds of their own."""
    facts: list[Payload] = [_pending(order)]
    if issued:
        facts.append(TicketIssued(order_id=order.order_id, buyer_id=order.buyer_id, tickets=issued))
    if order.state in PAID and order.captured:
        facts.append(
            OrderConfirmed(
                order_id=order.order_id,
                payment_id=order.captured[0].payment_id,
                captured_minor=sum(payment.amount_minor for payment in order.captured),
                currency=order.currency,
            )
        )
    if order.state == "FAILED":
        facts.append(OrderFailed(order_id=order.order_id, reason=_reason(order)))
    return facts + _refunds(order)


def _pending(order: Order) -> OrderPending:
    return OrderPending(
        order_id=order.order_id,
        event_id=order.event_id,
        event_name=order.event_name,
        buyer_id=order.buyer_id,
        currency=order.currency,
        total_minor=order.total_minor,
        lines=[
            HoldLine(unit_id=line.unit_id, tier=line.tier, label=line.label, price_minor=line.price_minor)
            for line in order.lines
        ],
        expires_at_us=order.expires_at_us,
    )


def _refunds(order: Order) -> list[Payload]:
    facts: list[Payload] = []
    refunded_minor = 0
    done = [refund.refund_id for refund in order.refunds if refund.state == "REFUNDED"]
    for refund_id in dict.fromkeys(t.refund_id or order.order_id for t in order.tickets if t.void):
        void = [t for t in order.tickets if t.void and (t.refund_id or order.order_id) == refund_id]
        facts.append(
            TicketsVoided(
                order_id=order.order_id,
                refund_id=refund_id,
                ticket_ids=[ticket.ticket_id for ticket in void],
                unit_ids=[ticket.unit_id for ticket in void],
                seats_back=False,
                reason=next((r.reason for r in order.refunds if r.refund_id == refund_id), "audit"),
            )
        )
    for refund in order.refunds:
        if refund.state != "REFUNDED":
            continue
        refunded_minor += refund.amount_minor
        facts.append(
            OrderRefunded(
                order_id=order.order_id,
                refund_id=refund.refund_id,
                amount_minor=refund.amount_minor,
                credits_minor=refund.credits_minor,
                refunded_minor=refunded_minor,
                currency=order.currency,
                complete=order.state == "REFUNDED" and refund.refund_id == done[-1],
                reason=refund.reason,
            )
        )
    return facts


def _reason(order: Order) -> EndReason:
    """Billing's own word for why it failed."""
    return order.closing or "released"  # type: ignore[return-value]
