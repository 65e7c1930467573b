"""Repairs in billing's store: tickets, and workers that are made to look at once. MariaDB."""

from collections.abc import Awaitable, Callable
from typing import Any

from audit.money.hands import Hands, RepairRefused
from audit.money.judge_orders import money_is_back
from audit.money.sides import PAID, Deal, Difference
from ticketflow.events import Ticket, TicketIssued, TicketsVoided, new_id
from ticketflow.runtime.mariadb import execute, query

Conn = Any
REASON = "audit"


async def issue(hands: Hands, one: Difference, deal: Deal) -> str:
    order, hold = deal.order, deal.hold
    assert order is not None
    sold = {place.unit_id for place in hold.sold} if hold is not None else set()
    wanted = [line for line in order.lines if line.unit_id in one.ids_of("unit")]
    if not all(line.unit_id in sold for line in wanted):
        raise RepairRefused("its places are not sold to it: see order_confirmed_seat_not_sold")
    async with hands.billing(one, f"issued {len(wanted)} tickets") as conn:
        state = await query(conn, "SELECT state FROM orders WHERE order_id = %s", (order.order_id,))
        if state[0]["state"] not in PAID:
            raise RepairRefused(f"the order is {state[0]['state']}")
        for line in wanted:
            await execute(
                conn,
                "INSERT INTO tickets (ticket_id, order_id, unit_id, event_id, tier, label)"
                " VALUES (%s, %s, %s, %s, %s, %s)",
                (new_id(), order.order_id, line.unit_id, order.event_id, line.tier, line.label),
            )
        told = TicketIssued(
            order_id=order.order_id, buyer_id=order.buyer_id, tickets=await tickets(conn, order.order_id)
        )
        await hands.tell_from_billing(conn, order.order_id, [told])
    return f"issued {len(wanted)} tickets at billing"


async def tickets(conn: Conn, order_id: str) -> list[Ticket]:
    """All of an order, as their event has them."""
    rows = await query(
        conn, "SELECT ticket_id, unit_id, tier, label FROM tickets WHERE order_id = %s ORDER BY ticket_id", (order_id,)
    )
    return [Ticket(**row) for row in rows]


async def void(hands: Hands, one: Difference, deal: Deal) -> str:
    order = deal.order
    assert order is not None
    unnamed = [t for t in order.good if t.refund_id is None and t.ticket_id in one.ids_of("ticket")]
    if order.state in PAID and unnamed and not money_is_back(order):
        raise RepairRefused("no refund was for them, and not all its money is back: see order_state_differs")
    refunds = {refund.refund_id: refund for refund in order.refunds}
    last = order.refunds[-1].refund_id if order.refunds else order.order_id
    by_refund: dict[str, list[Any]] = {}
    for ticket in order.good:
        if ticket.ticket_id in one.ids_of("ticket"):
            by_refund.setdefault(ticket.refund_id or last, []).append(ticket)
    async with hands.billing(one, f"made void: {', '.join(one.ids_of('ticket'))}") as conn:
        for refund_id, those in by_refund.items():
            ids = [ticket.ticket_id for ticket in those]
            await execute(
                conn,
                "UPDATE tickets SET voided_at = UTC_TIMESTAMP(6), refund_id = %s"
                " WHERE ticket_id IN %s AND voided_at IS NULL",
                (refund_id, ids),
            )
            refund = refunds.get(refund_id)
            told = TicketsVoided(
                order_id=order.order_id,
                refund_id=refund_id,
                ticket_ids=ids,
                unit_ids=[ticket.unit_id for ticket in those],
                seats_back=refund is not None and refund.seats_back,
                reason=REASON if refund is None else refund.reason,
            )
            await hands.tell_from_billing(conn, order.order_id, [told])
    return f"made {len(one.ids_of('ticket'))} tickets void at billing"


async def return_topup(hands: Hands, one: Difference, _: Deal | None) -> str:
    async with hands.billing(one, "returning it again") as conn:
        due = await execute(
            conn,
            "UPDATE topups SET state = 'RETURNING', reason = %s, changed_at = UTC_TIMESTAMP(6),"
            " due_at = UTC_TIMESTAMP(6), attempts = 0 WHERE topup_id = %s AND state IN ('FAILED', 'RETURNED')",
            (REASON, one.id_of("topup")),
        )
        if due == 0:
            raise RepairRefused("it is credited: refund at the provider what was paid beyond it")
    return "it is RETURNING: its worker gives it back"


def look_at_once(
    table: str, column: str, states: tuple[str, ...]
) -> Callable[[Hands, Difference, Deal | None], Awaitable[str]]:
    """The worker of that table, which takes what is due, takes it now."""
    what = column.removesuffix("_id")

    async def wake(hands: Hands, one: Difference, _: Deal | None) -> str:
        async with hands.billing(one, "due at once") as conn:
            due = await execute(
                conn,
                f"UPDATE {table} SET due_at = UTC_TIMESTAMP(6), attempts = 0"  # noqa: S608  constants
                f" WHERE {column} = %s AND state IN %s",
                (one.id_of(what), list(states)),
            )
            if due == 0:
                raise RepairRefused("it is no longer in that state, or due already")
        return f"its worker looks at {what} {one.id_of(what)} at once"

    return wake
