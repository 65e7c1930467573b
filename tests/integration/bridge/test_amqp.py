"""The AMQP session on a real broker: what is confirmed, what is not, and how a session ends."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from stack.servers.rabbitmq import RabbitMQServer
from tests.integration.bridge.facts import queue_is_on_disk, vhost_of
from tests.support.running import RunningServer
from tests.support.waiting import wait_until
from ticketflow.events.topology import SALES_QUEUE, TOPOLOGY, Binding, Exchange, Queue, Topology
from ticketflow.runtime.amqp import Broker, Outgoing, Session
from ticketflow.runtime.errors import Indefinite, Unavailable

ONE_QUEUE = Topology(
    (Exchange("things"),), (Queue("box", {"x-queue-type": "quorum"}),), (Binding("things", "box", "#"),)
)


def message(text: str, key: str = "thing.made") -> Outgoing:
    return Outgoing("things", key, {"n": 1}, text.encode())


def messages(count: int) -> list[Outgoing]:
    return [message(str(n)) for n in range(count)]


@pytest.fixture
async def broker(rabbitmq_vhost: str) -> AsyncIterator[Broker]:
    broker = Broker(rabbitmq_vhost, ONE_QUEUE, name="test")
    yield broker
    await broker.close()


@pytest.fixture
async def session(broker: Broker) -> Session:
    return await broker.session()


async def bodies(session: Session, count: int) -> list[str]:
    """The next ``count`` messages of the box, acknowledged."""
    found: list[str] = []
    while len(found) < count:
        batch = await asyncio.wait_for(session.take(count - len(found)), 5)
        found += [delivery.body.decode() for delivery in batch]
        await session.ack(batch[-1].tag)
    return found


async def test_what_is_published_is_confirmed_and_arrives_in_order(session: Session) -> None:
    assert await session.publish(messages(600)) == (600, None)
    await session.consume("box", prefetch=50)

    assert await bodies(session, 600) == [str(n) for n in range(600)]


async def test_a_message_keeps_its_headers_and_routing_key(session: Session) -> None:
    await session.publish([Outgoing("things", "a.b", {"text": "ä" * 300, "seq": 2**40}, b"")])
    await session.consume("box", prefetch=1)
    [delivery] = await session.take(5)

    assert (delivery.routing_key, delivery.headers, delivery.body, delivery.redelivered) == (
        "a.b",
        {"text": "ä" * 300, "seq": 2**40},
        b"",
        False,
    )


async def test_nothing_to_publish_is_published_at_once(session: Session) -> None:
    assert await session.publish([]) == (0, None)


async def test_an_unroutable_message_is_not_confirmed_and_later_ones_do_not_count(rabbitmq_vhost: str) -> None:
    only_good = Topology(ONE_QUEUE.exchanges, ONE_QUEUE.queues, (Binding("things", "box", "good.#"),))
    broker = Broker(rabbitmq_vhost, only_good, name="test")
    session = await broker.session()

    published = await session.publish([message("1", "good.a"), message("2", "bad"), message("3", "good.b")])

    assert published.confirmed == 1
    assert isinstance(published.failure, Unavailable)
    assert "no queue for 'bad'" in str(published.failure)
    assert await session.publish([message("4", "good.c")]) == (1, None), "the session goes on"
    await broker.close()


async def test_a_full_queue_refuses_and_nothing_is_lost(rabbitmq_vhost: str) -> None:
    small = Queue("box", {"x-queue-type": "quorum", "x-max-length": 5, "x-overflow": "reject-publish"})
    broker = Broker(rabbitmq_vhost, Topology(ONE_QUEUE.exchanges, (small,), ONE_QUEUE.bindings), name="test")
    session = await broker.session()

    published = await session.publish(messages(3000))

    assert published.confirmed >= 5
    assert isinstance(published.failure, Unavailable)
    assert session.lost == "a message was refused"
    session = await broker.session()
    await session.consume("box", prefetch=100)
    found = await bodies(session, published.confirmed)
    assert found == [str(n) for n in range(published.confirmed)]
    await broker.close()


async def test_the_real_topology_is_declared_twice_without_complaint(rabbitmq_vhost: str) -> None:
    for _ in range(2):
        broker = Broker(rabbitmq_vhost, TOPOLOGY, name="test")
        session = await broker.session()
        assert await session.queue_facts(SALES_QUEUE) == (0, 0)
        await broker.close()


async def test_other_arguments_for_a_queue_that_exists_are_an_error(session: Session, rabbitmq_vhost: str) -> None:
    other = Broker(rabbitmq_vhost, Topology((), (Queue("box"),), ()), name="test")

    with pytest.raises(Unavailable, match="inequivalent arg"):
        await other.session()


async def test_a_deleted_queue_ends_the_session_of_its_consumer(
    session: Session, broker: Broker, rabbitmq_vhost: str, rabbitmq_server: RunningServer[RabbitMQServer]
) -> None:
    await session.consume("box", prefetch=10)
    assert (await session.queue_facts("box")).consumers == 1
    taking = asyncio.create_task(session.take(1))

    await asyncio.to_thread(rabbitmq_server.server.control, "delete_queue", "-p", vhost_of(rabbitmq_vhost), "box")

    with pytest.raises(Unavailable, match="cancelled our consumer"):
        await asyncio.wait_for(taking, 5)
    again = await broker.session()
    assert again is not session
    assert (await again.queue_facts("box")).consumers == 0, "the queue is there again"


async def test_looking_at_a_queue_that_is_not_there_harms_nothing(session: Session) -> None:
    with pytest.raises(Unavailable, match="NOT_FOUND"):
        await session.queue_facts("nowhere")

    assert await session.publish(messages(1)) == (1, None)


async def test_unacknowledged_deliveries_come_again_in_the_next_session(session: Session, broker: Broker) -> None:
    await session.publish(messages(3))
    await session.consume("box", prefetch=10)
    await wait_until(lambda: len(session._deliveries) == 3)
    batch = await session.take(10)
    await session.ack(batch[0].tag)
    await session.close()

    with pytest.raises(Unavailable):
        await session.ack(batch[1].tag)
    with pytest.raises(Unavailable):
        await session.take(1)

    again = await broker.session()
    await again.consume("box", prefetch=10)
    assert await bodies(again, 2) == ["1", "2"]


async def test_a_broker_that_is_not_there_is_unavailable_soon(broker: Broker, rabbitmq_vhost: str) -> None:
    nobody = Broker("amqp://a:b@127.0.0.1:1/", ONE_QUEUE, name="test")
    with pytest.raises(Unavailable, match="connecting"):
        await nobody.session()

    two = Broker(f"amqp://a:b@127.0.0.1:1/,{rabbitmq_vhost}", ONE_QUEUE, name="test")
    with pytest.raises(Unavailable):
        await two.session()
    assert (await two.session()).lost is None, "the next attempt is at the next node"
    await two.close()


async def test_a_wrong_password_is_unavailable_and_not_shown(rabbitmq_vhost: str) -> None:
    secret = rabbitmq_vhost.split(":")[2].split("@")[0]
    with pytest.raises(Unavailable) as caught:
        await Broker(rabbitmq_vhost.replace(secret, "wrong-" + secret), ONE_QUEUE, name="test").session()

    assert secret not in str(caught.value)


async def test_publishes_in_flight_when_the_broker_is_killed_are_indefinite(
    session: Session, broker: Broker, rabbitmq_vhost: str, rabbitmq_server: RunningServer[RabbitMQServer]
) -> None:
    async def publish_for_ever() -> BaseException | None:
        while True:
            published = await session.publish(messages(50))
            if published.failure is not None:
                return published.failure

    await wait_until(lambda: queue_is_on_disk(rabbitmq_server.server, rabbitmq_vhost, "box"))
    publishing = asyncio.create_task(publish_for_ever())
    try:
        rabbitmq_server.kill()
        failure = await asyncio.wait_for(publishing, 15)
        assert isinstance(failure, Indefinite)
        assert session.lost is not None
        with pytest.raises(Unavailable):
            await broker.session()
    finally:
        await asyncio.to_thread(rabbitmq_server.start)
    again = await broker.session()
    assert await again.publish(messages(1)) == (1, None)


async def test_a_frozen_broker_is_given_up_within_the_deadline(
    session: Session, rabbitmq_server: RunningServer[RabbitMQServer]
) -> None:
    rabbitmq_server.freeze()
    try:
        published = await asyncio.wait_for(session.publish(messages(3)), 8)
        with pytest.raises(Unavailable):
            await session.queue_facts("box")
    finally:
        rabbitmq_server.thaw()

    assert published.confirmed == 0
    assert isinstance(published.failure, Indefinite)
    assert "no confirm" in str(session.lost)
