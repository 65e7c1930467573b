"""A buyer's sale as a fold of events.

Laws of this file:
- ``seen(event)`` is the sale known from one event alone; ``merge`` joins two views of one sale. ``merge`` is
  commutative, associative and idempotent, so that events may come in any order and any number of times.
- A state has a rank and only rises: a late ``order.pending`` never takes a CONFIRMED back.
- Facts of a sale that several events carry (its buyer) are equal in all of them. Should they ever differ, the greater
  one wins, which is arbitrary but the same everywhere.
- No database, no clock: times are those of the events.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

from ticketflow.events import (
    Envelope,
    OrderConfirmed,
    OrderFailed,
    OrderPending,
    Payload,
    PaymentAuthorized,
    PaymentDeclined,
    PaymentVoided,
    Ticket,
    TicketIssued,
)

T = TypeVar("T", int, str)

# PAYING: the money is set aside and reservation has been asked. FAILED is below CONFIRMED: money that was taken and
# tickets that were issued are what counts for the buyer, whatever else was said.
RANKS = {"PENDING": 0, "PAYING": 1, "FAILED": 2, "CONFIRMED": 3}
FIRST_STATE = "PENDING"


class Entry(NamedTuple):
    """One line of the history that the buyer sees; ``code`` is the event's kind."""

    at_us: int
    code: str
    reason: str | None


@dataclass(frozen=True)
class Sale:
    """What is known of one sale; None where the event that says it has not come yet."""

    order_id: str
    state: str = FIRST_STATE
    buyer_id: str | None = None
    event_id: str | None = None
    event_name: str | None = None
    currency: str | None = None
    total_minor: int | None = None
    expires_at_us: int | None = None
    payment_id: str | None = None  # of the payment that confirmed it
    reason: str | None = None  # of a FAILED one
    updated_at_us: int = 0
    tickets: Mapping[str, Ticket] = field(default_factory=dict)  # by ticket id
    history: Mapping[str, Entry] = field(default_factory=dict)  # by the event's id


def _pending(event: OrderPending) -> dict[str, Any]:
    return {
        "state": "PENDING",
        "buyer_id": event.buyer_id,
        "event_id": event.event_id,
        "event_name": event.event_name,
        "currency": event.currency,
        "total_minor": event.total_minor,
        "expires_at_us": event.expires_at_us,
    }


def _authorized(event: PaymentAuthorized) -> dict[str, Any]:
    return {"state": "PAYING", "buyer_id": event.buyer_id}


def _confirmed(event: OrderConfirmed) -> dict[str, Any]:
    return {"state": "CONFIRMED", "payment_id": event.payment_id}


def _failed(event: OrderFailed) -> dict[str, Any]:
    return {"state": "FAILED", "reason": event.reason}


def _tickets(event: TicketIssued) -> dict[str, Any]:
    return {"buyer_id": event.buyer_id, "tickets": {ticket.ticket_id: ticket for ticket in event.tickets}}


def _only_history(_: Payload) -> dict[str, Any]:
    return {}


# What each kind says about the sale. A kind that is not here says nothing to a buyer.
RULES: Mapping[type[Payload], Callable[[Any], dict[str, Any]]] = {
    OrderPending: _pending,
    PaymentAuthorized: _authorized,
    PaymentDeclined: _only_history,  # the buyer may try again: the state stays
    PaymentVoided: _only_history,  # order.failed follows and says how it ended
    TicketIssued: _tickets,
    OrderConfirmed: _confirmed,
    OrderFailed: _failed,
}


def concerns(payload: Payload | None) -> bool:
    """Whether this payload says anything about a buyer's sale."""
    return type(payload) in RULES


def seen(envelope: Envelope, payload: Payload) -> Sale:
    """The sale as known from this event alone. The payload must be one that ``concerns``."""
    known = RULES[type(payload)](payload)
    entry = Entry(envelope.occurred_at_us, envelope.kind, getattr(payload, "reason", None))
    return Sale(
        order_id=payload.order_id,  # type: ignore[attr-defined]  # every kind of RULES has one
        updated_at_us=envelope.occurred_at_us,
        history={envelope.id: entry},
        **known,
    )


def merge(one: Sale, other: Sale) -> Sale:
    """What both views know of the same sale."""
    assert one.order_id == other.order_id
    return replace(
        one,
        state=max(one.state, other.state, key=RANKS.__getitem__),
        buyer_id=_known(one.buyer_id, other.buyer_id),
        event_id=_known(one.event_id, other.event_id),
        event_name=_known(one.event_name, other.event_name),
        currency=_known(one.currency, other.currency),
        total_minor=_known(one.total_minor, other.total_minor),
        expires_at_us=_known(one.expires_at_us, other.expires_at_us),
        payment_id=_known(one.payment_id, other.payment_id),
        reason=_known(one.reason, other.reason),
        updated_at_us=max(one.updated_at_us, other.updated_at_us),
        tickets={**one.tickets, **other.tickets},
        history={**one.history, **other.history},
    )


def merge_all(views: Iterable[Sale]) -> dict[str, Sale]:
    """The sales in ``views``, by order id."""
    sales: dict[str, Sale] = {}
    for view in views:
        sales[view.order_id] = merge(sales[view.order_id], view) if view.order_id in sales else view
    return sales


def _known(one: T | None, other: T | None) -> T | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
