"""Repairs of what billing keeps of an order's refunds: its state, their sum, and those that the provider refused.

Each looks again under the order's lock, with the eyes of the check: what has changed since is not touched.
"""

from dataclasses import replace
from typing import Any

from audit.money.hands import Hands, RepairRefused
from audit.money.judge_orders import money_is_back, state_due
from audit.money.judge_provider import judge_provider
from audit.money.read_billing import orders
from audit.money.repair_orders import tickets
from audit.money.repair_portal import facts_of
from audit.money.sides import PAID, Deal, Difference, Order
from billing.store.refunds import try_again
from ticketflow.runtime.mariadb import execute, query

Conn = Any


async def set_state(hands: Hands, one: Difference, deal: Deal) -> str:
    assert deal.order is not None
    due = state_due(deal.order)
    async with hands.billing(one, f"{deal.order.state} is now {due}") as conn:
        order = await _locked(conn, one)
        if (order.state, state_due(order)) != (deal.order.state, due) or order.state not in PAID:
            raise RepairRefused("it has changed meanwhile: look again")
        _certain(order)
        await execute(conn, "UPDATE orders SET state = %s WHERE order_id = %s", (due, order.order_id))
        facts = facts_of(replace(order, state=due), await tickets(conn, order.order_id))
        await hands.tell_from_billing(conn, order.order_id, facts)
    return f"{deal.order.state} is now {due}, and the order's facts are told again"


async def set_sum(hands: Hands, one: Difference, deal: Deal) -> str:
    assert deal.order is not None
    refunds_minor = _sum(deal.order)
    said = f"refunds_minor was {deal.order.refunds_minor}, and is now {refunds_minor}"
    if any(found.kind == "provider_refunded_more" for found in judge_provider(deal)):
        raise RepairRefused("the provider gave back more than its refunds: see provider_refunded_more")
    async with hands.billing(one, said) as conn:
        order = await _locked(conn, one)
        if (order.refunds_minor, _sum(order)) != (deal.order.refunds_minor, refunds_minor):
            raise RepairRefused("it has changed meanwhile: look again")
        if not 0 <= refunds_minor <= order.total_minor:
            raise RepairRefused(f"its refunds make {refunds_minor}, and it was sold for {order.total_minor}")
        _none_lost(order)
        await _none_only_in_the_ledger(conn, order)
        await execute(conn, "UPDATE orders SET refunds_minor = %s WHERE order_id = %s", (refunds_minor, order.order_id))
    return said


async def ask_again(hands: Hands, one: Difference, _: Deal) -> str:
    """As `POST /api/v1/admin/refunds/{refund_id}/retry` does it: before it asks for money again, its worker asks
    whether the refused try has not given it back after all."""
    async with hands.billing(one, "asked for again") as conn:
        if not await try_again(conn, one.id_of("refund")):
            raise RepairRefused("it is no longer refused")
    return "it is REQUESTED again: its worker asks the provider at once"


async def _locked(conn: Conn, one: Difference) -> Order:
    """As it stands now. Its row is ours: hands.billing has written it."""
    assert one.order_id is not None
    found = await orders(conn, [one.order_id])
    if one.order_id not in found:
        raise RepairRefused("the order is not there any more")
    return found[one.order_id]


def _certain(order: Order) -> None:
    """Raises RepairRefused while another difference has to be mended before the state can be told."""
    captured_minor = sum(payment.amount_minor for payment in order.captured)
    if captured_minor != order.total_minor:
        raise RepairRefused("what was captured is not its total: see captured_not_total")
    undead = any(ticket.refund_id is not None for ticket in order.good)
    if undead or (order.good and captured_minor and money_is_back(order)):
        raise RepairRefused("tickets of it are good although a refund was for them: see ticket_good_after_refund")
    _none_lost(order)


def _none_lost(order: Order) -> None:
    """A refund that is not there any more would be made a second time."""
    lost = {t.refund_id or "none" for t in order.tickets if t.void} - {refund.refund_id for refund in order.refunds}
    if lost:
        raise RepairRefused(f"tickets of it are void for refunds that are not there: {', '.join(sorted(lost))}")


async def _none_only_in_the_ledger(conn: Conn, order: Order) -> None:
    written = await query(
        conn,
        "SELECT cause_id FROM ledger_entries WHERE event_id = %s AND order_id = %s"
        " AND cause IN ('refund', 'refund_credits')",
        (order.event_id, order.order_id),
    )
    lost = {row["cause_id"] for row in written} - {refund.refund_id for refund in order.refunds}
    if lost:
        raise RepairRefused(f"the ledger knows of refunds that are not there: {', '.join(sorted(lost))}")


def _sum(order: Order) -> int:
    return sum(refund.amount_minor for refund in order.refunds)
