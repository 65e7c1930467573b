"""From the feed's batches to a quorum queue: the bridge's own publisher, and aio-pika at its best.

Both sides publish the same events persistent and mandatory to the same exchange, wait for every confirm, and find as
many messages in the queue as they sent. aio-pika has 64 workers on a channel with confirms, beyond which it only gets
slower, and need not find out where an event goes: that is made ready before its clock starts.
"""

import asyncio
import time
from statistics import median

import aio_pika

from bench.amqp_broker import Control, control
from bench.amqp_events import HELLO, Billing, routed
from bench.goal import Measured
from bench.run import Run
from bridge.publisher import Publisher
from bridge.rewinds import Rewinds
from ticketflow.events.topology import EVENTS_EXCHANGE, TOPOLOGY
from ticketflow.feed import Limits, Peer
from ticketflow.runtime import log
from ticketflow.runtime.amqp import Broker

BATCH_EVENTS = Limits().batch_events_max
OURS_EVENTS, OTHER_EVENTS = 16 * BATCH_EVENTS, 6 * BATCH_EVENTS
WORKERS = 64
NO_MORE_NOTICES_S = 3600.0


class Clock:
    """What passed, and what of it this process was computing."""

    def __enter__(self) -> "Clock":
        self._began = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_s = time.perf_counter() - self._began[0]
        self.cpu_s = time.process_time() - self._began[1]


class Bench:
    def __init__(self, publisher: Publisher, exchange: aio_pika.abc.AbstractExchange, queue: Control) -> None:
        self._publisher = publisher
        self._exchange = exchange
        self._queue = queue
        self._billing = Billing()
        self.cpu_us: dict[str, list[float]] = {"ours": [], "other": []}

    async def ours(self) -> float:
        """Events/s."""
        first, bodies = self._billing.sell(OURS_EVENTS)
        with Clock() as clock:
            for begin in range(0, OURS_EVENTS, BATCH_EVENTS):
                last = await self._publisher.apply(HELLO, first + begin, bodies[begin : begin + BATCH_EVENTS])
                if last != first + begin + BATCH_EVENTS - 1:
                    raise AssertionError(f"confirmed up to {last} only")
        return await self._counted("ours", OURS_EVENTS, clock)

    async def other(self) -> float:
        """Events/s."""
        first, bodies = self._billing.sell(OTHER_EVENTS)
        messages = iter(list(zip(routed(first, bodies), bodies, strict=True)))

        async def worker() -> None:
            for (_, routing_key, headers), body in messages:
                message = aio_pika.Message(
                    body,
                    headers=dict(headers),
                    content_type="application/msgpack",
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                )
                await self._exchange.publish(message, routing_key, mandatory=True)

        with Clock() as clock:
            await asyncio.gather(*(worker() for _ in range(WORKERS)))
        return await self._counted("other", OTHER_EVENTS, clock)

    async def _counted(self, side: str, events: int, clock: Clock) -> float:
        await self._queue.holds(events)
        await self._queue.empty()
        self.cpu_us[side].append(clock.cpu_s / events * 1e6)
        return events / clock.wall_s


async def measure(run: Run) -> Measured:
    log.configure("bridge", "bench", "warning")  # of an event there is no line
    async with run.rabbitmq() as server, control(server.amqp_url()) as queue:
        broker = Broker(server.amqp_url(), TOPOLOGY, name="bench")
        publisher = Publisher(broker, rewinds=Rewinds(NO_MORE_NOTICES_S))
        await publisher.hello(HELLO, Peer("127.0.0.1", 1))
        await publisher.notify(HELLO.stream)  # the one message that is no event
        await queue.empty()
        async with await aio_pika.connect(server.amqp_url()) as connection:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            bench = Bench(publisher, await channel.get_exchange(EVENTS_EXCHANGE), queue)
            rounds = await run.interleaved(bench.ours, bench.other)
        await broker.close()
    return Measured(rounds, {f"{side}_cpu_us_per_event": median(found) for side, found in bench.cpu_us.items()})
