"""A buyer's sale as a fold of events.

Laws of this file:
- ``seen(event)`` is the sale known from one event alone; ``merge`` joins two views of one sale. ``merge`` is
  commutative, associative and idempotent, so that events may come in any order and any number of times.
- A state has a rank and only rises: a late ``order.pending`` never takes a CONFIRMED back.
- A ticket that was ever said to be void is void, also when that was said before it was issued.
- Facts of a sale that several events carry (its buyer) are equal in all of them. Should they ever differ, the greater
  one wins, which is arbitrary but the same everywhere.
- No database, no clock: times are those of the events.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from portal.sale import RANKS, Entry, Place, Refund, Sale
from ticketflow.events import (
    Envelope,
    HoldLine,
    OrderConfirmed,
    OrderFailed,
    OrderMoved,
    OrderPending,
    OrderRefunded,
    Payload,
    PaymentAuthorized,
    PaymentDeclined,
    PaymentVoided,
    TicketIssued,
    TicketsVoided,
)

T = TypeVar("T", int, str, tuple[Place, ...])
V = TypeVar("V")


def _pending(event: OrderPending, _at_us: int) -> dict[str, Any]:
    return {
        "state": "PENDING",
        "buyer_id": event.buyer_id,
        "event_id": event.event_id,
        "event_name": event.event_name,
        "currency": event.currency,
        "total_minor": event.total_minor,
        "expires_at_us": event.expires_at_us,
        "held": _places(event.lines),
    }


def _authorized(event: PaymentAuthorized, at_us: int) -> dict[str, Any]:
    return {"state": "PAYING", "buyer_id": event.buyer_id, "authorized_at_us": at_us}


def _confirmed(event: OrderConfirmed, _at_us: int) -> dict[str, Any]:
    return {"state": "CONFIRMED", "payment_id": event.payment_id}


def _failed(event: OrderFailed, _at_us: int) -> dict[str, Any]:
    return {"state": "FAILED", "reason": event.reason}


def _tickets(event: TicketIssued, _at_us: int) -> dict[str, Any]:
    return {"buyer_id": event.buyer_id, "tickets": {ticket.ticket_id: ticket for ticket in event.tickets}}


def _moved(event: OrderMoved, _at_us: int) -> dict[str, Any]:
    return {"moved_to": _places(event.lines)}


def _voided(event: TicketsVoided, at_us: int) -> dict[str, Any]:
    return {
        "voided": dict.fromkeys(event.ticket_ids, event.refund_id),
        "refunds": {event.refund_id: Refund(requested_at_us=at_us, reason=event.reason)},
    }


def _refunded(event: OrderRefunded, at_us: int) -> dict[str, Any]:
    refund = Refund(
        done_at_us=at_us, amount_minor=event.amount_minor, credits_minor=event.credits_minor, reason=event.reason
    )
    return {
        "state": "REFUNDED" if event.complete else "PARTIALLY_REFUNDED",
        "refunded_minor": event.refunded_minor,
        "refunds": {event.refund_id: refund},
    }


def _only_history(_event: Payload, _at_us: int) -> dict[str, Any]:
    return {}


# What each kind, and when it happened, says about the sale. A kind that is not here says nothing to a buyer.
RULES: Mapping[type[Payload], Callable[[Any, int], dict[str, Any]]] = {
    OrderPending: _pending,
    PaymentAuthorized: _authorized,
    PaymentDeclined: _only_history,  # the buyer may try again: the state stays
    PaymentVoided: _only_history,  # order.failed follows and says how it ended
    TicketIssued: _tickets,
    OrderConfirmed: _confirmed,
    OrderFailed: _failed,
    OrderMoved: _moved,
    TicketsVoided: _voided,  # the state stays: the money is still to come
    OrderRefunded: _refunded,
}


def concerns(payload: Payload | None) -> bool:
    """Whether this payload says anything about a buyer's sale."""
    return type(payload) in RULES


def seen(envelope: Envelope, payload: Payload) -> Sale:
    """The sale as known from this event alone. The payload must be one that ``concerns``."""
    known = RULES[type(payload)](payload, envelope.occurred_at_us)
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
    return Sale(
        order_id=one.order_id,
        state=max(one.state, other.state, key=RANKS.__getitem__),
        buyer_id=_known(one.buyer_id, other.buyer_id),
        event_id=_known(one.event_id, other.event_id),
        event_name=_known(one.event_name, other.event_name),
        currency=_known(one.currency, other.currency),
        total_minor=_known(one.total_minor, other.total_minor),
        expires_at_us=_known(one.expires_at_us, other.expires_at_us),
        payment_id=_known(one.payment_id, other.payment_id),
        reason=_known(one.reason, other.reason),
        authorized_at_us=_earlier(one.authorized_at_us, other.authorized_at_us),
        refunded_minor=max(one.refunded_minor, other.refunded_minor),
        held=_known(one.held, other.held),
        moved_to=_known(one.moved_to, other.moved_to),
        updated_at_us=max(one.updated_at_us, other.updated_at_us),
        tickets={**one.tickets, **other.tickets},
        voided=_joined(one.voided, other.voided, max),
        refunds=_joined(one.refunds, other.refunds, merge_refunds),
        history={**one.history, **other.history},
    )


def merge_refunds(one: Refund, other: Refund) -> Refund:
    """What both views know of the same refund."""
    return Refund(
        requested_at_us=_earlier(one.requested_at_us, other.requested_at_us),
        done_at_us=_earlier(one.done_at_us, other.done_at_us),
        amount_minor=_known(one.amount_minor, other.amount_minor),
        credits_minor=_known(one.credits_minor, other.credits_minor),
        reason=_known(one.reason, other.reason),
    )


def merge_all(views: Iterable[Sale]) -> dict[str, Sale]:
    """The sales in ``views``, by order id."""
    sales: dict[str, Sale] = {}
    for view in views:
        sales[view.order_id] = merge(sales[view.order_id], view) if view.order_id in sales else view
    return sales


def _places(lines: Iterable[HoldLine]) -> tuple[Place, ...]:
    return tuple(sorted(Place(line.label, line.tier, line.unit_id) for line in lines))


def _joined(one: Mapping[str, V], other: Mapping[str, V], both: Callable[[V, V], V]) -> Mapping[str, V]:
    if not one or not other:
        return one or other
    joined = {**one, **other}
    return joined | {key: both(one[key], other[key]) for key in one.keys() & other.keys()}


def _known(one: T | None, other: T | None) -> T | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


def _earlier(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
