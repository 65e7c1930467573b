"""From the events of reservation to orders. Each handler writes in the inbox's transaction and never commits."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from billing.orders import rules as orders
from billing.orders.changes import Changes, Decide
from billing.orders.rules import Code, Fact
from billing.store import book
from ticketflow.delivery import Handler, Poison
from ticketflow.events import (
    Envelope,
    HoldExpired,
    HoldLine,
    HoldLost,
    HoldPlaced,
    HoldReleased,
    HoldReturned,
    HoldSold,
    OrderPending,
    Payload,
    payload_of,
)

Conn = Any
P = TypeVar("P", bound=Payload)


def handlers(changes: Changes) -> Mapping[str, Handler[Conn]]:
    """By kind. They raise Poison for an event that can never be applied here."""

    async def placed(conn: Conn, envelope: Envelope) -> None:
        hold = _payload(envelope, HoldPlaced)
        if sum(line.price_minor for line in hold.lines) != hold.total_minor:
            raise Poison(f"the lines of hold {hold.hold_id} do not add up to its total, {hold.total_minor}")
        if not await book.insert_order(conn, hold, envelope.correlation_id):
            return
        pending = OrderPending(
            order_id=hold.hold_id,
            event_id=hold.event_id,
            event_name=hold.event_name,
            buyer_id=hold.buyer_id,
            currency=hold.currency,
            total_minor=hold.total_minor,
            lines=hold.lines,
            expires_at_us=hold.expires_at_us,
        )
        await changes.stage(conn, hold.hold_id, [pending])

    async def released(conn: Conn, envelope: Envelope) -> None:
        hold = _payload(envelope, HoldReleased)
        await apply(conn, hold.hold_id, lambda order: orders.hold_ended(order, "released"))

    async def expired(conn: Conn, envelope: Envelope) -> None:
        hold = _payload(envelope, HoldExpired)
        await apply(conn, hold.hold_id, lambda order: orders.hold_ended(order, "expired"))

    async def sold(conn: Conn, envelope: Envelope) -> None:
        hold = _payload(envelope, HoldSold)
        moved_to = hold.moved_to or []
        if moved_to and sum(line.price_minor for line in moved_to) != await book.total_minor(conn, hold.hold_id):
            raise Poison(f"the places that hold {hold.hold_id} has moved to do not add up to its total")
        await apply(
            conn,
            hold.hold_id,
            lambda order: orders.seats_sold(order, hold.payment_id, moved=bool(moved_to)),
            moved_to,
        )

    async def lost(conn: Conn, envelope: Envelope) -> None:
        hold = _payload(envelope, HoldLost)
        await apply(conn, hold.hold_id, lambda order: orders.seats_lost(order, hold.payment_id, hold.reason))

    async def returned(conn: Conn, envelope: Envelope) -> None:
        hold = _payload(envelope, HoldReturned)
        if not await changes.note(conn, hold.hold_id, Fact(Code.SEATS_RETURNED)):
            raise Poison(f"there is no order {hold.hold_id}")

    async def apply(conn: Conn, order_id: str, decide: Decide, moved_to: Sequence[HoldLine] = ()) -> None:
        if await changes.apply(conn, order_id, decide, moved_to=moved_to) is None:
            raise Poison(f"there is no order {order_id}: its hold.placed was never applied")

    by_payload: dict[type[Payload], Callable[[Conn, Envelope], Any]] = {
        HoldPlaced: placed,
        HoldReleased: released,
        HoldExpired: expired,
        HoldSold: sold,
        HoldLost: lost,
        HoldReturned: returned,
    }
    return {payload.kind: handler for payload, handler in by_payload.items()}


def _payload(envelope: Envelope, shape: type[P]) -> P:
    payload = payload_of(envelope)
    if not isinstance(payload, shape):
        raise Poison(f"{envelope.kind} carries no {shape.__name__}")
    return payload
