"""From facts to the events that the other services get. A fact that is nobody else's business has no event."""

from collections.abc import Sequence
from dataclasses import dataclass

from billing.orders.rules import SEATS_SOLD_REASONS, Code, Fact
from ticketflow.events import (
    EndReason,
    HoldLine,
    OrderConfirmed,
    OrderFailed,
    OrderMoved,
    Payload,
    PaymentAuthorized,
    PaymentDeclined,
    PaymentVoided,
    Ticket,
    TicketIssued,
)


@dataclass(frozen=True)
class Sale:
    """What the events of one order say about it. ``started_at_us``: when each payment was begun, by its id."""

    order_id: str
    buyer_id: str
    currency: str
    total_minor: int
    captured_minor: int
    closing: EndReason | None
    started_at_us: dict[str, int]
    tickets: Sequence[Ticket]
    moved_to: Sequence[HoldLine] = ()


def payloads_of(facts: Sequence[Fact], sale: Sale) -> list[Payload]:
    """In the order of the facts."""
    return [payload for fact in facts if (payload := _payload(fact, sale)) is not None]


def _payload(fact: Fact, sale: Sale) -> Payload | None:
    payment_id = fact.payment_id or ""
    closing = sale.closing or "released"  # the rules fail or void nothing without a reason
    match fact.code:
        case Code.PAYMENT_AUTHORIZED:
            return PaymentAuthorized(
                order_id=sale.order_id,
                payment_id=payment_id,
                buyer_id=sale.buyer_id,
                amount_minor=sale.total_minor,
                currency=sale.currency,
                started_at_us=sale.started_at_us[payment_id],
            )
        case Code.PAYMENT_DECLINED:
            return PaymentDeclined(order_id=sale.order_id, payment_id=payment_id, reason=fact.reason or "")
        case Code.PAYMENT_VOIDED:
            return PaymentVoided(order_id=sale.order_id, payment_id=payment_id, reason=closing)
        case Code.TICKETS_ISSUED:
            return TicketIssued(order_id=sale.order_id, buyer_id=sale.buyer_id, tickets=list(sale.tickets))
        case Code.ORDER_CONFIRMED:
            return OrderConfirmed(
                order_id=sale.order_id,
                payment_id=payment_id,
                captured_minor=sale.captured_minor,
                currency=sale.currency,
            )
        case Code.ORDER_FAILED:
            return OrderFailed(
                order_id=sale.order_id,
                reason=closing,
                return_id=sale.order_id if closing in SEATS_SOLD_REASONS else None,
            )
        case Code.SEATS_MOVED:
            return OrderMoved(order_id=sale.order_id, lines=list(sale.moved_to))
        case _:
            return None
