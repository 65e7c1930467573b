"""Sessions between our own sender and receiver."""

import asyncio

import pytest

from tests.integration.feed.peers import QUICK, Recorder, at, hello, serving
from tests.support.waiting import wait_until
from ticketflow.feed import (
    Address,
    ConnectFailed,
    Hello,
    Limits,
    LocalProtocolError,
    PeerLeft,
    Refusal,
    Refused,
    Rotation,
    SenderSession,
    SessionLost,
    connect,
)


async def all_acked(session: SenderSession, seq: int) -> None:
    while session.acked != seq:
        assert await session.wait_ack(5) is not None


async def test_events_arrive_in_order_and_are_acknowledged() -> None:
    receiver = Recorder()
    async with serving(receiver) as server:
        session = await connect(at(server), hello())
        assert (session.welcome.receiver, session.welcome.watermark, session.acked) == ("billing-1", 0, 0)
        await session.send(1, [b"one", b"two"])
        await session.send(3, [b"three"])
        await all_acked(session, 3)
        assert receiver.events == {1: b"one", 2: b"two", 3: b"three"}
        await session.close()
        assert isinstance(session.error, PeerLeft)


async def test_many_events_pass_a_small_window() -> None:
    receiver = Recorder()
    limits = Limits(window_events=10)
    async with serving(receiver, limits) as server:
        session = await connect(at(server), hello())
        await session.send(1, [str(seq).encode() for seq in range(1, 1001)])
        await all_acked(session, 1000)
        assert receiver.events == {seq: str(seq).encode() for seq in range(1, 1001)}
        assert max(receiver.batches) <= 10
        await session.close()


async def test_what_queues_during_apply_is_applied_as_one_batch_within_bounds() -> None:
    receiver = Recorder()
    limits = Limits(batch_events_max=50)
    async with serving(receiver, limits) as server:
        session = await connect(at(server), hello())
        receiver.open.clear()
        for seq in range(1, 122):
            await session.send(seq, [b"x"])
            await asyncio.sleep(0)  # a frame of its own
        await wait_until(lambda: receiver.waiting)
        await wait_until(lambda: server.streams["reservation"].link.core.counts.events == 121)
        receiver.open.set()
        await all_acked(session, 121)
        assert max(receiver.batches) <= 50
        assert len(receiver.batches) <= 6
        await session.close()


async def test_wait_ack_gives_each_advance_once_and_none_on_timeout() -> None:
    receiver = Recorder(watermark=7)
    async with serving(receiver) as server:
        session = await connect(at(server), hello())
        assert await session.wait_ack(0.05) is None
        await session.send(8, [b"x"])
        assert await session.wait_ack(5) == 8
        assert await session.wait_ack(0.05) is None
        await session.close()


async def test_an_ack_that_came_before_the_end_is_still_told() -> None:
    receiver = Recorder()
    async with serving(receiver) as server:
        session = await connect(at(server), hello())
        await session.send(1, [b"x"])
        await wait_until(lambda: session.acked == 1)
        await server.drain(1)
        await asyncio.wait_for(session.closed.wait(), 5)
        assert await session.wait_ack(1) == 1
        with pytest.raises(SessionLost):
            await session.wait_ack(1)
        with pytest.raises(SessionLost):
            await session.send(2, [b"y"])


async def test_the_window_stops_a_sender_and_an_ack_lets_it_go_on() -> None:
    receiver = Recorder()
    async with serving(receiver, Limits(window_events=5)) as server:
        session = await connect(at(server), hello())
        receiver.open.clear()
        sending = asyncio.create_task(session.send(1, [b"x"] * 8))
        await wait_until(lambda: session.sent == 5)
        await asyncio.sleep(0.05)
        assert not sending.done()
        receiver.open.set()
        await sending
        await all_acked(session, 8)
        await session.close()


async def test_a_cancelled_send_leaves_the_session_usable() -> None:
    receiver = Recorder()
    async with serving(receiver, Limits(window_events=5)) as server:
        session = await connect(at(server), hello())
        receiver.open.clear()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(session.send(1, [b"x"] * 8), 0.05)
        receiver.open.set()
        assert session.sent is not None
        await session.send(1, [b"x"] * 8)  # passes over what was sent
        await all_acked(session, 8)
        assert len(receiver.events) == 8
        await session.close()


async def test_a_gap_is_our_own_fault_and_does_not_end_the_session() -> None:
    async with serving(Recorder()) as server:
        session = await connect(at(server), hello())
        with pytest.raises(LocalProtocolError, match="gap"):
            await session.send(5, [b"x"])
        await session.send(1, [b"x"])
        await session.close()


async def test_a_receiver_refuses_a_stream_with_its_own_code() -> None:
    receiver = Recorder()
    receiver.hello_fault = Refusal("stream_unknown", "no such stream")
    async with serving(receiver) as server:
        with pytest.raises(Refused, match="no such stream") as refused:
            await connect(at(server), hello())
        assert refused.value.code == "stream_unknown"


@pytest.mark.parametrize("fault", [OSError("the store is down"), ZeroDivisionError("a bug")])
async def test_a_receiver_that_cannot_tell_where_it_stands_is_unavailable(fault: Exception) -> None:
    receiver = Recorder()
    receiver.hello_fault = fault
    async with serving(receiver) as server:
        with pytest.raises(Refused) as refused:
            await connect(at(server), hello())
        assert (refused.value.code, refused.value.retry_after_s) == ("unavailable", 0.05)


async def test_a_receiver_that_never_answers_hello_is_unavailable() -> None:
    receiver = Recorder()
    receiver.hello_open.clear()
    async with serving(receiver) as server:
        with pytest.raises(Refused) as refused:
            await connect(at(server), hello())
        assert refused.value.code == "unavailable"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Refusal("sender_behind", "not my history"), "sender_behind"),
        (OSError("the store is down"), "unavailable"),
        (ZeroDivisionError("a bug"), "internal"),
    ],
)
async def test_a_failed_apply_ends_the_session_and_nothing_is_acknowledged(fault: Exception, code: str) -> None:
    receiver = Recorder()
    async with serving(receiver) as server:
        session = await connect(at(server), hello())
        receiver.fault = fault
        await session.send(1, [b"x"])
        with pytest.raises(Refused) as refused:
            await session.wait_ack(5)
        assert refused.value.code == code
        assert session.acked == 0
        again = await connect(at(server), hello())
        await again.send(1, [b"x"])
        assert await again.wait_ack(5) == 1
        await again.close()


async def test_what_was_applied_in_part_is_acknowledged_in_part() -> None:
    receiver = Recorder()

    async def half(*_: object) -> int:
        return 1

    receiver.apply = half  # type: ignore[method-assign,assignment]
    async with serving(receiver) as server:
        session = await connect(at(server), hello())
        await session.send(1, [b"a", b"b"])
        assert await session.wait_ack(5) == 1
        with pytest.raises(Refused) as refused:
            await session.wait_ack(5)
        assert refused.value.code == "unavailable"


async def test_the_newest_session_of_a_stream_wins() -> None:
    receiver = Recorder()
    async with serving(receiver) as server:
        old = await connect(at(server), hello(sender="old"))
        other = await connect(at(server), hello("billing"))
        new = await connect(at(server), hello(sender="new"))
        with pytest.raises(Refused) as refused:
            await old.wait_ack(5)
        assert refused.value.code == "superseded"
        await new.send(1, [b"x"])
        assert await new.wait_ack(5) == 1
        assert not other.closed.is_set()
        await new.close()
        await other.close()


async def test_the_new_session_applies_only_when_the_old_ones_apply_is_done() -> None:
    receiver = Recorder()
    async with serving(receiver) as server:
        receiver.open.clear()
        old = await connect(at(server), hello())
        await old.send(1, [b"old"])
        await wait_until(lambda: receiver.waiting == 1)
        new = await connect(at(server), hello())
        await new.send(1, [b"new", b"new"])
        await wait_until(old.closed.is_set)
        await wait_until(lambda: server.streams["reservation"].link.core.counts.events == 2)
        assert receiver.waiting == 1
        receiver.open.set()
        assert await new.wait_ack(5) == 2
        assert receiver.batches == [1, 2]
        await new.close()


async def test_a_refused_newcomer_does_not_end_the_session_that_lives() -> None:
    receiver = Recorder()
    async with serving(receiver) as server:
        session = await connect(at(server), hello())
        receiver.hello_fault = Refusal("fenced", "an older token")
        with pytest.raises(Refused):
            await connect(at(server), hello())
        await session.send(1, [b"x"])
        assert await session.wait_ack(5) == 1
        await session.close()


async def test_a_sender_turns_to_its_second_address_and_stays_there() -> None:
    receiver = Recorder()
    async with serving(receiver) as server:
        dead = Address("127.0.0.1", 1)
        addresses = [dead, *at(server)]
        rotation = Rotation(addresses)
        session = await connect(addresses, hello(), rotation=rotation)
        assert session.address == at(server)[0]
        assert rotation.order()[0] == at(server)[0]
        await session.close()
        assert rotation.order()[0] == at(server)[0]


async def test_a_sender_turns_away_from_a_receiver_that_leaves() -> None:
    first, second = Recorder(), Recorder()
    async with serving(first) as one, serving(second) as two:
        addresses = at(one) + at(two)
        rotation = Rotation(addresses)
        session = await connect(addresses, hello(), rotation=rotation)
        await one.drain(1)
        await asyncio.wait_for(session.closed.wait(), 5)
        assert rotation.order()[0] == at(two)[0]
        session = await connect(addresses, hello(), rotation=rotation)
        await session.send(1, [b"x"])
        assert await session.wait_ack(5) == 1
        await session.close()


async def test_a_refusal_that_every_receiver_would_give_is_raised_at_once() -> None:
    refusing, accepting = Recorder(), Recorder()
    refusing.hello_fault = Refusal("fenced", "an older token")
    async with serving(refusing) as one, serving(accepting) as two:
        with pytest.raises(Refused):
            await connect(at(one) + at(two), hello())
        refusing.hello_fault = Refusal("unavailable", "not now")
        session = await connect(at(one) + at(two), hello())
        assert session.address == at(two)[0]
        await session.close()


async def test_when_no_address_works_each_is_named() -> None:
    with pytest.raises(ConnectFailed, match=r"127.0.0.1:1: .*; 127.0.0.1:2: "):
        await connect([Address("127.0.0.1", 1), Address("127.0.0.1", 2)], hello())


async def test_an_invalid_hello_never_leaves() -> None:
    with pytest.raises(LocalProtocolError):
        await connect([Address("127.0.0.1", 1)], Hello(1, "NO", 1, 1, 1, "x"))


async def test_a_cancelled_connect_leaves_nothing() -> None:
    receiver = Recorder()
    receiver.hello_open.clear()
    async with serving(receiver) as server:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connect(at(server), hello()), 0.1)
        await wait_until(lambda: not server.connections)


async def test_abort_is_seen_by_the_receiver_at_once() -> None:
    receiver = Recorder()
    async with serving(receiver) as server:
        session = await connect(at(server), hello())
        session.abort()
        await wait_until(lambda: not server.connections)
        assert server.streams == {}


async def test_limits_of_time_are_the_receivers() -> None:
    async with serving(Recorder(), QUICK) as server:
        session = await connect(at(server), hello())
        await wait_until(lambda: session.rtt_s is not None, 2)  # it pings by WELCOME's interval, not by its own
        await session.close()
