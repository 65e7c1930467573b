"""From the queue to the buyers' sales: the portal's own consumer, and aio-pika's, one message at a time.

Both sides take the same events from the same queue into the same tables, by the same applier: dedup key, sale, history,
command for reservation, position in the stream. Ours applies what has arrived in one transaction and acknowledges it at
once. The other side commits and acknowledges each message, in order, as a consumer of aio-pika does; as many may be
unacknowledged. Afterwards the queue is empty and every sale is right, with each effect once. Lines of the log are made
as in production, and written to nowhere.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from statistics import median

import aio_pika

from bench.amqp_broker import Control, control
from bench.amqp_events import EVENTS_A_SALE, HELLO, Billing
from bench.amqp_publish import BATCH_EVENTS, NO_MORE_NOTICES_S, Clock
from bench.goal import Measured
from bench.run import Run
from bridge.publisher import Publisher
from bridge.rewinds import Rewinds
from portal import service
from portal.applier import Applier
from portal.consumer import PREFETCH, Consumer
from portal.settings import DatabaseSettings
from ticketflow.delivery import Outbox, PostgresDialect
from ticketflow.events.topology import SALES_QUEUE, TOPOLOGY
from ticketflow.feed import Peer
from ticketflow.runtime import log
from ticketflow.runtime.amqp import Broker, Delivery
from ticketflow.runtime.postgres import Connection, PostgresPool
from ticketflow.runtime.settings import Secret

OURS_EVENTS, OTHER_EVENTS = 6 * BATCH_EVENTS, BATCH_EVENTS // 4
SIDE_TIMEOUT_S = 60.0


class Counting:
    """The applier, and how many messages it has settled."""

    def __init__(self, applier: Applier) -> None:
        self.batches: list[int] = []
        self.done = asyncio.Event()
        self.wanted = 0
        self._applier = applier

    async def apply(self, deliveries: Sequence[Delivery]) -> None:
        await self._applier.apply(deliveries)
        self.batches.append(len(deliveries))
        self.wanted -= len(deliveries)
        if self.wanted <= 0:
            self.done.set()


class Bench:
    def __init__(self, url: str, publisher: Publisher, pool: PostgresPool, queue: Control) -> None:
        outbox: Outbox[Connection] = Outbox(PostgresDialect(), "portal")
        self._url = url
        self._publisher = publisher
        self._pool = pool
        self._queue = queue
        self._applier = Applier(pool, HELLO.stream, outbox)
        self._billing = Billing()
        self.cpu_us: dict[str, list[float]] = {"ours": [], "other": []}
        self.batches: list[int] = []

    async def ours(self) -> float:
        """Events/s."""
        await self._published(OURS_EVENTS)
        counting = Counting(self._applier)
        counting.wanted = OURS_EVENTS
        consumer = Consumer(Broker(self._url, TOPOLOGY, name="bench"), counting, self._pool.ping)
        with Clock() as clock:
            consuming = asyncio.create_task(consumer.run())
            async with asyncio.timeout(SIDE_TIMEOUT_S):
                await counting.done.wait()
        await asyncio.sleep(0)  # for the last ack
        consuming.cancel()
        await asyncio.gather(consuming, return_exceptions=True)
        self.batches += counting.batches
        return await self._checked("ours", OURS_EVENTS, clock)

    async def other(self) -> float:
        """Events/s."""
        await self._published(OTHER_EVENTS)
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=PREFETCH)
            queue = await channel.get_queue(SALES_QUEUE)
            left = OTHER_EVENTS
            with Clock() as clock:
                async with asyncio.timeout(SIDE_TIMEOUT_S), queue.iterator() as messages:
                    async for message in messages:
                        await self._applier.apply([_delivery(message)])
                        await message.ack()
                        left -= 1
                        if not left:
                            break
        return await self._checked("other", OTHER_EVENTS, clock)

    async def _published(self, events: int) -> None:
        first, bodies = self._billing.sell(events)
        for begin in range(0, events, BATCH_EVENTS):
            await self._publisher.apply(HELLO, first + begin, bodies[begin : begin + BATCH_EVENTS])
        await self._queue.holds(events)

    async def _checked(self, side: str, events: int, clock: Clock) -> float:
        await self._queue.let_go()
        await self._queue.holds(0)
        await self._right()
        self.cpu_us[side].append(clock.cpu_s / events * 1e6)
        return events / clock.wall_s

    async def _right(self) -> None:
        """Every sale of every side so far is there, confirmed, told of once."""
        sales, events = len(self._billing.sales), self._billing.seq
        wanted = {
            "SELECT count(*) FROM sales WHERE state = 'CONFIRMED' AND total_minor = 2500": sales,
            "SELECT count(*) FROM sales WHERE order_id = ANY($1::uuid[])": sales,
            "SELECT count(*) FROM sale_tickets": 2 * sales,
            "SELECT count(DISTINCT order_id) FROM sale_tickets": sales,
            "SELECT count(*) FROM sale_history": EVENTS_A_SALE * sales,
            "SELECT count(*) FROM delivery_inbox": events,
            "SELECT count(*) FROM delivery_outbox WHERE kind = 'sale.settle'": sales,
            "SELECT count(DISTINCT event_key) FROM delivery_outbox": sales,
            "SELECT watermark FROM portal_stream": events,
            "SELECT count(*) FROM portal_parked": 0,
        }
        async with self._pool.acquire() as conn:
            for statement, count in wanted.items():
                given = [self._billing.sales] if "$1" in statement else []
                found = await conn.fetchval(statement, *given)
                if found != count:
                    raise AssertionError(f"{statement}: {found}, and it should be {count}")


def _delivery(message: aio_pika.abc.AbstractIncomingMessage) -> Delivery:
    return Delivery(
        message.delivery_tag or 0,
        message.routing_key or "",
        message.headers,
        message.body,
        redelivered=bool(message.redelivered),
    )


@contextlib.asynccontextmanager
async def opened(dsn: str) -> AsyncIterator[PostgresPool]:
    """A pool over a migrated database."""
    await asyncio.to_thread(service.migrate, DatabaseSettings(database_dsn=Secret(dsn)))
    pool = PostgresPool(dsn, name="bench", size_max=4)
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


async def measure(run: Run) -> Measured:
    # Not closed while the process lives: loggers keep what they were made with.
    nowhere = Path(os.devnull).open("w")  # noqa: SIM115, ASYNC230
    with contextlib.redirect_stderr(nowhere):
        log.configure("portal", "bench")
    async with (
        run.postgres() as (_, database),
        run.rabbitmq() as server,
        control(server.amqp_url()) as queue,
        opened(database.dsn) as pool,
    ):
        broker = Broker(server.amqp_url(), TOPOLOGY, name="bench")
        publisher = Publisher(broker, rewinds=Rewinds(NO_MORE_NOTICES_S))
        await publisher.hello(HELLO, Peer("127.0.0.1", 1))
        await publisher.notify(HELLO.stream)  # the one message that is no event
        await queue.empty()
        bench = Bench(server.amqp_url(), publisher, pool, queue)
        rounds = await run.interleaved(bench.ours, bench.other)
        await broker.close()
    notes = {f"{side}_cpu_us_per_event": median(found) for side, found in bench.cpu_us.items()}
    return Measured(rounds, notes | {"ours_events_per_transaction": sum(bench.batches) / len(bench.batches)})
