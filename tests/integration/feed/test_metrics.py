"""What a session leaves in the metrics."""

import asyncio
from itertools import count

from prometheus_client import REGISTRY

from tests.integration.feed.peers import Recorder, Stranger, at, hello, serving, stranger
from tests.support.waiting import wait_until
from ticketflow.feed import Limits, connect

numbers = count(1)


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_sessions_events_and_refusals_are_counted() -> None:
    stream = f"counted-{next(numbers)}"  # totals outlive a test
    refusals = value("feed_refusals_total", role="receiver", way="out", code="bad_message")
    async with serving(Recorder()) as server:
        session = await connect(at(server), hello(stream))
        assert value("feed_sessions_open", role="sender", stream=stream) == 1
        assert value("feed_sessions_open", role="receiver", stream=stream) == 1
        await session.send(1, [b"x"] * 10)
        assert await session.wait_ack(5) == 10
        await session.close()
        async with stranger(server.port) as peer:
            await refuse_me(peer)
    for role in ("sender", "receiver"):
        assert value("feed_events_total", role=role, stream=stream) == 10
        assert value("feed_sessions_total", role=role, stream=stream) == 1
        assert value("feed_sessions_open", role=role, stream=stream) == 0
        assert value("feed_window_events_used", role=role, stream=stream) == 0
    assert value("feed_ack_seconds_count", stream=stream) == 1
    assert value("feed_apply_seconds_count", stream=stream) == 1
    assert value("feed_connects_total", stream=stream, outcome="ok") == 1
    assert value("feed_connections_open") == 0
    assert value("feed_refusals_total", role="receiver", way="out", code="bad_message") == refusals + 1


async def test_a_window_that_is_full_shows_while_nothing_is_acknowledged() -> None:
    stream = f"stalled-{next(numbers)}"
    receiver = Recorder()
    receiver.open.clear()
    async with serving(receiver, Limits(window_events=8)) as server:
        session = await connect(at(server), hello(stream))
        sending = asyncio.create_task(session.send(1, [b"x"] * 20))
        await wait_until(lambda: value("feed_window_events_used", role="sender", stream=stream) == 8)
        await wait_until(lambda: value("feed_window_events_used", role="receiver", stream=stream) == 8)
        assert value("feed_window_events_max", stream=stream) == 8
        receiver.open.set()
        await sending
        await session.close()
    assert value("feed_window_events_used", role="sender", stream=stream) == 0


async def refuse_me(peer: Stranger) -> None:
    peer.say("nonsense")
    assert await peer.refused() == "bad_message"


async def test_a_peer_cannot_invent_labels() -> None:
    before = value("feed_refusals_total", role="receiver", way="in", code="other")
    async with serving(Recorder()) as server, stranger(server.port) as peer:
        await peer.greet()
        peer.say("refuse", "my_own_label", "", None)
        assert await peer.reader.read() is not None
    assert value("feed_refusals_total", role="receiver", way="in", code="other") == before + 1
