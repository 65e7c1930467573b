"""Several nodes of RabbitMQ: which one a broker turns to, and how soon. Here they are names and doors of one server."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from yarl import URL

from tests.support.waiting import wait_until
from ticketflow.events.topology import Binding, Exchange, Queue, Topology
from ticketflow.runtime.amqp import Broker, Outgoing, Session
from ticketflow.runtime.errors import Unavailable

ONE_QUEUE = Topology(
    (Exchange("things"),),
    (Queue("box", {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"}),),
    (Binding("things", "box", "#"),),
)
SOON_S = 1.0


def message() -> Outgoing:
    return Outgoing("things", "thing.made", {}, b"text")


def node_of(session: Session) -> tuple[str | None, int | None]:
    return session._connection.url.host, session._connection.url.port


class Door:
    """A way to the server that can be made to lead nowhere: connections stay open and nothing comes through."""

    def __init__(self, target: URL) -> None:
        self._target = target
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> URL:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self._target.with_port(self._server.sockets[0].getsockname()[1])

    def wall_up(self) -> None:
        self._open.clear()

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(self._target.host, self._target.port)
        self._writers += [writer, inner_writer]
        for source, sink in ((reader, inner_writer), (inner_reader, writer)):
            self._tasks.add(asyncio.create_task(self._carry(source, sink)))

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                await self._open.wait()
                sink.write(data)
        await self._open.wait()
        sink.close()


@pytest.fixture
async def door(rabbitmq_vhost: str) -> AsyncIterator[Door]:
    door = Door(URL(rabbitmq_vhost))
    yield door
    await door.stop()


@pytest.fixture
async def broker(door: Door, rabbitmq_vhost: str) -> AsyncIterator[Broker]:
    """Its first node is behind the door."""
    broker = Broker(f"{await door.start()},{rabbitmq_vhost}", ONE_QUEUE, name="test")
    yield broker
    await broker.close()


async def test_after_a_lost_session_the_next_node_is_tried(broker: Broker) -> None:
    first = await broker.session()

    first.give_up("the broker does not answer")

    assert node_of(await broker.session()) != node_of(first)


async def test_a_session_that_we_closed_says_nothing_against_its_node(broker: Broker) -> None:
    first = await broker.session()
    await broker.close()

    assert node_of(await broker.session()) == node_of(first)


async def test_a_refused_message_ends_the_session_and_says_nothing_against_its_node(broker: Broker) -> None:
    first = await broker.session()

    async def refused() -> bool:  # a full queue tells the channel in its own time
        return isinstance((await first.publish([message() for _ in range(50)])).failure, Unavailable)

    await wait_until(refused)
    assert first.lost is not None
    assert node_of(await broker.session()) == node_of(first)


async def test_a_node_that_went_silent_does_not_hold_up_the_next_session(broker: Broker, door: Door) -> None:
    first = await broker.session()
    door.wall_up()
    with pytest.raises(Unavailable):
        await first.queue_facts("box")
    first.give_up("the broker does not answer")

    started = time.monotonic()
    second = await broker.session()

    assert time.monotonic() - started < SOON_S
    assert (await second.publish([message()])).failure is None


async def test_an_address_that_answers_nothing_is_passed_over(broker: Broker, door: Door) -> None:
    door.wall_up()

    with pytest.raises(Unavailable, match="connecting: no answer in time"):
        await asyncio.wait_for(broker.session(), 2 + SOON_S)

    assert (await broker.session()).lost is None
