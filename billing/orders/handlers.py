"""From the events of reservation to orders. Each handler writes in the inbox's transaction and never commits.

All of them take many events at once: one statement for each step, whatever their number. What they write last goes
with what the inbox asks next, unless it is much.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from billing.orders import rules as orders
from billing.orders.changes import Changes, Decide, Wanted
from billing.orders.rules import Code, Fact, Order
from billing.store import book, order_rows
from billing.store.order_rows import Placed
from ticketflow.delivery import Batched, Handler, Poison
from ticketflow.events import (
    Envelope,
    HoldExpired,
    HoldLost,
    HoldPlaced,
    HoldReleased,
    HoldReturned,
    HoldSold,
    OrderPending,
    Payload,
    payload_of,
)
from ticketflow.runtime.correlation import Correlation
from ticketflow.runtime.mariadb import Ahead

Conn = Any
P = TypeVar("P", bound=Payload)

PENDING = (Fact(Code.ORDER_PENDING),)


class TwoKeys(Exception):
    """Events of different keys are about the same order: one by one they can be applied."""


def handlers(changes: Changes) -> Mapping[str, Handler[Conn]]:
    """By kind. They raise Poison for an event that can never be applied here."""

    async def placed(conn: Conn, arrived: Sequence[tuple[Placed, Envelope]]) -> None:
        _apart([one.hold.hold_id for one, _ in arrived])
        correlations = {one.hold.hold_id: _correlation(envelope) for one, envelope in arrived}
        async with Ahead(conn) as writes:
            made = await order_rows.insert_placed(conn, writes, [one for one, _ in arrived])
            await changes.stage_all(
                writes, [(hold.hold_id, [_pending(hold)], correlations[hold.hold_id]) for hold in made]
            )
            await order_rows.write_histories(writes, [(hold.hold_id, PENDING) for hold in made])

    async def released(conn: Conn, envelopes: Sequence[Envelope]) -> None:
        await apply(conn, [_wanted(e, _payload(e, HoldReleased).hold_id, _released) for e in envelopes])

    async def expired(conn: Conn, envelopes: Sequence[Envelope]) -> None:
        await apply(conn, [_wanted(e, _payload(e, HoldExpired).hold_id, _expired) for e in envelopes])

    async def sold(conn: Conn, envelopes: Sequence[Envelope]) -> None:
        holds = [_payload(envelope, HoldSold) for envelope in envelopes]
        moved = {hold.hold_id: sum(line.price_minor for line in hold.moved_to) for hold in holds if hold.moved_to}
        totals = await book.totals_minor(conn, moved)
        for hold_id, moved_minor in moved.items():
            if moved_minor != totals.get(hold_id):
                raise Poison(f"the places that hold {hold_id} has moved to do not add up to its total")
        await apply(conn, [_sold(envelope, hold) for envelope, hold in zip(envelopes, holds, strict=True)])

    async def lost(conn: Conn, envelopes: Sequence[Envelope]) -> None:
        await apply(conn, [_lost(envelope, _payload(envelope, HoldLost)) for envelope in envelopes])

    async def returned(conn: Conn, envelopes: Sequence[Envelope]) -> None:
        order_ids = [_payload(envelope, HoldReturned).hold_id for envelope in envelopes]
        _apart(order_ids)
        there = await changes.note_all(conn, order_ids, Fact(Code.SEATS_RETURNED))
        for order_id in order_ids:
            if order_id not in there:
                raise Poison(f"there is no order {order_id}")

    async def apply(conn: Conn, wanted: Sequence[Wanted]) -> None:
        _apart([one.order_id for one in wanted])
        there = await changes.apply_all(conn, wanted, defer=True)
        for one in wanted:
            if one.order_id not in there:
                raise Poison(f"there is no order {one.order_id}: its hold.placed was never applied")

    by_payload: dict[type[Payload], Callable[[Conn, Sequence[Envelope]], Awaitable[None]]] = {
        HoldReleased: released,
        HoldExpired: expired,
        HoldSold: sold,
        HoldLost: lost,
        HoldReturned: returned,
    }
    by_kind = {payload.kind: Batched(many) for payload, many in by_payload.items()}
    return by_kind | {HoldPlaced.kind: Batched(placed, _placed)}


def _placed(envelope: Envelope) -> Placed:
    hold = _payload(envelope, HoldPlaced)
    if sum(line.price_minor for line in hold.lines) != hold.total_minor:
        raise Poison(f"the lines of hold {hold.hold_id} do not add up to its total, {hold.total_minor}")
    return order_rows.placed(hold, envelope.correlation_id)


def _pending(hold: HoldPlaced) -> OrderPending:
    return OrderPending(
        order_id=hold.hold_id,
        event_id=hold.event_id,
        event_name=hold.event_name,
        buyer_id=hold.buyer_id,
        currency=hold.currency,
        total_minor=hold.total_minor,
        lines=hold.lines,
        expires_at_us=hold.expires_at_us,
    )


def _released(order: Order) -> orders.Decision:
    return orders.hold_ended(order, "released")


def _expired(order: Order) -> orders.Decision:
    return orders.hold_ended(order, "expired")


def _sold(envelope: Envelope, hold: HoldSold) -> Wanted:
    moved_to = hold.moved_to or []
    return _wanted(
        envelope,
        hold.hold_id,
        lambda order: orders.seats_sold(order, hold.payment_id, moved=bool(moved_to)),
        moved_to,
    )


def _lost(envelope: Envelope, hold: HoldLost) -> Wanted:
    return _wanted(envelope, hold.hold_id, lambda order: orders.seats_lost(order, hold.payment_id, hold.reason))


def _wanted(envelope: Envelope, order_id: str, decide: Decide, moved_to: Sequence[Any] = ()) -> Wanted:
    return Wanted(order_id, decide, _correlation(envelope), moved_to)


def _correlation(envelope: Envelope) -> Correlation:
    return Correlation(envelope.correlation_id, envelope.traceparent)


def _apart(order_ids: Sequence[str]) -> None:
    """Delivery keeps the keys of a batch apart; an event's key is its order, as long as its sender is right."""
    if len(set(order_ids)) != len(order_ids):
        raise TwoKeys("two events of one batch have different keys and the same order")


def _payload(envelope: Envelope, shape: type[P]) -> P:
    payload = payload_of(envelope)
    if not isinstance(payload, shape):
        raise Poison(f"{envelope.kind} carries no {shape.__name__}")
    return payload
