"""Postgres, RabbitMQ or another portal goes and comes while events flow: nothing is lost, nothing doubled."""

import asyncio
from collections.abc import Sequence

import pytest

from stack.servers.postgres import PostgresServer
from stack.servers.rabbitmq import RabbitMQServer
from tests.integration.bridge.facts import queue_is_on_disk, vhost_of
from tests.integration.portal.conftest import Portal
from tests.integration.portal.watching import confirmed, consuming, trouble
from tests.support.databases import Database
from tests.support.running import RunningServer
from tests.support.waiting import wait_until
from tests.unit.portal.events import SaleEvents
from ticketflow.events import encode
from ticketflow.events.topology import SALES_DEAD_QUEUE, SALES_QUEUE
from ticketflow.runtime.amqp import Delivery
from ticketflow.runtime.errors import Unavailable


class Publishing:
    """Sales published one after another until told to stop."""

    def __init__(self, portal: Portal) -> None:
        self.attempted: set[str] = (
            set()
        )  # order ids: of these some may have arrived without a confirm, whole or in part
        self.confirmed: list[SaleEvents] = []
        self._portal = portal
        self._enough = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while not self._enough.is_set():
            sale = SaleEvents(f"buyer-{len(self.attempted)}")
            self.attempted.add(sale.order_id)
            try:
                await self._portal.publish(*sale.sold())
            except (Unavailable, AssertionError):  # the broker is away, or did not answer
                await asyncio.sleep(0.1)
                continue
            self.confirmed.append(sale)
            await asyncio.sleep(0.02)

    async def more(self, count: int, timeout_s: float = 10) -> None:
        """Returns when ``count`` more have been confirmed."""
        wanted = len(self.confirmed) + count
        await wait_until(lambda: len(self.confirmed) >= wanted, timeout_s)

    async def finish(self) -> None:
        self._enough.set()
        await self._task


async def nothing_lost_nothing_doubled(portal: Portal, published: Publishing) -> None:
    """What was confirmed has arrived, what has arrived was sent, and each had its effects once."""
    await confirmed(portal, *published.confirmed, timeout_s=30)
    promised = {sale.order_id for sale in published.confirmed}
    async with portal.pool.transaction() as conn:  # one moment: a straggler may be applied just now
        await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        rows = await conn.fetch("SELECT order_id::text, count(*) FROM sale_history GROUP BY order_id")
        lines: dict[str, int] = {row[0]: row[1] for row in rows}
        keys = await conn.fetchval("SELECT count(*) FROM delivery_inbox")
        settled = [row[0] for row in await conn.fetch("SELECT event_key FROM delivery_outbox WHERE stream = 'portal'")]
    assert promised <= lines.keys() <= published.attempted
    assert all(lines[order_id] == 4 for order_id in promised)
    assert keys == sum(lines.values()), "each event that arrived has one dedup key and one line"
    assert promised <= set(settled) <= published.attempted
    assert len(settled) == len(set(settled)), "settled once"
    assert await portal.parked() == []
    assert await portal.waiting(SALES_DEAD_QUEUE) == 0
    await consuming(portal)


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_postgres_away_while_events_come(
    portal: Portal, postgres_server: RunningServer[PostgresServer], how: str
) -> None:
    portal.start()
    publishing = Publishing(portal)
    await publishing.more(5)
    await asyncio.to_thread(getattr(postgres_server, how))
    try:
        await publishing.more(30, 20)
        await wait_until(lambda: trouble(portal), 20)
    finally:
        await asyncio.to_thread(postgres_server.start)
    await publishing.finish()

    await nothing_lost_nothing_doubled(portal, publishing)


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_rabbitmq_away_under_consumption(
    portal: Portal, rabbitmq_server: RunningServer[RabbitMQServer], how: str
) -> None:
    """A publish that was under way has an unknown outcome, however the broker went: stopped in peace it may have
    stored the messages and closed the connection before it confirmed them."""
    portal.start()
    await consuming(portal)
    await wait_until(lambda: queue_is_on_disk(rabbitmq_server.server, portal.amqp_url, SALES_QUEUE))
    publishing = Publishing(portal)
    await publishing.more(5)
    await asyncio.to_thread(getattr(rabbitmq_server, how))
    await asyncio.to_thread(rabbitmq_server.start)
    await publishing.more(5, 40)
    await publishing.finish()

    await nothing_lost_nothing_doubled(portal, publishing)


async def test_a_queue_deleted_under_the_consumer_comes_back(
    portal: Portal, rabbitmq_server: RunningServer[RabbitMQServer]
) -> None:
    portal.start(idle_s=1)
    await consuming(portal)

    arguments = ("delete_queue", "-p", vhost_of(portal.amqp_url), SALES_QUEUE)
    await asyncio.to_thread(rabbitmq_server.server.control, *arguments)

    events = SaleEvents()

    async def routable_again() -> bool:
        await portal.publish(encode(events.sold()[3]))
        return True

    await wait_until(routable_again, 15)
    await portal.publish(*events.sold())
    await confirmed(portal, events)


async def test_a_second_portal_waits_and_takes_over(portal: Portal, migrated: Database) -> None:
    """Single active consumer: one at a time, and the next one goes on when the first is gone."""
    standby = Portal(migrated.dsn, portal.amqp_url)
    await standby.pool.open()
    portal.start()
    await consuming(portal)
    seen_by_standby: list[Delivery] = []

    class Remembering:
        async def apply(self, deliveries: Sequence[Delivery]) -> None:
            seen_by_standby.extend(deliveries)
            await standby.applier.apply(deliveries)

    standby.start(Remembering())
    await consuming(standby)
    first, second = SaleEvents(), SaleEvents()
    await portal.publish(*first.sold())
    await confirmed(portal, first)
    assert seen_by_standby == []

    await portal.stop()
    await portal.publish(*second.sold())
    await confirmed(portal, second)
    assert len(seen_by_standby) >= 4
    await standby.close()
