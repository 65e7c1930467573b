"""What tests of the portal wait for."""

import asyncio

from stack.servers.rabbitmq import RabbitMQServer
from tests.integration.bridge.facts import vhost_of
from tests.integration.portal.conftest import Portal
from tests.support.running import RunningServer
from tests.support.waiting import wait_until
from tests.unit.portal.events import SaleEvents
from ticketflow.events.topology import SALES_QUEUE


async def confirmed(portal: Portal, *sales: SaleEvents, timeout_s: float = 15) -> None:
    async def all_of_them() -> bool:
        return all([await portal.state(sale.order_id) == "CONFIRMED" for sale in sales])

    await wait_until(all_of_them, timeout_s)


def trouble(portal: Portal) -> str:
    assert portal.consumer is not None
    return portal.consumer.trouble or ""


async def consuming(portal: Portal) -> None:
    await wait_until(lambda: not trouble(portal), 20)


async def all_acknowledged(portal: Portal, server: RunningServer[RabbitMQServer]) -> None:
    """Neither ready nor unacknowledged: the broker's own count."""

    def nothing_left() -> bool:
        arguments = ("list_queues", "-p", vhost_of(portal.amqp_url), "--no-table-headers", "name", "messages")
        return f"{SALES_QUEUE}\t0" in server.server.control(*arguments)

    await wait_until(lambda: asyncio.to_thread(nothing_left), 15, interval_s=0.2)
