"""One difference of each kind, planted into a sound town. Each plant gives what the difference has to name."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from billing.ledger import bookkeeping, causes
from billing.ledger.accounts import clearing, sales
from billing.ledger.causes import Purchase
from billing.ledger.entries import Cause, Entry, entry
from billing.store import ledger
from tests.integration.audit.town import Town
from tests.support.buyer import Buyer
from ticketflow.events import new_id
from ticketflow.runtime.mariadb import execute, query


@dataclass(frozen=True)
class Planted:
    """``ids``: of the difference, by what they are; ``then``: what happens after the repair before all is well."""

    order_id: str | None
    ids: Mapping[str, set[str]] = field(default_factory=dict)
    then: Callable[[], Awaitable[object]] | None = None


@dataclass(frozen=True)
class Plant:
    """``also``: kinds that the same fault may show as well. ``everywhere``: it belongs to no event. ``waits``: a worker
    has to do the rest, and has none here."""

    sow: Callable[[Town], Awaitable[Planted]]
    also: frozenset[str]
    everywhere: bool
    waits: bool


PLANTS: dict[str, Plant] = {}
Sow = Callable[[Town], Awaitable[Planted]]


def plant(kind: str, *also: str, everywhere: bool = False, waits: bool = False) -> Callable[[Sow], Sow]:
    def register(sow: Sow) -> Sow:
        PLANTS[kind] = Plant(sow, frozenset(also), everywhere, waits)
        return sow

    return register


# -- seats


async def sell(town: Town, hold_id: str) -> tuple[str, set[str]]:
    """Reservation's store says that the places are sold: to which payment, and which places."""
    payment_id = new_id()
    await town.reserve(
        "UPDATE holds SET state = 'SOLD', payment_id = $2, ended_at = clock_timestamp() WHERE hold_id = $1",
        hold_id,
        payment_id,
    )
    await town.reserve("UPDATE hold_units SET sold = true WHERE hold_id = $1", hold_id)
    await town.reserve(
        "UPDATE units SET state = 'sold', hold_id = $1, held_until = NULL"
        " WHERE unit_id IN (SELECT unit_id FROM hold_units WHERE hold_id = $1)",
        hold_id,
    )
    return payment_id, await units_of(town, hold_id)


async def units_of(town: Town, hold_id: str) -> set[str]:
    async with town.reservation.acquire() as conn:
        return {row[0] for row in await conn.fetch("SELECT unit_id::text FROM hold_units WHERE hold_id = $1", hold_id)}


async def untold(town: Town) -> str:
    """A hold that reservation's store forgot to tell of."""
    wanted, town.free = town.free[:1], town.free[1:]
    hold_id = (await Buyer(town.replica.shop).hold(town.event, wanted)).hold_id
    await town.forget()
    return hold_id


@plant("seat_sold_order_failed")
async def seat_sold_order_failed(town: Town) -> Planted:
    order_id = await town.failed()
    _, units = await sell(town, order_id)
    return Planted(order_id, {"unit": units})


@plant("seat_sold_without_order")
async def seat_sold_without_order(town: Town) -> Planted:
    hold_id = await untold(town)
    payment_id, units = await sell(town, hold_id)
    return Planted(hold_id, {"payment": {payment_id}, "unit": units})


@plant("seat_sold_not_paid")
async def seat_sold_not_paid(town: Town) -> Planted:
    order_id = await town.hold()
    _, units = await sell(town, order_id)
    return Planted(order_id, {"unit": units})


@plant("order_confirmed_seat_not_sold")
async def order_confirmed_seat_not_sold(town: Town) -> Planted:
    order_id = await town.sold(1)
    await town.reserve("UPDATE units SET state = 'free', hold_id = NULL WHERE hold_id = $1", order_id)
    await town.reserve("UPDATE hold_units SET sold = false WHERE hold_id = $1", order_id)
    await town.reserve("UPDATE holds SET state = 'EXPIRED', payment_id = NULL WHERE hold_id = $1", order_id)
    return Planted(order_id, {"unit": await units_of(town, order_id), "ticket": await tickets_of(town, order_id)})


@plant("seats_not_returned")
async def seats_not_returned(town: Town) -> Planted:
    order_id = await town.sold(2)
    refund_id = await town.refunded(order_id)
    await town.change("UPDATE refunds SET seats_back = TRUE WHERE refund_id = %s", refund_id)
    (void,) = await town.rows("SELECT unit_id FROM tickets WHERE refund_id = %s", refund_id)
    return Planted(order_id, {"refund": {refund_id}, "unit": {void["unit_id"]}})


@plant("hold_without_order")
async def hold_without_order(town: Town) -> Planted:
    return Planted(await untold(town))


@plant("order_without_hold")
async def order_without_hold(town: Town) -> Planted:
    order_id = await town.hold(1)
    await town.reserve(
        "UPDATE units SET state = 'free', hold_id = NULL, held_until = NULL WHERE hold_id = $1", order_id
    )
    await town.reserve("DELETE FROM hold_units WHERE hold_id = $1", order_id)
    await town.reserve("DELETE FROM holds WHERE hold_id = $1", order_id)
    return Planted(order_id)


@plant("order_open_hold_ended")
async def order_open_hold_ended(town: Town) -> Planted:
    order_id = await town.hold(1)
    await town.release_untold(order_id)
    await town.forget()
    return Planted(order_id)


@plant("lines_differ")
async def lines_differ(town: Town) -> Planted:
    order_id = await town.hold(1)
    await town.change("UPDATE order_lines SET price_minor = price_minor + 1 WHERE order_id = %s", order_id)
    return Planted(order_id, {"unit": await units_of(town, order_id)})


# -- orders


async def tickets_of(town: Town, order_id: str) -> set[str]:
    return {row["ticket_id"] for row in await town.rows("SELECT ticket_id FROM tickets WHERE order_id = %s", order_id)}


@plant("tickets_missing")
async def tickets_missing(town: Town) -> Planted:
    order_id = await town.sold(2)
    row = (await town.rows("SELECT ticket_id, unit_id FROM tickets WHERE order_id = %s", order_id))[0]
    await town.change("DELETE FROM tickets WHERE ticket_id = %s", row["ticket_id"])
    await town.show("DELETE FROM sale_tickets WHERE ticket_id = $1", row["ticket_id"])
    return Planted(order_id, {"unit": {row["unit_id"]}})


@plant("tickets_extra")
async def tickets_extra(town: Town) -> Planted:
    order_id, ticket_id = await town.failed(1), new_id()
    (unit_id,) = await units_of(town, order_id)
    await town.change(
        "INSERT INTO tickets (ticket_id, order_id, unit_id, event_id, tier, label) VALUES (%s, %s, %s, %s, 't', 'l')",
        ticket_id,
        order_id,
        unit_id,
        town.event.event_id,
    )
    await town.show(
        "INSERT INTO sale_tickets (ticket_id, order_id, unit_id, tier, label) VALUES ($1, $2, $3, 't', 'l')",
        ticket_id,
        order_id,
        unit_id,
    )
    return Planted(order_id, {"ticket": {ticket_id}})


@plant("ticket_good_after_refund", "portal_tickets_differ")
async def ticket_good_after_refund(town: Town) -> Planted:
    order_id = await town.sold(2)
    refund_id = await town.refunded(order_id)
    await town.change("UPDATE tickets SET voided_at = NULL WHERE refund_id = %s", refund_id)
    (row,) = await town.rows("SELECT ticket_id FROM tickets WHERE refund_id = %s", refund_id)
    return Planted(order_id, {"ticket": {row["ticket_id"]}})


@plant("captured_not_total", "ledger_differs", "provider_captured_less")
async def captured_not_total(town: Town) -> Planted:
    order_id = await town.sold(1)
    await town.change("UPDATE payments SET amount_minor = amount_minor + 100 WHERE order_id = %s", order_id)
    return Planted(order_id, {"payment": {(await town.payment_of(order_id))["payment_id"]}})


@plant("order_state_differs", "portal_state_differs")
async def order_state_differs(town: Town) -> Planted:
    order_id = await town.sold(1)
    await town.change("UPDATE orders SET state = 'PARTIALLY_REFUNDED' WHERE order_id = %s", order_id)
    return Planted(order_id)


@plant("refunds_sum_differs")
async def refunds_sum_differs(town: Town) -> Planted:
    order_id = await town.sold(1)
    await town.change("UPDATE orders SET refunds_minor = 5 WHERE order_id = %s", order_id)
    return Planted(order_id)


@plant("payment_stuck")
async def payment_stuck(town: Town) -> Planted:
    order_id = await town.hold(1)
    payment_id = await town.pay(order_id)
    await town.forget()
    await town.change(
        "UPDATE payments SET changed_at = changed_at - INTERVAL 1 HOUR, due_at = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR"
        " WHERE payment_id = %s",
        payment_id,
    )
    return Planted(order_id, {"payment": {payment_id}}, then=lambda: town.world.run("nudge"))


@plant("refund_stuck", waits=True)
async def refund_stuck(town: Town) -> Planted:
    order_id = await town.sold(2)
    refund_id = await town.refunded(order_id, done=False)
    await town.change("UPDATE refunds SET changed_at = changed_at - INTERVAL 1 HOUR WHERE refund_id = %s", refund_id)
    return Planted(order_id, {"refund": {refund_id}})


@plant("refund_refused")
async def refund_refused(town: Town) -> Planted:
    order_id = await town.sold(2)
    refund_id = await town.refunded(order_id, done=False)
    await town.change("UPDATE refunds SET state = 'REFUSED' WHERE refund_id = %s", refund_id)
    return Planted(order_id, {"refund": {refund_id}})


@plant("webhook_unmatched", everywhere=True, waits=True)
async def webhook_unmatched(town: Town) -> Planted:
    webhook_id = new_id()
    await town.change(
        "INSERT INTO webhooks (webhook_id, provider, provider_event_id, kind, headers, body, state, received_at)"
        " VALUES (%s, 'sandbox', %s, 'k', '{}', '', 'UNMATCHED', UTC_TIMESTAMP(6) - INTERVAL 1 HOUR)",
        webhook_id,
        webhook_id,
    )
    return Planted(None, {"webhook": {webhook_id}})


@plant("topup_stuck", everywhere=True, waits=True)
async def topup_stuck(town: Town) -> Planted:
    topup_id = await town.topped_up("carl", 500, state="RETURNING", booked=False)
    await town.change("UPDATE topups SET changed_at = changed_at - INTERVAL 1 HOUR WHERE topup_id = %s", topup_id)
    return Planted(None, {"topup": {topup_id}})


# -- the provider


@plant("money_kept_without_tickets")
async def money_kept_without_tickets(town: Town) -> Planted:
    order_id = await town.failed(1)
    payment_id = (await town.payment_of(order_id))["payment_id"]
    return Planted(order_id, {"payment": {payment_id}, "authorization": {await town.take(payment_id, 2500)}})


@plant("authorization_left_open")
async def authorization_left_open(town: Town) -> Planted:
    order_id = await town.failed(1)
    payment_id = (await town.payment_of(order_id))["payment_id"]
    left = await town.take(payment_id, 2500, capture=False)
    return Planted(order_id, {"payment": {payment_id}, "authorization": {left}})


@plant("paid_twice")
async def paid_twice(town: Town) -> Planted:
    order_id = await town.sold(1)
    payment_id = (await town.payment_of(order_id))["payment_id"]
    return Planted(order_id, {"payment": {payment_id}, "authorization": {await town.take(payment_id, 2500)}})


async def _captured_instead(town: Town, amount_minor: int) -> Planted:
    order_id = await town.sold(1)
    payment_id = (await town.payment_of(order_id))["payment_id"]
    other = await town.take(payment_id, amount_minor)
    await town.change("UPDATE payments SET authorization_id = %s WHERE payment_id = %s", other, payment_id)
    return Planted(order_id, {"payment": {payment_id}, "authorization": {other}})


@plant("provider_captured_less", "paid_twice")
async def provider_captured_less(town: Town) -> Planted:
    return await _captured_instead(town, 2499)


@plant("provider_captured_more")
async def provider_captured_more(town: Town) -> Planted:
    planted = await _captured_instead(town, 2501)
    for one in await town.world.at_bank(*planted.ids["payment"]):
        if one["captured_minor"] == 2500:
            await town.world.provider.refund(one["authorization_id"], 2500, key=new_id())
    return planted


@plant("provider_refunded_less")
async def provider_refunded_less(town: Town) -> Planted:
    order_id = await town.sold(2)
    await town.refunded(order_id, at_provider=False)
    payment = await town.payment_of(order_id)
    return Planted(order_id, {"payment": {payment["payment_id"]}, "authorization": {str(payment["authorization_id"])}})


@plant("provider_refunded_more")
async def provider_refunded_more(town: Town) -> Planted:
    order_id = await town.sold(1)
    payment = await town.payment_of(order_id)
    await town.world.provider.refund(payment["authorization_id"], 2500, key=new_id())
    return Planted(order_id, {"payment": {payment["payment_id"]}, "authorization": {str(payment["authorization_id"])}})


@plant("topup_paid_not_credited", everywhere=True, waits=True)
async def topup_paid_not_credited(town: Town) -> Planted:
    return Planted(None, {"topup": {await town.topped_up("carl", 500, state="FAILED", booked=False)}})


@plant("topup_credited_not_paid", everywhere=True)
async def topup_credited_not_paid(town: Town) -> Planted:
    return Planted(None, {"topup": {await town.topped_up(new_id(), 500, paid=False)}})


# -- the ledger


def booking(change: Callable[[Entry], list[Entry]]) -> Any:
    """Meanwhile billing books something else."""
    original = bookkeeping.entries_of

    def changed(*arguments: Any) -> list[Entry]:
        return [new for one in original(*arguments) for new in change(one)]

    return patch("billing.orders.changes.entries_of", changed)


@plant("ledger_capture_missing")
async def ledger_capture_missing(town: Town) -> Planted:
    with booking(lambda one: []):
        order_id = await town.sold(1)
    return Planted(order_id, {"cause": {"capture"}, "payment": {(await town.payment_of(order_id))["payment_id"]}})


@plant("ledger_refund_missing")
async def ledger_refund_missing(town: Town) -> Planted:
    order_id = await town.sold(2)
    refund_id = await town.refunded(order_id, booked=False)
    return Planted(order_id, {"cause": {"refund"}, "refund": {refund_id}})


@plant("ledger_topup_missing", everywhere=True)
async def ledger_topup_missing(town: Town) -> Planted:
    topup_id = await town.topped_up("carl", 500, booked=False)
    await town.told_of(topup_id)
    return Planted(None, {"topup": {topup_id}})


@plant("credits_frozen_for_nothing")
async def credits_frozen_for_nothing(town: Town) -> Planted:
    await town.topped_up("dora", 1000)
    order_id = await town.hold(1, buyer_id="dora")
    with booking(lambda one: [] if one.cause is Cause.UNFREEZE else [one]):
        payment_id = await town.pay(order_id, card="tok_declined", credits_minor=1000)
    await town.carry()
    return Planted(order_id, {"cause": {"unfreeze"}, "payment": {payment_id}})


@plant("ledger_differs")
async def ledger_differs(town: Town) -> Planted:
    event_id = town.event.event_id

    def wrong(one: Entry) -> list[Entry]:
        amounts = [(clearing("sandbox"), 100), (sales(event_id), -100)]
        return [entry(one.cause, one.cause_id, "EUR", amounts, order_id=one.order_id, event_id=event_id)]

    with booking(wrong):
        order_id = await town.sold(1)
    return Planted(order_id, {"cause": {"capture"}, "payment": {(await town.payment_of(order_id))["payment_id"]}})


@plant("ledger_entry_unexplained")
async def ledger_entry_unexplained(town: Town) -> Planted:
    purchase, payment_id = Purchase(new_id(), town.event.event_id, "buyer-1", "EUR"), new_id()
    async with town.world.pool.transaction() as conn:
        made = causes.capture(purchase, payment_id, "sandbox", card_minor=100, credits_minor=0)
        await ledger.record(conn, [made])
    return Planted(purchase.order_id, {"cause": {"capture"}, "cause_id": {payment_id}})


@plant("balance_differs", everywhere=True)
async def balance_differs(town: Town) -> Planted:
    await town.sold(1)
    account = f"sales:{town.event.event_id}"
    await town.change(
        "UPDATE ledger_balances SET balance_minor = balance_minor + 7 WHERE account = %s LIMIT 1", account
    )
    return Planted(None, {"account": {account}, "currency": {"EUR"}})


async def write(town: Town, cause: str, lines: Mapping[str, int], event_id: str | None = None) -> str:
    """An entry that billing would not write: its id."""
    async with town.world.pool.transaction() as conn:
        await execute(
            conn,
            "INSERT INTO ledger_entries (cause, cause_id, currency, event_id) VALUES (%s, %s, 'EUR', %s)",
            (cause, new_id(), event_id),
        )
        (row,) = await query(conn, "SELECT LAST_INSERT_ID() AS id")
        for number, (account, minor) in enumerate(lines.items()):
            await execute(
                conn, "INSERT INTO ledger_postings VALUES (%s, %s, %s, %s)", (row["id"], number, account, minor)
            )
    return str(row["id"])


WRONG_ENTRY = ("balance_differs", "ledger_entry_unexplained")


@plant("unbalanced_entry", *WRONG_ENTRY, everywhere=True)
async def unbalanced_entry(town: Town) -> Planted:
    return Planted(None, {"entry": {await write(town, "fee", {"fees:sandbox": 3})}, "currency": {"EUR"}})


@plant("held_below_zero", *WRONG_ENTRY, everywhere=True)
async def held_below_zero(town: Town) -> Planted:
    buyer = new_id()
    await write(town, "fee", {f"wallet:{buyer}": 3, "clearing:sandbox": -3})
    return Planted(None, {"account": {f"wallet:{buyer}"}, "currency": {"EUR"}})


@plant("frozen_overdrawn", *WRONG_ENTRY, "held_below_zero", everywhere=True)
async def frozen_overdrawn(town: Town) -> Planted:
    buyer = new_id()
    await write(town, "unfreeze", {f"frozen:{buyer}": 3, f"wallet:{buyer}": -3})
    return Planted(None, {"account": {f"frozen:{buyer}"}, "currency": {"EUR"}})


@plant("wrong_event", *WRONG_ENTRY, everywhere=True)
async def wrong_event(town: Town) -> Planted:
    _, entry_id = await sold_in_the_books_of(town, new_id())
    return Planted(None, {"entry": {entry_id}, "currency": {"EUR"}})


async def sold_in_the_books_of(town: Town, other: str) -> tuple[str, str]:
    """A sale that billing booked as another event's: order and entry."""
    event_id = town.event.event_id

    def wrong(one: Entry) -> list[Entry]:
        amounts = [(clearing("sandbox"), 2500), (sales(other), -2500)]
        return [entry(one.cause, one.cause_id, "EUR", amounts, order_id=one.order_id, event_id=event_id)]

    with booking(wrong):
        order_id = await town.sold(1)
    (row,) = await town.rows("SELECT entry_id FROM ledger_entries WHERE order_id = %s", order_id)
    return order_id, str(row["entry_id"])


# -- the portal


@plant("portal_missing")
async def portal_missing(town: Town) -> Planted:
    order_id = await town.sold(1)
    async with town.portal.acquire() as conn:
        tables = await conn.fetch(
            "SELECT conrelid::regclass::text FROM pg_constraint WHERE confrelid = 'sales'::regclass AND contype = 'f'"
        )
    for table in [*(row[0] for row in tables), "sales"]:
        await town.show(f"DELETE FROM {table} WHERE order_id = $1", order_id)
    return Planted(order_id)


@plant("portal_state_differs")
async def portal_state_differs(town: Town) -> Planted:
    order_id = await town.sold(1)
    await town.show("UPDATE sales SET state = 'PAYING' WHERE order_id = $1", order_id)
    return Planted(order_id)


@plant("portal_tickets_differ")
async def portal_tickets_differ(town: Town) -> Planted:
    order_id = await town.sold(1)
    await town.show("DELETE FROM sale_tickets WHERE order_id = $1", order_id)
    return Planted(order_id, {"ticket": await tickets_of(town, order_id)})


@plant("portal_unknown_order")
async def portal_unknown_order(town: Town) -> Planted:
    order_id = new_id()
    await town.show(
        "INSERT INTO sales (order_id, state, event_id) VALUES ($1, 'PENDING', $2)", order_id, town.event.event_id
    )
    return Planted(order_id)
