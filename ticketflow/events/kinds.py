"""Every kind of event and its payload.

Money is in integer minor units of an ISO 4217 currency; times are integer microseconds since the Unix epoch, UTC.
The key of every kind below is the hold's id, which is also the order's id: events of one sale keep their order.
"""

from typing import ClassVar, Literal

import msgspec

EndReason = Literal["released", "expired", "taken", "unknown_hold", "declined", "capture_refused", "tickets_failed"]


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all payloads. ``kind`` and ``version`` name the shape on the wire."""

    kind: ClassVar[str]
    version: ClassVar[int] = 1


class HoldLine(msgspec.Struct, frozen=True, kw_only=True):
    """One place of a hold: a numbered seat, or one general-admission place."""

    unit_id: str
    tier: str
    label: str  # what stands on the ticket: "A-12", or the tier's name for general admission
    price_minor: int


class HoldPlaced(Payload, frozen=True, kw_only=True):
    """reservation: the seats are the buyer's until ``expires_at_us``, and for ``grace_s`` more if paying has begun."""

    kind: ClassVar[str] = "hold.placed"
    hold_id: str
    event_id: str
    event_name: str
    buyer_id: str
    currency: str
    total_minor: int
    lines: list[HoldLine]
    placed_at_us: int
    expires_at_us: int
    grace_s: int


class HoldReleased(Payload, frozen=True, kw_only=True):
    """reservation: the buyer gave the seats back."""

    kind: ClassVar[str] = "hold.released"
    hold_id: str


class HoldExpired(Payload, frozen=True, kw_only=True):
    """reservation: the sweeper saw a hold whose time and grace are over."""

    kind: ClassVar[str] = "hold.expired"
    hold_id: str


class HoldSold(Payload, frozen=True, kw_only=True):
    """reservation: the seats are sold to this hold, paid for by this payment. Told again when it is asked again.
    ``moved_to``: the places it got, all of them, when its own were gone (``late: same_tier``); their prices are those
    of the hold."""

    kind: ClassVar[str] = "hold.sold"
    hold_id: str
    payment_id: str
    sold_at_us: int
    moved_to: list[HoldLine] | None = None


class HoldReturned(Payload, frozen=True, kw_only=True):
    """reservation: these places of a sold hold are on sale again, as ``return_id`` asked. Told once for each."""

    kind: ClassVar[str] = "hold.returned"
    hold_id: str
    return_id: str
    unit_ids: list[str]


class HoldLost(Payload, frozen=True, kw_only=True):
    """reservation: the hold cannot be settled by this payment; no money may be kept for it."""

    kind: ClassVar[str] = "hold.lost"
    hold_id: str
    payment_id: str
    reason: EndReason


class OrderPending(Payload, frozen=True, kw_only=True):
    """billing: the hold has arrived and stands as an order that waits for payment."""

    kind: ClassVar[str] = "order.pending"
    order_id: str
    event_id: str
    event_name: str
    buyer_id: str
    currency: str
    total_minor: int
    lines: list[HoldLine]
    expires_at_us: int


class PaymentAuthorized(Payload, frozen=True, kw_only=True):
    """billing: the provider has set the money aside; nothing is taken yet."""

    kind: ClassVar[str] = "payment.authorized"
    order_id: str
    payment_id: str
    buyer_id: str
    amount_minor: int
    currency: str
    started_at_us: int  # when the payment was begun, by billing's database; always before the hold's end


class PaymentDeclined(Payload, frozen=True, kw_only=True):
    """billing: the provider refused the card; the buyer may try again while the hold lasts."""

    kind: ClassVar[str] = "payment.declined"
    order_id: str
    payment_id: str
    reason: str


class PaymentVoided(Payload, frozen=True, kw_only=True):
    """billing: the money that was set aside is the buyer's again."""

    kind: ClassVar[str] = "payment.voided"
    order_id: str
    payment_id: str
    reason: EndReason


class OrderConfirmed(Payload, frozen=True, kw_only=True):
    """billing: money captured, tickets issued. Final."""

    kind: ClassVar[str] = "order.confirmed"
    order_id: str
    payment_id: str
    captured_minor: int
    currency: str


class OrderFailed(Payload, frozen=True, kw_only=True):
    """billing: the order ended without a sale and without money kept. Final. ``return_id``: reservation had sold the
    seats already (the money could not be taken after all); they go back under this id."""

    kind: ClassVar[str] = "order.failed"
    order_id: str
    reason: EndReason
    return_id: str | None = None


class OrderMoved(Payload, frozen=True, kw_only=True):
    """billing: the money came late and the seats were gone; the order has these instead, as its buyer agreed."""

    kind: ClassVar[str] = "order.moved"
    order_id: str
    lines: list[HoldLine]


class TicketsVoided(Payload, frozen=True, kw_only=True):
    """billing: these tickets admit nobody any more; the money follows. ``seats_back``: the places go on sale again."""

    kind: ClassVar[str] = "ticket.voided"
    order_id: str
    refund_id: str
    ticket_ids: list[str]
    unit_ids: list[str]
    seats_back: bool
    reason: str


class OrderRefunded(Payload, frozen=True, kw_only=True):
    """billing: a refund has been carried out. ``refunded_minor``: of the order in all; ``amount_minor`` of this one, of
    which ``credits_minor`` went to the buyer's credits. ``complete``: nothing is kept and no ticket is left."""

    kind: ClassVar[str] = "order.refunded"
    order_id: str
    refund_id: str
    amount_minor: int
    credits_minor: int
    refunded_minor: int
    currency: str
    complete: bool
    reason: str


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    ticket_id: str
    unit_id: str
    tier: str
    label: str


class TicketIssued(Payload, frozen=True, kw_only=True):
    """billing: the tickets of one order, all of them, in one event."""

    kind: ClassVar[str] = "ticket.issued"
    order_id: str
    buyer_id: str
    tickets: list[Ticket]


class SaleSettle(Payload, frozen=True, kw_only=True):
    """portal's command to reservation: this hold is paid for, make it sold (or say that it is lost)."""

    kind: ClassVar[str] = "sale.settle"
    hold_id: str
    payment_id: str
    started_at_us: int


class SaleReturn(Payload, frozen=True, kw_only=True):
    """portal's command to reservation: these places were sold to this hold and are to be on sale again. Without
    ``unit_ids``: all of them. What is not sold to the hold stays as it is."""

    kind: ClassVar[str] = "sale.return"
    hold_id: str
    return_id: str
    unit_ids: list[str] = []


PAYLOADS: dict[str, type[Payload]] = {
    payload.kind: payload
    for payload in (
        HoldPlaced,
        HoldReleased,
        HoldExpired,
        HoldSold,
        HoldLost,
        HoldReturned,
        OrderPending,
        PaymentAuthorized,
        PaymentDeclined,
        PaymentVoided,
        OrderConfirmed,
        OrderFailed,
        OrderMoved,
        OrderRefunded,
        TicketIssued,
        TicketsVoided,
        SaleSettle,
        SaleReturn,
    )
}
