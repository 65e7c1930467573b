"""Payments and captures that meet are written down together, each as if it were alone."""

import asyncio
from typing import Any

from billing.ledger import causes
from billing.store import book, webhooks
from billing.webhooks.door import received
from tests.integration.billing.books import Books, a_purchase
from tests.integration.billing.world import Sale, World
from tests.support.waiting import wait_until
from ticketflow.events import OrderConfirmed, PaymentAuthorized, TicketIssued, new_id
from ticketflow.runtime.mariadb import query

MANY = 12


async def placed(world: World, count: int = MANY) -> list[Sale]:
    sales = [Sale(world, new_id(), 1 + number % 3, 60, f"buyer-{number}") for number in range(count)]
    await world.feed(*(sale.event(sale.hold) for sale in sales))
    return sales


async def test_many_who_pay_at_once_have_their_own_payment_tickets_and_entry_each(world: World) -> None:
    sales = await placed(world)
    paid = await asyncio.gather(*(sale.pay() for sale in sales))
    for sale, answer in zip(sales, paid, strict=True):
        assert (answer.status, answer.body["order_id"]) == (201, sale.hold_id)
        assert answer.body["amount_minor"] == sale.hold.total_minor
        (at_bank,) = await world.at_bank(answer.body["payment_id"])
        (row,) = await world.rows(
            "SELECT authorization_id FROM payments WHERE payment_id = %s", answer.body["payment_id"]
        )
        assert row["authorization_id"] == at_bank["authorization_id"]
    for sale, answer in zip(sales, paid, strict=True):
        await sale.sold(answer.body["payment_id"])
    await world.run("capture")
    for sale in sales:
        await sale.ends("CONFIRMED")
        told = [type(payload) for payload in await world.staged(sale.hold_id)][1:]
        assert told == [PaymentAuthorized, TicketIssued, OrderConfirmed]
        (issued,) = [payload for payload in await world.staged(sale.hold_id) if isinstance(payload, TicketIssued)]
        assert [ticket.unit_id for ticket in issued.tickets] == [line.unit_id for line in sale.hold.lines]


async def test_an_order_that_somebody_holds_keeps_only_its_own_buyer_waiting(world: World) -> None:
    held, *others = await placed(world)
    async with world.pool.transaction(timeout_s=60) as conn:
        assert await book.lock(conn, held.hold_id) is not None
        async with world.thinking() as answered:
            paying: list[asyncio.Task[Any]] = [asyncio.create_task(sale.pay()) for sale in others]
            started = "SELECT COUNT(*) AS n FROM payments WHERE state = 'STARTED'"

            async def all_begun() -> bool:
                await query(conn, "SELECT 1")  # or the server ends a transaction that says nothing
                return bool((await world.rows(started))[0]["n"] == len(others))

            await wait_until(all_begun)
            late = asyncio.create_task(held.pay())
            answered()

            async def all_told() -> bool:
                await query(conn, "SELECT 1")
                return all(task.done() for task in paying)

            await wait_until(all_told)
            assert not late.done()
    assert {task.result().status for task in paying} == {201}
    assert (await late).status == 201


async def test_the_clock_of_a_decision_is_read_when_the_order_is_locked(world: World) -> None:
    sale = await world.placed()
    async with world.pool.transaction() as first:
        await book.lock(first, sale.hold_id)
        async with world.pool.transaction() as second:
            locking = asyncio.create_task(book.lock(second, sale.hold_id))
            blocked = (
                "SELECT COUNT(*) AS n FROM information_schema.processlist"
                " WHERE info LIKE '%FORCE INDEX (PRIMARY)%' AND id <> CONNECTION_ID()"
            )

            async def waits() -> bool:
                return bool((await query(first, blocked))[0]["n"] == 1)

            await wait_until(waits)
            released = (await query(first, "SELECT UTC_TIMESTAMP(6) AS now"))[0]["now"]
            await first.rollback()
            record = await locking
    assert record is not None
    assert record.now >= released


async def test_of_a_shared_account_what_is_written_together_goes_to_one_part(books: Books) -> None:
    event_id, bought = new_id(), [new_id() for _ in range(40)]
    entries = [
        causes.capture(a_purchase(f"buyer-{n}", event_id), payment_id, "sandbox", card_minor=100 + n, credits_minor=0)
        for n, payment_id in enumerate(bought)
    ]
    assert await books.record(*entries) == 40
    assert await books.record(*entries[:20]) == 0  # once more changes nothing
    rows = await books.rows("SELECT account, balance_minor FROM ledger_balances ORDER BY account")
    total = sum(100 + n for n in range(40))
    assert [(row["account"], row["balance_minor"]) for row in rows] == [
        ("clearing:sandbox", total),
        (f"sales:{event_id}", -total),
    ]
    assert await books.faults() == []


async def test_a_webhook_from_which_nothing_is_to_be_learnt_is_applied_at_the_door(world: World) -> None:
    sale = await world.placed()
    payment_id = (await sale.pay()).body["payment_id"]
    (at_bank,) = await world.at_bank(payment_id)

    def telling(authorization_id: str) -> webhooks.Received:
        one = received("sandbox", None, {}, new_id().encode())
        return webhooks.Received(
            **{name: getattr(one, name) for name in ("webhook_id", "provider", "provider_event_id", "headers", "body")},
            kind="authorized",
            reference=payment_id,
            authorization_id=authorization_id,
        )

    known, other = telling(at_bank["authorization_id"]), telling("auth_other")
    async with world.pool.acquire() as conn:
        assert await webhooks.store(conn, known) == "APPLIED"
        assert await webhooks.store(conn, other) == "RECEIVED"
        again = webhooks.Received(**(vars(known) | {"webhook_id": new_id()}))
        assert await webhooks.store(conn, again) is None
        assert [one.webhook_id for one in await webhooks.due(conn, 10)] == [other.webhook_id]
    (row,) = await world.rows("SELECT due_at, repeats FROM webhooks WHERE webhook_id = %s", known.webhook_id)
    assert (row["due_at"], row["repeats"]) == (None, 1)


async def test_all_who_wait_for_their_orders_share_one_look(world: World) -> None:
    late = [Sale(world, new_id(), 1, 60, f"buyer-{number}") for number in range(MANY)]
    world.arrivals.wait_s = 30
    paying = [asyncio.create_task(sale.pay()) for sale in late]
    await wait_until(lambda: world.arrivals.waiting == MANY)
    assert world.pool.connections.in_use <= 1
    await world.feed(*(sale.event(sale.hold) for sale in late))
    assert {answer.status for answer in await asyncio.gather(*paying)} == {201}
    await wait_until(lambda: world.arrivals.waiting == 0)
