"""What a batch takes before it writes: what it waited for is read as it is then, and plans stay good."""

import asyncio
from collections.abc import Sequence

from portal import store, store_streams
from portal.claiming import Claimed, claim
from portal.following import Source
from portal.positions import Position
from portal.store_fold import fold
from portal.understanding import Fact, understand
from tests.integration.portal.conftest import Portal
from tests.support.waiting import wait_until
from tests.unit.portal.events import SaleEvents
from tests.unit.portal.folding import folded
from ticketflow.events import Envelope, encode
from ticketflow.runtime.amqp import Delivery
from ticketflow.runtime.postgres import Connection

STREAM = "billing"
EPOCH = 3


async def claimed(conn: Connection, events: Sequence[Envelope], first_seq: int, epoch: int = EPOCH) -> Claimed:
    facts = {}
    for event in events:
        fact = understand(Delivery(1, event.kind, {}, encode(event), redelivered=False))
        assert isinstance(fact, Fact)
        facts[event.id] = fact
    sources = [Source(STREAM, epoch, seq, event.id) for seq, event in enumerate(events, first_seq)]
    return await claim(conn, sources, facts, STREAM)


async def folded_in(conn: Connection, events: Sequence[Envelope], first_seq: int) -> Claimed:
    """A whole batch, but for its COMMIT."""
    taken = await claimed(conn, events, first_seq)
    views = {event.key: folded(event) for event in events if event.id in taken.new}
    await fold(conn, views, taken.heads)
    position = taken.courses[STREAM].position
    assert position is not None
    await store_streams.save_position(conn, STREAM, position)
    return taken


async def seqs(portal: Portal) -> dict[str, int | None]:
    async with portal.pool.acquire() as conn:
        return {row[0]: row[1] for row in await conn.fetch("SELECT event_id::text, seq FROM delivery_inbox")}


async def somebody_waits(portal: Portal) -> bool:
    async with portal.pool.acquire() as conn:
        return bool(await conn.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))


async def test_who_had_to_wait_sees_what_the_other_has_written(portal: Portal) -> None:
    sales = [SaleEvents(f"buyer-{n}") for n in range(4)]
    old, twice, moved, new = [sale.sold() for sale in sales]
    async with portal.pool.transaction() as conn:
        await folded_in(conn, [old[0]], 1)
    async with portal.pool.transaction() as first:
        await folded_in(first, [twice[0], old[1], moved[0]], 2)

        async def second() -> Claimed:
            async with portal.pool.transaction() as conn:
                return await folded_in(conn, [twice[0], old[2], moved[1], new[0]], 5)

        waiting = asyncio.create_task(second())
        await wait_until(lambda: somebody_waits(portal))
    taken = await asyncio.wait_for(waiting, 20)

    assert taken.new == {old[2].id, moved[1].id, new[0].id}, "the first was recorded meanwhile"
    assert [head.state for head in taken.heads if head.order_id == sales[0].order_id] == ["PAYING"], (
        "as the first left it"
    )
    position = taken.courses[STREAM].position
    assert position == Position(EPOCH, 8, highest=8)
    assert await portal.sale(sales[2].order_id) == folded(*moved[:2]), "made meanwhile, and joined all the same"
    assert await portal.sale(sales[0].order_id) == folded(*old[:3])


async def test_of_another_epoch_no_seq_is_recorded(portal: Portal) -> None:
    ours, strange = SaleEvents().sold(), SaleEvents().sold()
    async with portal.pool.transaction() as conn:
        await folded_in(conn, ours[:1], 1)
        taken = await claimed(conn, strange[:2], 2, epoch=EPOCH - 1)

    assert taken.new == {event.id for event in strange[:2]}
    assert [source.seq for source in taken.courses[STREAM].strays] == [2, 3]
    assert await seqs(portal) == {ours[0].id: 1, strange[0].id: None, strange[1].id: None}


async def test_plans_made_for_empty_tables_do_not_walk_over_full_ones(portal: Portal) -> None:
    tables = ["sales", "delivery_inbox", "sale_history", "sale_tickets", "sale_voided", "sale_refunds"]
    seq = 1

    async def walked(conn: Connection) -> dict[str, int]:
        """Rows that were read in the order in which they lie."""
        rows = await conn.fetch(
            "SELECT relname, seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = ANY($1)", tables
        )
        return {row["relname"]: row["seq_tup_read"] for row in rows}

    async def sell(conn: Connection) -> None:
        nonlocal seq
        sale = SaleEvents()
        for event in [*sale.sold(), sale.tickets_voided(sale.payment_id)]:
            await folded_in(conn, [event], seq)
            seq += 1
        assert (await store.sale(conn, sale.order_id)) is not None

    async with portal.pool.transaction() as conn:
        for _ in range(8):  # five plans of their own, then one for all
            await sell(conn)
        for statement in (
            "INSERT INTO sales (order_id, state) SELECT gen_random_uuid(), 'PENDING' FROM generate_series(1, 5000)",
            "INSERT INTO delivery_inbox (event_id, stream) SELECT gen_random_uuid(), 'other' FROM sales",
            "INSERT INTO sale_history SELECT gen_random_uuid(), order_id, now(), 'x' FROM sales",
            "INSERT INTO sale_tickets SELECT gen_random_uuid(), order_id, order_id, 'x', 'x' FROM sales",
            "INSERT INTO sale_voided SELECT gen_random_uuid(), order_id, order_id FROM sales",
            "INSERT INTO sale_refunds (refund_id, order_id) SELECT gen_random_uuid(), order_id FROM sales",
        ):
            await conn.execute(statement)
        before = await walked(conn)
        await sell(conn)
        assert await walked(conn) == before


async def test_a_batch_of_one_is_not_planned_anew_each_time(portal: Portal) -> None:
    async with portal.pool.transaction() as conn:
        for seq in range(1, 40):
            await folded_in(conn, [SaleEvents().pending()], 2 * seq - 1)
        sales = [SaleEvents() for _ in range(10)]
        for seq, sale in enumerate(sales, 100):
            await folded_in(conn, [sale.pending()], 2 * seq)
            await folded_in(conn, [sale.authorized()], 2 * seq + 1)
        planned = await conn.fetch(
            "SELECT custom_plans, generic_plans FROM pg_prepared_statements "
            " WHERE statement LIKE '%WITH %unnest%' AND statement NOT LIKE '%pg_prepared_statements%'"
        )
    assert len(planned) == 3, "what is taken, what is made, what is written"
    assert [row["custom_plans"] for row in planned] == [5, 5, 5]
    assert min(row["generic_plans"] for row in planned) > 0
