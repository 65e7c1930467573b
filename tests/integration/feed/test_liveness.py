"""A slow peer is not a dead one, and a dead one is noticed."""

import asyncio
import time

import pytest

from tests.integration.feed.peers import QUICK, Recorder, Stranger, at, hello, listening, serving, stranger
from tests.support.waiting import wait_until
from ticketflow.feed import ConnectFailed, PeerSilent, connect


async def test_pings_flow_both_ways_while_apply_is_slow() -> None:
    receiver = Recorder()
    async with serving(receiver, QUICK) as server:
        receiver.open.clear()
        session = await connect(at(server), hello(), limits=QUICK)
        await session.send(1, [b"x"] * 2048)  # the window is full
        await wait_until(lambda: receiver.waiting)
        await asyncio.sleep(3 * QUICK.idle_timeout_s)  # the very thing under test: a time without acks
        assert not session.closed.is_set()
        assert len(receiver.peers) == 1  # never reconnected
        receiver.open.set()
        while session.acked != 2048:
            assert await session.wait_ack(5)
        await session.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers HELLO with WELCOME, then says nothing."""
    peer = Stranger(reader, writer)
    await peer.hear()
    peer.say("welcome", 1, 1, 0, 2048, 2097152, 100, 500, "silent")
    await reader.read(-1)


async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says nothing at all."""
    await reader.read(-1)


async def test_a_silent_receiver_is_left() -> None:
    async with listening(silent) as addresses:
        session = await connect(addresses, hello())
        began = time.monotonic()
        with pytest.raises(PeerSilent):
            await session.wait_ack(5)
        assert time.monotonic() - began < 2
        await session.close()


async def test_a_receiver_that_never_says_welcome_is_left() -> None:
    async with listening(mute) as addresses:
        with pytest.raises(ConnectFailed, match="no answer to HELLO"):
            await connect(addresses, hello(), limits=QUICK)


async def test_a_loop_that_stood_still_does_not_blame_the_peer() -> None:
    """Neither end is to blame, as both were in the process that was stopped, or starved."""
    receiver = Recorder()
    async with serving(receiver, QUICK) as server:
        session = await connect(at(server), hello(), limits=QUICK)
        for _ in range(3):
            time.sleep(3 * QUICK.idle_timeout_s)  # noqa: ASYNC251
            await asyncio.sleep(2 * QUICK.ping_interval_s)
        await session.send(1, [b"x"])
        assert await session.wait_ack(5) == 1
        await session.close()


async def test_who_says_hello_while_we_stand_still_is_welcome() -> None:
    async with serving(Recorder(), QUICK) as server, stranger(server.port) as peer:
        await wait_until(lambda: server.connections)
        time.sleep(3 * QUICK.hello_timeout_s)  # noqa: ASYNC251
        assert (await peer.greet())[0] == "welcome"
