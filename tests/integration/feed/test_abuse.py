"""Peers that break the rules are refused with a code and cut off; others do not notice."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import msgpack
import pytest

from tests.integration.feed.peers import QUICK, Recorder, Stranger, at, hello, listening, serving, stranger
from tests.support.waiting import wait_until
from ticketflow.feed import FeedServer, Limits, RemoteProtocolError, SenderSession, connect


@pytest.fixture
async def receiver() -> Recorder:
    return Recorder()


@pytest.fixture
async def server(receiver: Recorder) -> AsyncIterator[FeedServer]:
    async with serving(receiver, replace(QUICK, window_events=4, window_bytes=262144)) as server:
        yield server


@pytest.fixture
async def good(server: FeedServer, receiver: Recorder) -> AsyncIterator[SenderSession]:
    """A sender that behaves, and must be as well off after the test as before it."""
    session = await connect(at(server), hello("good"))
    yield session
    receiver.open.set()
    await session.send(1, [b"still here"])
    assert await session.wait_ack(5) == 1
    await session.close()


GARBAGE = {
    "http": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "frame_too_large"),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500, "frame_too_large"),
    "a long frame": (b"\x7f\xff\xff\xff", "frame_too_large"),
    "an empty frame": (b"\x00\x00\x00\x00", "bad_frame"),
    "no msgpack": (b"\x00\x00\x00\x03\xc1\xc1\xc1", "bad_message"),
    "a nesting bomb": (b"\x00\x00\x03\xfc" + b"\x91" * 1020, "bad_message"),
    "a megabyte of it": (b"\xff" * 1_000_000, "frame_too_large"),
}


@pytest.mark.parametrize("data", GARBAGE)
async def test_garbage_is_refused(server: FeedServer, good: SenderSession, data: str) -> None:
    async with stranger(server.port) as peer:
        peer.write(GARBAGE[data][0])
        assert await peer.refused() == GARBAGE[data][1]


async def test_one_kib_is_all_that_may_come_before_hello(server: FeedServer, good: SenderSession) -> None:
    async with stranger(server.port) as peer:
        peer.say("hello", 1, "reservation", 1, 1, 1, "me", b"x" * 1000)
        assert await peer.refused() == "frame_too_large"


@pytest.mark.parametrize(
    ("first_words", "code"),
    [
        (["events", 1, [b"x"]], "out_of_turn"),
        (["ping", 1], "out_of_turn"),
        (["hello", 0, "reservation", 1, 1, 1, "me"], "bad_message"),
        (["hello", 1, "no such name", 1, 1, 1, "me"], "bad_message"),
    ],
)
async def test_a_wrong_beginning_is_refused(
    server: FeedServer, good: SenderSession, first_words: list[object], code: str
) -> None:
    async with stranger(server.port) as peer:
        peer.say(*first_words)
        assert await peer.refused() == code


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ((256 * 1024 + 1).to_bytes(4, "big"), "frame_too_large"),
        ((200_000).to_bytes(4, "big") + b"\x93\xa6events\x01" + b"\x91" * 199_991, "bad_message"),
        ((1021).to_bytes(4, "big") + b"\x92\xa7goodbye\xda\x03\xef" + b"x" * 1009, "bad_message"),
    ],
)
async def test_a_sender_that_was_welcomed_is_not_trusted_more(
    server: FeedServer, good: SenderSession, frame: bytes, code: str
) -> None:
    async with stranger(server.port) as peer:
        assert (await peer.greet())[0] == "welcome"
        peer.write(frame)
        assert await peer.refused() == code


async def test_the_window_in_events_is_enforced(server: FeedServer, good: SenderSession, receiver: Recorder) -> None:
    receiver.open.clear()
    async with stranger(server.port) as peer:
        await peer.greet()
        peer.say("events", 1, [b"x"])
        await wait_until(lambda: receiver.waiting)
        for seq in range(2, 6):
            peer.say("events", seq, [b"x"])
        assert await peer.refused() == "window_exceeded"
        receiver.open.set()
    await wait_until(lambda: 1 in receiver.events)  # what was begun was finished


async def test_the_window_in_bytes_is_enforced(server: FeedServer, good: SenderSession, receiver: Recorder) -> None:
    receiver.open.clear()
    async with stranger(server.port) as peer:
        await peer.greet()
        peer.say("events", 1, [b"x" * 200_000])
        peer.say("events", 2, [b"x" * 62_145])
        assert await peer.refused() == "window_exceeded"


async def test_a_gap_is_refused(server: FeedServer, good: SenderSession) -> None:
    async with stranger(server.port) as peer:
        await peer.greet()
        peer.say("events", 2, [b"x"])
        assert await peer.refused() == "gap"


async def test_a_repeated_frame_is_applied_once(server: FeedServer, good: SenderSession, receiver: Recorder) -> None:
    async with stranger(server.port) as peer:
        await peer.greet()
        for seq in (1, 1, 2, 1, 2):
            peer.say("events", seq, [b"x"])
        while (await peer.hear()) != ["ack", 2]:
            pass
    assert sum(receiver.batches) == 2


async def test_who_says_nothing_is_cut_off(server: FeedServer, good: SenderSession) -> None:
    async with stranger(server.port) as peer:
        assert await peer.refused() == "handshake_timeout"


async def test_who_says_hello_a_byte_at_a_time_is_cut_off(server: FeedServer, good: SenderSession) -> None:
    async with stranger(server.port) as peer:
        refused = asyncio.create_task(peer.refused())
        peer.write((1000).to_bytes(4, "big"))
        while not refused.done():
            peer.write(b"\x93")
            await asyncio.sleep(0.02)
        assert refused.result() == "handshake_timeout"


async def test_who_never_ends_a_frame_is_cut_off(server: FeedServer, good: SenderSession) -> None:
    async with stranger(server.port) as peer:
        await peer.greet()

        async def drip() -> None:
            peer.write((1000).to_bytes(4, "big"))
            while True:
                peer.write(b"\x93")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        head = await peer.reader.readexactly(4)
        message = msgpack.unpackb(await peer.reader.readexactly(int.from_bytes(head, "big")))
        while message[0] == "ping":  # unanswered: a PONG would have to wait for the end of our frame
            head = await peer.reader.readexactly(4)
            message = msgpack.unpackb(await peer.reader.readexactly(int.from_bytes(head, "big")))
        dripping.cancel()
        assert message[:2] == ["refuse", "frame_timeout"]


async def test_who_goes_silent_is_cut_off(server: FeedServer, good: SenderSession) -> None:
    async with stranger(server.port) as peer:
        await peer.greet()
        began = time.monotonic()
        data = await peer.reader.read()  # without answering
        assert b"idle_timeout" in data
        assert 0.3 < time.monotonic() - began < 3


async def test_a_flood_of_pings_is_refused(server: FeedServer, good: SenderSession) -> None:
    async with stranger(server.port) as peer:
        await peer.greet()
        peer.write(b"\x00\x00\x00\x07\x92\xa4ping\x01" * 10_000)
        assert await peer.refused() == "out_of_turn"


async def talk(peer: Stranger) -> str:
    message = await peer.hear()
    return str(message[1]) if message[0] == "refuse" else str(message[0])


async def test_connections_from_one_address_are_capped() -> None:
    receiver = Recorder()
    limits = replace(QUICK, connections_per_peer_max=3, hello_timeout_s=3)
    async with (
        serving(receiver, limits) as server,
        stranger(server.port),
        stranger(server.port),
        stranger(server.port),
        stranger(server.port) as one_too_many,
    ):
        assert await talk(one_too_many) == "too_many_sessions"
        assert server.connections == 4


async def test_connections_in_all_are_capped_and_a_flood_is_hung_up_on() -> None:
    receiver = Recorder()
    limits = replace(QUICK, connections_max=2, connections_per_peer_max=100, hello_timeout_s=3, linger_s=3)
    async with (
        serving(receiver, limits) as server,
        stranger(server.port),
        stranger(server.port),
        stranger(server.port) as third,
        stranger(server.port) as fourth,
        stranger(server.port) as fifth,
    ):
        assert await talk(third) == "too_many_sessions"
        assert await talk(fourth) == "too_many_sessions"
        with pytest.raises(ConnectionError):
            await fifth.hear()
        assert server.connections == 4


async def test_after_a_flood_there_is_room_again() -> None:
    receiver = Recorder()
    async with serving(receiver, replace(QUICK, connections_per_peer_max=4)) as server:
        for _ in range(20):
            async with stranger(server.port) as peer:
                peer.write(b"\xff" * 8)
        await wait_until(lambda: not server.connections)
        session = await connect(at(server), hello())
        await session.close()


async def test_a_receiver_that_breaks_the_rules_is_left() -> None:
    """The sender protects itself alike."""

    async def wrong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Stranger(reader, writer)
        await peer.hear()
        peer.say("welcome", 1, 1, 0, 2048, 2097152, 2000, 6000, "wrong")
        peer.say("ack", 5_000_000)
        told.append((await peer.hear())[1])

    told: list[str] = []
    async with listening(wrong) as addresses:
        session = await connect(addresses, hello(), limits=Limits())
        with pytest.raises(RemoteProtocolError):
            await session.wait_ack(5)
        await session.close()
        await wait_until(lambda: told == ["bad_ack"])
