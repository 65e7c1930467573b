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
from ticketflow.events import Envelope, encode
from ticketflow.events.topology import SALES_DEAD_QUEUE, SALES_QUEUE
from ticketflow.runtime.amqp import Delivery
from ticketflow.runtime.errors import Unavailable


async def keep_publishing(portal: Portal, sales: list[SaleEvents], stop: asyncio.Event) -> None:
    while not stop.is_set():
        sale = SaleEvents(f"buyer-{len(sales)}")
        events: list[Envelope] = sale.sold()
        try:
            await portal.publish(*events)
        except (Unavailable, AssertionError):  # the broker is away: the bridge would try again, so do we
            await asyncio.sleep(0.1)
            continue
        sales.append(sale)
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_postgres_away_while_events_come(
    portal: Portal, postgres_server: RunningServer[PostgresServer], how: str
) -> None:
    sales: list[SaleEvents] = []
    portal.start()
    enough = asyncio.Event()
    publishing = asyncio.create_task(keep_publishing(portal, sales, enough))
    await wait_until(lambda: len(sales) >= 5)
    await asyncio.to_thread(getattr(postgres_server, how))
    try:
        before = len(sales)
        await wait_until(lambda: len(sales) >= before + 30, 20)

        await wait_until(lambda: trouble(portal), 20)
    finally:
        await asyncio.to_thread(postgres_server.start)
    enough.set()
    await publishing

    await confirmed(portal, *sales, timeout_s=30)
    assert await portal.counts() == (4 * len(sales), len(sales), 4 * len(sales))
    assert len(await portal.staged()) == len(sales)
    assert await portal.parked() == []
    assert await portal.waiting(SALES_DEAD_QUEUE) == 0
    await consuming(portal)


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_rabbitmq_away_under_consumption(
    portal: Portal, rabbitmq_server: RunningServer[RabbitMQServer], how: str
) -> None:
    sales: list[SaleEvents] = []
    portal.start()
    await consuming(portal)
    await wait_until(lambda: queue_is_on_disk(rabbitmq_server.server, portal.amqp_url, SALES_QUEUE))
    enough = asyncio.Event()
    publishing = asyncio.create_task(keep_publishing(portal, sales, enough))
    await wait_until(lambda: len(sales) >= 5)
    await asyncio.to_thread(getattr(rabbitmq_server, how))
    await asyncio.to_thread(rabbitmq_server.start)
    before = len(sales)
    await wait_until(lambda: len(sales) >= before + 5, 40)
    enough.set()
    await publishing

    await confirmed(portal, *sales, timeout_s=30)
    assert len(await portal.staged()) == len(sales) or how == "kill", "an unconfirmed sale may have arrived as well"
    assert await portal.parked() == []
    assert await portal.waiting(SALES_DEAD_QUEUE) == 0
    await consuming(portal)


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
