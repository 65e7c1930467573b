"""The facts that cross a border: all that the services share of each other.

Laws of this package:
- An event says what has been committed, in the past tense; a command (``sale.settle``) asks for something.
- Fields may be added with a default, never renamed, re-typed or removed: that would be a new kind.
- Nothing here knows how an event travels (feed, AMQP) or where it is stored.
"""

from ticketflow.events.envelope import BadEvent, Envelope, decode, encode, envelope_for, payload_of
from ticketflow.events.ids import is_id, new_id, time_of_us
from ticketflow.events.kinds import (
    PAYLOADS,
    EndReason,
    HoldExpired,
    HoldLine,
    HoldLost,
    HoldPlaced,
    HoldReleased,
    HoldReturned,
    HoldSold,
    OrderConfirmed,
    OrderFailed,
    OrderMoved,
    OrderPending,
    OrderRefunded,
    Payload,
    PaymentAuthorized,
    PaymentDeclined,
    PaymentVoided,
    SaleReturn,
    SaleSettle,
    Ticket,
    TicketIssued,
    TicketsVoided,
)

__all__ = [
    "PAYLOADS",
    "BadEvent",
    "EndReason",
    "Envelope",
    "HoldExpired",
    "HoldLine",
    "HoldLost",
    "HoldPlaced",
    "HoldReleased",
    "HoldReturned",
    "HoldSold",
    "OrderConfirmed",
    "OrderFailed",
    "OrderMoved",
    "OrderPending",
    "OrderRefunded",
    "Payload",
    "PaymentAuthorized",
    "PaymentDeclined",
    "PaymentVoided",
    "SaleReturn",
    "SaleSettle",
    "Ticket",
    "TicketIssued",
    "TicketsVoided",
    "decode",
    "encode",
    "envelope_for",
    "is_id",
    "new_id",
    "payload_of",
    "time_of_us",
]
