"""The feed comes in, RabbitMQ has it all: acknowledged only when confirmed, whatever the broker goes through."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from stack.servers.rabbitmq import RabbitMQServer
from tests.integration.bridge.conftest import EPOCH, Bridge, Sender, an_event, drained, events_of, order_of
from tests.integration.bridge.facts import queue_is_on_disk, vhost_of
from tests.support.running import RunningServer
from tests.support.waiting import wait_until
from ticketflow.events import encode, new_id
from ticketflow.events.topology import DEAD_EXCHANGE, EVENTS_EXCHANGE, SALES_QUEUE, Exchange, Topology
from ticketflow.feed import Address, Hello, Refused, connect
from ticketflow.runtime.errors import Unavailable


async def all_acked(sender: Sender, timeout_s: float = 30) -> None:
    await wait_until(lambda: sender.acked == len(sender.bodies), timeout_s)


async def test_events_arrive_unchanged_in_order_and_named(bridge: Bridge, sender: Sender) -> None:
    key = new_id()
    event = an_event(key, 1)
    sender.stage(encode(event), b"\xc1 no event", *events_of([key], 300))

    await all_acked(sender)
    deliveries = await drained(bridge.amqp_url, sender.bodies)

    assert [delivery.body for delivery in deliveries] == sender.bodies
    assert deliveries[0].routing_key == "order.failed"
    assert deliveries[0].headers == {
        "stream": "billing",
        "epoch": EPOCH,
        "seq": 1,
        "event_id": event.id,
        "key": key,
        "version": 1,
        "correlation_id": "walk",
    }
    assert (deliveries[1].routing_key, deliveries[1].headers["seq"]) == ("undecodable", 2)


async def test_what_is_unroutable_is_not_acknowledged_until_a_binding_appears(
    rabbitmq_vhost: str, at_end: AsyncExitStack
) -> None:
    only_exchanges = Topology((Exchange(EVENTS_EXCHANGE), Exchange(DEAD_EXCHANGE)), (), ())
    bridge = Bridge(rabbitmq_vhost, only_exchanges)
    at_end.push_async_callback(bridge.stop)
    await bridge.server.start()
    sender = Sender(bridge.server.port)
    at_end.push_async_callback(sender.stop)
    sender.stage(*events_of([new_id()], 20))

    await wait_until(lambda: bridge.publisher.trouble)
    with pytest.raises(Unavailable, match="no queue for"):
        await bridge.publisher.check()
    assert sender.acked == 0
    assert sender.sessions == 1

    reading = asyncio.create_task(drained(rabbitmq_vhost, sender.bodies))  # its session declares queue and binding
    await all_acked(sender)
    assert sender.sessions == 1, "the session was kept"
    assert list(order_of(await reading).values()) == [list(range(1, 21))]
    await bridge.publisher.check()


async def test_a_queue_that_was_deleted_is_declared_again(
    bridge: Bridge, sender: Sender, rabbitmq_server: RunningServer[RabbitMQServer]
) -> None:
    sender.stage(*events_of([new_id()], 5))
    await all_acked(sender)

    arguments = ("delete_queue", "-p", vhost_of(bridge.amqp_url), SALES_QUEUE)
    await asyncio.to_thread(rabbitmq_server.server.control, *arguments)
    later = events_of([new_id()], 5)
    sender.stage(*later)

    await all_acked(sender)
    assert {delivery.body for delivery in await drained(bridge.amqp_url, later)} == set(later)


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_the_broker_goes_and_comes_while_the_feed_keeps_sending(
    bridge: Bridge, sender: Sender, rabbitmq_server: RunningServer[RabbitMQServer], how: str
) -> None:
    keys = [new_id() for _ in range(5)]
    events = iter(events_of(keys, 400))
    enough = asyncio.Event()

    async def keep_staging() -> None:
        for event in events:
            sender.stage(event)
            if enough.is_set():
                return
            await asyncio.sleep(0.005)

    sender.stage(next(events))
    await all_acked(sender)
    await wait_until(lambda: queue_is_on_disk(rabbitmq_server.server, bridge.amqp_url, SALES_QUEUE))
    staging = asyncio.create_task(keep_staging())
    await wait_until(lambda: sender.acked >= 50)

    await asyncio.to_thread(getattr(rabbitmq_server, how))
    held = len(sender.bodies)
    await wait_until(lambda: len(sender.bodies) >= held + 20)
    await wait_until(lambda: bridge.publisher.trouble)
    acked = sender.acked
    await asyncio.to_thread(rabbitmq_server.start)
    enough.set()
    await staging
    await all_acked(sender)

    assert acked < len(sender.bodies), "the outage was felt"
    assert sender.sessions == 1, "the feed's session outlived the broker"
    deliveries = await drained(bridge.amqp_url, sender.bodies)
    assert {delivery.body for delivery in deliveries} == set(sender.bodies), "nothing is lost, nothing invented"
    assert all(numbers == sorted(numbers) for numbers in order_of(deliveries).values()), "the order of each key is kept"
    await bridge.publisher.check()


async def test_a_frozen_broker_holds_up_the_feed_and_no_more(
    bridge: Bridge, sender: Sender, rabbitmq_server: RunningServer[RabbitMQServer]
) -> None:
    sender.stage(*events_of([new_id()], 10))
    await all_acked(sender)
    rabbitmq_server.freeze()
    try:
        sender.stage(*events_of([new_id()], 10))
        await wait_until(lambda: bridge.publisher.trouble, 15)
        assert sender.acked == 10
    finally:
        rabbitmq_server.thaw()

    await all_acked(sender)
    assert sender.sessions == 1


async def test_a_bridge_that_dies_is_replaced_and_nothing_is_lost(rabbitmq_vhost: str, at_end: AsyncExitStack) -> None:
    first = Bridge(rabbitmq_vhost)
    at_end.push_async_callback(first.stop)
    await first.server.start()
    port = first.server.port
    sender = Sender(port)
    at_end.push_async_callback(sender.stop)
    bodies = events_of([new_id(), new_id()], 500)
    sender.stage(*bodies)
    await wait_until(lambda: sender.acked > 0)
    await first.stop(deadline_s=0)

    second = Bridge(rabbitmq_vhost)
    at_end.push_async_callback(second.stop)
    second.server = type(second.server)(second.publisher, host="127.0.0.1", port=port)
    await second.server.start()
    await all_acked(sender)

    assert {delivery.body for delivery in await drained(rabbitmq_vhost, bodies)} == set(bodies)


async def test_memory_alarm_holds_up_the_feed_without_copies(
    bridge: Bridge, sender: Sender, rabbitmq_server: RunningServer[RabbitMQServer]
) -> None:
    """A broker with an alarm reads no publishes; sending them again and again would only add to its trouble."""
    sender.stage(*events_of([new_id()], 1))
    await all_acked(sender)
    control = rabbitmq_server.server.control
    await asyncio.to_thread(control, "set_vm_memory_high_watermark", "0.000001")
    try:
        sender.stage(*events_of([new_id()], 20))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(7):  # longer than the broker has for a confirm
                await all_acked(sender)
        assert sender.acked == 1
    finally:
        await asyncio.to_thread(control, "set_vm_memory_high_watermark", "absolute", "512MB")
    await all_acked(sender)
    assert len(await drained(bridge.amqp_url, sender.bodies)) == 21


async def test_other_streams_and_older_senders_are_refused(bridge: Bridge, sender: Sender) -> None:
    address = [Address("127.0.0.1", bridge.server.port)]
    sender.stage(*events_of([new_id()], 1))
    await all_acked(sender)

    with pytest.raises(Refused, match="stream_unknown"):
        await connect(address, Hello(1, "reservation", EPOCH, 1, 0, "reservation"))
    with pytest.raises(Refused, match="fenced"):
        await connect(address, Hello(1, "billing", EPOCH, 0, 0, "old"))


async def test_a_broker_that_was_never_there(at_end: AsyncExitStack) -> None:
    nowhere = Bridge("amqp://a:b@127.0.0.1:1/")
    at_end.push_async_callback(nowhere.stop, deadline_s=0)
    await nowhere.server.start()
    lonely = Sender(nowhere.server.port)
    at_end.push_async_callback(lonely.stop)
    lonely.stage(*events_of([new_id()], 3))

    await wait_until(lambda: nowhere.publisher.trouble)
    assert (lonely.acked, lonely.sessions) == (0, 1)
    with pytest.raises(Unavailable):
        await nowhere.publisher.check()


async def test_its_queue_is_there_before_any_consumer(bridge: Bridge) -> None:
    session = await bridge.broker.session()

    assert await session.queue_facts(SALES_QUEUE) == (0, 0)
