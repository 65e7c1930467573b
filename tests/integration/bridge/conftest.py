"""A bridge between a sender that never gives up and a queue that the test reads."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress

import pytest

from bridge.publisher import Publisher
from tests.support.ports import free_port
from ticketflow.events import Envelope, OrderFailed, decode, encode, envelope_for
from ticketflow.events.replay import StreamPosition
from ticketflow.events.topology import SALES_QUEUE, TOPOLOGY, Topology
from ticketflow.feed import VERSION, Address, FeedError, FeedServer, Hello, connect
from ticketflow.runtime.amqp import Broker, Delivery
from ticketflow.runtime.errors import RuntimeFault, Unavailable

EPOCH = 11


def an_event(key: str, n: int) -> Envelope:
    """The n-th event of ``key``; its time tells its number."""
    return envelope_for(OrderFailed(order_id=key, reason="expired"), key=key, correlation_id="walk", now_us=n)


class Sender:
    """billing's relay in small: sends its list in order, keeps what is not acknowledged, connects again and again."""

    def __init__(self, port: int, stream: str = "billing") -> None:
        self.bodies: list[bytes] = []  # seq 1 is the first
        self.acked = 0
        self.sessions = 0
        self._port = port
        self._stream = stream
        self._task = asyncio.create_task(self._run())

    def stage(self, *bodies: bytes) -> None:
        self.bodies.extend(bodies)

    async def _run(self) -> None:
        while True:
            try:
                await self._session()
            except FeedError:
                await asyncio.sleep(0.05)

    async def _session(self) -> None:
        hello = Hello(VERSION, self._stream, EPOCH, 1, len(self.bodies), "billing")
        session = await connect([Address("127.0.0.1", self._port)], hello)
        self.sessions += 1
        sent = self.acked
        try:
            while True:
                if sent < len(self.bodies):
                    batch = self.bodies[sent : sent + 100]
                    await session.send(sent + 1, batch)
                    sent += len(batch)
                acked = await session.wait_ack(0.02)
                if acked is not None:
                    assert acked <= sent, "nothing is acknowledged that was not sent"
                    self.acked = max(self.acked, acked)
        finally:
            await session.close()

    async def stop(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


class Bridge:
    """The inside of a bridge, on a free port."""

    def __init__(self, amqp_url: str, topology: Topology = TOPOLOGY) -> None:
        self.amqp_url = amqp_url
        self.broker = Broker(amqp_url, topology, name="bridge")
        self.publisher = Publisher(self.broker)
        self.server = FeedServer(
            self.publisher, host="127.0.0.1", port=free_port(), expected_errors=(OSError, RuntimeFault)
        )

    async def stop(self, deadline_s: float = 1) -> None:
        await self.server.drain(deadline_s)
        await self.broker.close()


@pytest.fixture
async def bridge(rabbitmq_vhost: str) -> AsyncIterator[Bridge]:
    bridge = Bridge(rabbitmq_vhost)
    await bridge.server.start()
    yield bridge
    await bridge.stop()


@pytest.fixture
async def at_end() -> AsyncIterator[AsyncExitStack]:
    """What a test makes by itself ends here, also when the test fails: left open, it would fail another test."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def sender(bridge: Bridge) -> AsyncIterator[Sender]:
    sender = Sender(bridge.server.port)
    yield sender
    await sender.stop()


async def drained(amqp_url: str, until: Sequence[bytes], timeout_s: float = 20) -> list[Delivery]:
    """Everything in the portal's queue, until all of ``until`` has been in it; acknowledged."""
    broker, found, missing = Broker(amqp_url, TOPOLOGY, name="reader"), [], set(until)
    try:
        async with asyncio.timeout(timeout_s):
            while missing:
                try:
                    session = await broker.session()
                    await session.consume(SALES_QUEUE, prefetch=200)
                    while missing:
                        batch = await session.take(200)
                        found += [delivery for delivery in batch if delivery.routing_key != StreamPosition.kind]
                        missing -= {delivery.body for delivery in batch}
                        await session.ack(batch[-1].tag)
                except Unavailable:
                    await asyncio.sleep(0.1)
    finally:
        await broker.close()
    return found


def order_of(deliveries: Sequence[Delivery]) -> dict[str, list[int]]:
    """For each key the numbers of its events, in the order of their first arrival."""
    numbers: dict[str, list[int]] = {}
    for delivery in deliveries:
        event = decode(delivery.body)
        seen = numbers.setdefault(event.key, [])
        if event.occurred_at_us not in seen:
            seen.append(event.occurred_at_us)
    return numbers


def events_of(keys: Sequence[str], each: int) -> list[bytes]:
    """``each`` events of every key, interleaved."""
    return [encode(an_event(key, n)) for n in range(1, each + 1) for key in keys]
