"""Many publishes in flight on a real broker: some come back, a queue fills up, the broker blocks, the line is cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from yarl import URL

from stack.servers.rabbitmq import RabbitMQServer
from tests.integration.bridge.test_amqp import ONE_QUEUE, bodies, message
from tests.support.running import RunningServer
from tests.support.waiting import wait_until
from ticketflow.events.topology import Binding, Queue, Topology
from ticketflow.runtime.amqp import Broker, Delivery, Outgoing
from ticketflow.runtime.amqp_publishing import CONFIRM_TIMEOUT_S, IN_FLIGHT_MAX
from ticketflow.runtime.errors import Indefinite, Unavailable

MANY = 3 * IN_FLIGHT_MAX


async def contents(url: str, topology: Topology, count: int) -> list[Delivery]:
    """At least ``count`` messages of the box, and what else is there by then; acknowledged."""
    reader = Broker(url, topology, name="reader")
    found: list[Delivery] = []
    try:
        session = await reader.session()
        await session.consume("box", prefetch=1000)
        while len(found) < count or (await session.queue_facts("box")).messages:
            batch = await session.take(1000, idle_s=5)
            assert batch, f"{len(found)} of {count} have come"
            found += batch
            await session.ack(batch[-1].tag)
        found += await session.take(1000, idle_s=0.2)
    finally:
        await reader.close()
    return found


def texts(deliveries: list[Delivery]) -> list[str]:
    return [delivery.body.decode() for delivery in deliveries]


class Cable:
    """A way to the broker that is cut after so many bytes of ours."""

    def __init__(self, target: URL) -> None:
        self._target = target
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.left: int | None = None  # bytes until the cut

    async def start(self) -> URL:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self._target.with_port(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        self._server.close()
        self._cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(self._target.host, self._target.port)
        self._writers += [writer, inner_writer]
        self._tasks.add(asyncio.create_task(self._ours(reader, inner_writer)))
        self._tasks.add(asyncio.create_task(self._theirs(inner_reader, writer)))

    async def _ours(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if self.left is not None:
                    data = data[: self.left]
                    self.left -= len(data)
                writer.write(data)
                if self.left == 0:
                    await writer.drain()
                    writer.close()  # what is written arrives
                    await writer.wait_closed()
                    break
        self._cut()

    async def _theirs(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


@pytest.fixture
async def cable(rabbitmq_vhost: str) -> AsyncIterator[Cable]:
    cable = Cable(URL(rabbitmq_vhost))
    yield cable
    await cable.stop()


async def test_a_message_without_a_queue_in_the_middle_of_a_batch(rabbitmq_vhost: str) -> None:
    topology = Topology(ONE_QUEUE.exchanges, ONE_QUEUE.queues, (Binding("things", "box", "good.#"),))
    broker = Broker(rabbitmq_vhost, topology, name="test")
    session = await broker.session()
    batch = [message(str(n), "bad" if n == 300 else "good.one") for n in range(MANY)]

    published = await session.publish(batch)
    rest = await session.publish(batch[301:])
    found = texts(await contents(rabbitmq_vhost, topology, MANY - 1))
    await broker.close()

    assert published.confirmed == 300
    assert "no queue for 'bad'" in str(published.failure)
    assert rest == (MANY - 301, None), "the session goes on"
    assert found[:300] == [str(n) for n in range(300)]
    assert list(dict.fromkeys(found)) == [str(n) for n in range(MANY) if n != 300], "first arrivals are in order"


async def test_a_queue_that_fills_up_under_two_batches(rabbitmq_vhost: str) -> None:
    small = Queue("box", {"x-queue-type": "quorum", "x-max-length": 50, "x-overflow": "reject-publish"})
    topology = Topology(ONE_QUEUE.exchanges, (small,), ONE_QUEUE.bindings)
    broker = Broker(rabbitmq_vhost, topology, name="test")
    session = await broker.session()

    a, b = await asyncio.gather(
        session.publish([message(f"a{n}") for n in range(MANY)]),
        session.publish([message(f"b{n}") for n in range(MANY)]),
    )
    await broker.close()
    found = texts(await contents(rabbitmq_vhost, topology, a.confirmed + b.confirmed))

    assert session.lost == "a message was refused"
    for name, published in (("a", a), ("b", b)):
        assert isinstance(published.failure, Unavailable | Indefinite)
        assert published.confirmed < MANY
        confirmed = [f"{name}{n}" for n in range(published.confirmed)]
        assert [text for text in found if text in set(confirmed)] == confirmed, "what is confirmed is there, in order"
    assert len(found) == len(set(found))


async def test_a_block_while_a_batch_is_under_way(
    rabbitmq_vhost: str, rabbitmq_server: RunningServer[RabbitMQServer]
) -> None:
    broker = Broker(rabbitmq_vhost, ONE_QUEUE, name="test")
    session = await broker.session()
    control = rabbitmq_server.server.control
    enough = asyncio.Event()
    sent: list[str] = []

    async def publish_on_and_on() -> None:
        while not enough.is_set():
            texts = [str(len(sent) + n) for n in range(MANY)]
            sent.extend(texts)
            assert await session.publish([message(text) for text in texts]) == (MANY, None)

    publishing = asyncio.create_task(publish_on_and_on())
    try:
        await asyncio.to_thread(control, "set_vm_memory_high_watermark", "0.000001")
        await wait_until(lambda: session._connection.blocked)
        enough.set()
        with pytest.raises(TimeoutError):  # longer than the broker has for a confirm
            await asyncio.wait_for(asyncio.shield(publishing), CONFIRM_TIMEOUT_S + 2)
        assert session.lost is None
    finally:
        enough.set()
        await asyncio.to_thread(control, "set_vm_memory_high_watermark", "absolute", "512MB")
    await asyncio.wait_for(publishing, 30)
    await broker.close()

    assert texts(await contents(rabbitmq_vhost, ONE_QUEUE, len(sent))) == sent, "all once, and in order"


@pytest.mark.parametrize("cut_after", [20, 200, 201, 5_000, 61_234])
async def test_a_connection_that_is_cut_between_frames_or_within_one(
    rabbitmq_vhost: str, cable: Cable, cut_after: int
) -> None:
    broker = Broker(f"{await cable.start()},{rabbitmq_vhost}", ONE_QUEUE, name="test")
    batch = [message(str(n)) for n in range(MANY)]
    session = await broker.session()
    cable.left = cut_after

    cut = await asyncio.wait_for(session.publish(batch), 20)
    again = await (await broker.session()).publish(batch[cut.confirmed :])
    await broker.close()
    found = texts(await contents(rabbitmq_vhost, ONE_QUEUE, MANY))

    assert isinstance(cut.failure, Indefinite)
    assert session.node_failed
    assert cut.confirmed < MANY
    assert again == (MANY - cut.confirmed, None)
    assert found[: cut.confirmed] == [str(n) for n in range(cut.confirmed)]
    assert list(dict.fromkeys(found)) == [str(n) for n in range(MANY)], "nothing is missing, first arrivals in order"


async def test_messages_of_every_size_arrive_as_they_were(rabbitmq_vhost: str) -> None:
    broker = Broker(rabbitmq_vhost, ONE_QUEUE, name="test")
    session = await broker.session()
    sizes = [0, 1, 131_063, 131_064, 131_065, 400_000]
    batch = [Outgoing("things", "a.b", {"n": n}, bytes((n + at) % 256 for at in range(n))) for n in sizes]

    assert await session.publish(batch) == (len(sizes), None)
    found = await contents(rabbitmq_vhost, ONE_QUEUE, len(sizes))
    await broker.close()

    assert [(delivery.headers, delivery.body) for delivery in found] == [(each.headers, each.body) for each in batch]


async def test_an_idle_session_is_kept_by_heartbeats(rabbitmq_vhost: str) -> None:
    url = URL(rabbitmq_vhost).update_query(heartbeat=1)
    broker = Broker(str(url), ONE_QUEUE, name="test")
    session = await broker.session()
    await session.consume("box", prefetch=10)

    assert await session.take(1, idle_s=6) == [], "the broker hangs up on who is silent for three"

    assert await session.publish([message("here")]) == (1, None)
    assert await bodies(session, 1) == ["here"]
    await broker.close()
