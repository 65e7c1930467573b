"""What a bench asks of its broker beside the two sides: how many messages there are, and to have none."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aio_pika

from tests.support.waiting import wait_until
from ticketflow.events.topology import SALES_QUEUE, TOPOLOGY
from ticketflow.runtime.amqp import Broker


class Control:
    """``url``: of a broker where the topology is declared."""

    def __init__(self, queue: aio_pika.abc.AbstractQueue, channel: aio_pika.abc.AbstractChannel) -> None:
        self._queue = queue
        self._channel = channel

    async def empty(self) -> None:
        await self._queue.purge()
        await self.holds(0)

    async def holds(self, messages: int) -> None:
        """Returns when so many are ready; raises TimeoutError when that does not come to be."""

        async def so_many() -> bool:
            facts = await self._channel.declare_queue(SALES_QUEUE, passive=True)
            found = facts.declaration_result.message_count
            assert found == messages, f"{found} messages are in the queue, and it should be {messages}"
            return True

        await wait_until(so_many, 10)

    async def let_go(self) -> None:
        """Returns when nobody consumes and nothing is unacknowledged: then all that is left is ready."""

        async def nobody() -> bool:
            facts = await self._channel.declare_queue(SALES_QUEUE, passive=True)
            return facts.declaration_result.consumer_count == 0

        await wait_until(nobody, 10)


@contextlib.asynccontextmanager
async def control(url: str) -> AsyncIterator[Control]:
    """Declares the topology first."""
    broker = Broker(url, TOPOLOGY, name="bench")
    await broker.declare()
    await broker.close()
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        yield Control(await channel.get_queue(SALES_QUEUE), channel)
        await asyncio.sleep(0)
