"""A receiver that is stopped finishes what it has begun, says so, and leaves nothing behind."""

import asyncio
import time

import pytest

from tests.integration.feed.peers import QUICK, Recorder, at, hello, serving, stranger
from tests.support.waiting import wait_until
from ticketflow.feed import ConnectFailed, Refused, SessionLost, connect


async def test_the_apply_in_progress_is_finished_and_acknowledged() -> None:
    receiver = Recorder()
    async with serving(receiver) as server:
        receiver.open.clear()
        session = await connect(at(server), hello())
        await session.send(1, [b"begun"])
        await wait_until(lambda: receiver.waiting)
        await session.send(2, [b"queued"])
        draining = asyncio.create_task(server.drain(5))
        with pytest.raises(SessionLost):  # GOODBYE has come: no more may be sent
            while True:
                await session.send((session.sent or 0) + 1, [b"more"])
                await asyncio.sleep(0.01)
        receiver.open.set()
        assert await session.wait_ack(5) == 1
        await asyncio.wait_for(draining, 5)
        await asyncio.wait_for(session.closed.wait(), 5)
        assert receiver.events == {1: b"begun"}


async def test_new_senders_find_the_door_closed() -> None:
    receiver = Recorder()
    async with serving(receiver) as server:
        addresses = at(server)
        await server.drain(1)
        with pytest.raises(ConnectFailed):
            await connect(addresses, hello())


async def test_a_sender_in_the_handshake_is_told_to_go_elsewhere() -> None:
    receiver = Recorder()
    receiver.hello_open.clear()
    async with serving(receiver) as server:
        connecting = asyncio.create_task(connect(at(server), hello()))
        await wait_until(lambda: receiver.peers)
        await server.drain(1)
        with pytest.raises(Refused) as refused:
            await connecting
        assert refused.value.code == "shutting_down"


async def test_what_does_not_end_by_the_deadline_is_cut_off() -> None:
    receiver = Recorder()
    async with serving(receiver) as server, stranger(server.port) as silent:
        receiver.open.clear()
        session = await connect(at(server), hello())
        await session.send(1, [b"x"])
        await silent.greet("billing")
        await wait_until(lambda: receiver.waiting)
        began = time.monotonic()
        await server.drain(0.2)
        assert time.monotonic() - began < 2
        assert receiver.waiting == 0
        await asyncio.wait_for(session.closed.wait(), 5)
        assert session.acked == 0


async def test_idle_sessions_do_not_hold_a_drain_up() -> None:
    receiver = Recorder()
    async with serving(receiver, QUICK) as server:
        sessions = [await connect(at(server), hello(f"stream-{number}")) for number in range(5)]
        began = time.monotonic()
        await server.drain(8)
        assert time.monotonic() - began < 4
        for session in sessions:
            await asyncio.wait_for(session.closed.wait(), 5)


async def test_a_sender_that_closes_gets_the_acks_of_what_it_sent() -> None:
    receiver = Recorder()
    async with serving(receiver) as server:
        receiver.open.clear()
        session = await connect(at(server), hello())
        await session.send(1, [b"a"])
        await wait_until(lambda: receiver.waiting)
        await session.send(2, [b"b"])
        closing = asyncio.create_task(session.close())
        await asyncio.sleep(0.05)
        receiver.open.set()
        await closing
        assert session.acked == 2


async def test_a_sender_does_not_wait_for_ever_to_close() -> None:
    receiver = Recorder()
    async with serving(receiver) as server:
        receiver.open.clear()
        session = await connect(at(server), hello())
        await session.send(1, [b"a"])
        await wait_until(lambda: receiver.waiting)
        began = time.monotonic()
        await session.close(timeout_s=0.1)
        assert time.monotonic() - began < 1.8
        assert session.acked == 0


async def test_a_session_that_waits_for_its_turn_leaves_at_once() -> None:
    receiver = Recorder()
    async with serving(receiver) as server:
        receiver.open.clear()
        old = await connect(at(server), hello())
        await old.send(1, [b"x"])
        await wait_until(lambda: receiver.waiting)
        new = await connect(at(server), hello())
        draining = asyncio.create_task(server.drain(5))
        await asyncio.wait_for(new.closed.wait(), 5)
        assert receiver.waiting == 1  # while the old session's apply still runs
        receiver.open.set()
        await draining


async def test_a_drain_that_is_cancelled_still_cuts_off() -> None:
    receiver = Recorder()
    async with serving(receiver) as server:
        receiver.open.clear()
        session = await connect(at(server), hello())
        await session.send(1, [b"x"])
        await wait_until(lambda: receiver.waiting)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.drain(5), 0.1)
        await wait_until(lambda: not receiver.waiting and not server.connections)
