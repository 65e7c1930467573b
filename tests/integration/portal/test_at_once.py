"""Several consumers at once, as during a change of the active one, and a requeue: nobody is turned away."""

import asyncio
import random
import secrets
from collections.abc import Sequence

from portal.applier import Applier
from portal.mailing import Mailing
from tests.integration.portal.conftest import Portal
from tests.unit.portal.events import NOON_US, SaleEvents
from tests.unit.portal.folding import folded
from ticketflow.delivery import Outbox, PostgresDialect
from ticketflow.events import encode
from ticketflow.runtime.amqp import Delivery

SALES, CONSUMERS, BATCH_EVENTS = 40, 3, 12


async def test_the_same_events_by_several_ways_are_applied_once(portal: Portal) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    sales = [SaleEvents(f"buyer-{n}") for n in range(SALES)]
    events = [[*sale.sold(), sale.tickets_voided(sale.payment_id)] for sale in sales]
    queued = [
        Delivery(n, event.kind, {"stream": "billing", "epoch": 3, "seq": n}, encode(event), redelivered=False)
        for n, event in enumerate((event for of_one in events for event in of_one), start=1)
    ]
    requeued = [Delivery(each.tag, each.routing_key, {}, each.body, redelivered=True) for each in queued]

    async def apply_all(mine: Sequence[Delivery], at_once: int) -> None:
        applier = Applier(
            portal.pool,
            "billing",
            Outbox(PostgresDialect(), "portal"),
            mailing=Mailing(lambda: NOON_US + 60_000_000),
        )
        mine = chance.sample(mine, len(mine))
        for begin in range(0, len(mine), at_once):
            await applier.apply(mine[begin : begin + at_once])  # a deadlock would raise Unavailable

    await apply_all(queued[:1], 1)  # from now on there is a position for consumers to take turns at
    await asyncio.gather(*(apply_all(queued, BATCH_EVENTS) for _ in range(CONSUMERS)), apply_all(requeued, 1))

    for sale, of_one in zip(sales, events, strict=True):
        assert await portal.sale(sale.order_id) == folded(*of_one)
    assert await portal.counts() == (5 * SALES, SALES, 5 * SALES)
    assert len(await portal.staged()) == SALES
    assert await portal.parked() == []
    async with portal.pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM mails WHERE kind = 'voided'") == SALES
