"""A peer that knows the feed from its document alone: `msgpack` and a socket."""

import asyncio
from typing import Any

import pytest

from tests.integration.feed.peers import Recorder, Stranger, at, hello, listening, serving, stranger
from tests.unit.feed.document import listing
from ticketflow.feed import Limits, connect


@pytest.mark.parametrize("window_events", [3, 2048])
async def test_the_sender_of_the_document_works(window_events: int) -> None:
    receiver = Recorder()
    events = [str(seq).encode() * 1000 for seq in range(1, 301)]
    async with serving(receiver, Limits(window_events=window_events)) as server:
        acked = await asyncio.to_thread(listing()["send_all"], "127.0.0.1", server.port, "reservation", events)
    assert acked == 300
    assert receiver.events == dict(enumerate(events, 1))


async def test_a_strangers_sender_goes_on_after_the_watermark_and_leaves_with_goodbye() -> None:
    receiver = Recorder(watermark=40)
    async with serving(receiver) as server, stranger(server.port) as peer:
        welcome = await peer.greet()
        assert welcome[:4] == ["welcome", 1, 1, 40]
        peer.say("events", 41, [b"one", b"two"])
        peer.say("goodbye", "done")
        assert await peer.hear() == ["ack", 42]
        assert await peer.reader.read() == b""
    assert receiver.events == {41: b"one", 42: b"two"}


async def test_a_strangers_receiver_is_fed() -> None:
    got: list[Any] = []

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Stranger(reader, writer)
        greeting = await peer.hear()
        got.append(greeting)
        peer.say("welcome", 1, None, None, 2, 262144, 2000, 6000, "stranger", "a field of tomorrow")
        while (message := await peer.hear())[0] == "events":
            got.append(message)
            peer.say("ack", message[1] + len(message[2]) - 1)
        got.append(message)

    async with listening(receive) as addresses:
        session = await connect(addresses, hello(last_seq=9))
        assert session.welcome.watermark is None
        await session.send(7, [b"seven", b"eight", b"nine"])
        assert session.sent == 9
        await session.close("done")
    assert got == [
        ["hello", 1, "reservation", 1, 1, 9, "relay-1"],
        ["events", 7, [b"seven", b"eight"]],
        ["events", 9, [b"nine"]],
        ["goodbye", "done"],
    ]
    assert session.acked == 9


async def test_a_stranger_and_one_of_ours_are_served_side_by_side() -> None:
    receiver = Recorder()
    async with serving(receiver) as server, stranger(server.port) as peer:
        await peer.greet("billing")
        ours = await connect(at(server), hello())
        await ours.send(1, [b"ours"])
        assert await ours.wait_ack(5) == 1
        peer.say("events", 1, [b"theirs"])
        assert await peer.hear() == ["ack", 1]
        await ours.close()
