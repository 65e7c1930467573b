"""The stored sale is the fold of all that was said of it, whoever says what at the same moment."""

import asyncio
from itertools import pairwise, permutations

from portal.sale import Sale
from portal.store_fold import fold
from tests.integration.portal.conftest import Portal
from tests.support.waiting import wait_until
from tests.unit.portal.events import SaleEvents
from tests.unit.portal.folding import folded, view_of


async def stored(portal: Portal, sale: SaleEvents) -> Sale:
    found = await portal.sale(sale.order_id)
    assert found is not None
    return found


async def test_every_order_and_every_split_gives_the_same_sale(portal: Portal) -> None:
    for number, cuts in enumerate(((1, 2, 3), (2,), (1, 3), ())):
        for order in list(permutations(range(4)))[number::4]:
            sale = SaleEvents()
            events = sale.sold()
            expected = folded(*events)
            parts = [0, *cuts, 4]
            for begin, end in pairwise(parts):
                async with portal.pool.transaction() as conn:
                    part = folded(*(events[at] for at in order[begin:end]))
                    [head] = await fold(conn, {sale.order_id: part})
                assert head.order_id == sale.order_id
            found = await stored(portal, sale)
            assert found == expected, f"{order} cut at {cuts}"
            assert (head.state, head.buyer_id, head.total_minor) == ("CONFIRMED", "ann", 2500)


async def test_known_and_new_sales_in_one_fold(portal: Portal) -> None:
    sales = [SaleEvents(f"buyer-{n}") for n in range(6)]
    events = [sale.sold() for sale in sales]
    async with portal.pool.transaction() as conn:
        await fold(conn, {sale.order_id: view_of(each[1]) for sale, each in list(zip(sales, events, strict=True))[::2]})
    async with portal.pool.transaction() as conn:
        heads = await fold(conn, {sale.order_id: view_of(each[0]) for sale, each in zip(sales, events, strict=True)})

    assert {head.order_id: head.state for head in heads} == {
        sale.order_id: "PENDING" if n % 2 else "PAYING" for n, sale in enumerate(sales)
    }
    for n, sale in enumerate(sales):
        assert await stored(portal, sale) == folded(*events[n][: 1 if n % 2 else 2])


async def test_a_plan_made_for_an_empty_table_does_not_walk_over_a_full_one(portal: Portal) -> None:
    async with portal.pool.transaction() as conn:
        for _ in range(8):  # five plans of their own, then one for all
            sale = SaleEvents()
            for event in sale.sold():
                await fold(conn, {sale.order_id: view_of(event)})
        await conn.execute(
            "INSERT INTO sales (order_id, state) SELECT gen_random_uuid(), 'PENDING' FROM generate_series(1, 5000)"
        )
        walked = "SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'sales'"
        before = await conn.fetchval(walked)
        sale = SaleEvents()
        for event in sale.sold():
            await fold(conn, {sale.order_id: view_of(event)})
        assert await conn.fetchval(walked) == before


async def test_two_make_the_same_sale_at_once(portal: Portal) -> None:
    sale, others = SaleEvents(), [SaleEvents() for _ in range(2)]
    events = sale.sold()
    async with portal.pool.transaction() as first:
        await fold(first, {sale.order_id: view_of(events[0]), others[0].order_id: view_of(others[0].sold()[0])})

        async def second() -> list[Sale]:
            async with portal.pool.transaction() as conn:
                views = {sale.order_id: view_of(events[3]), others[1].order_id: view_of(others[1].sold()[0])}
                return await fold(conn, views)

        waiting = asyncio.create_task(second())

        async def waits() -> bool:
            async with portal.pool.acquire() as conn:
                return bool(await conn.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

        await wait_until(waits)
    heads = await asyncio.wait_for(waiting, 20)

    assert {head.order_id: head.state for head in heads} == {
        sale.order_id: "CONFIRMED",
        others[1].order_id: "PENDING",
    }
    assert await stored(portal, sale) == folded(events[0], events[3])
