"""The bell between processes: heard at once, never twice for one moment, and never in the way."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.ports import free_port
from tests.support.waiting import wait_until
from ticketflow.runtime import bell as bells
from ticketflow.runtime.address import Address
from ticketflow.runtime.bell import Bell, Ringer


@asynccontextmanager
async def hanging(port: int) -> AsyncIterator[Bell]:
    bell = Bell("127.0.0.1", port)
    running = asyncio.create_task(bell.run())
    try:
        yield bell
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_ring_is_heard_by_those_who_wait_for_its_name() -> None:
    port, heard, other = free_port(), asyncio.Event(), asyncio.Event()
    ringer = Ringer([Address("localhost", port)], "orders")
    async with hanging(port) as bell:
        with bell.heard("orders", heard.set), bell.heard("others", other.set):

            def rung() -> bool:
                ringer.set()  # the first ones may come before the bell hangs
                return heard.is_set()

            await wait_until(rung)
    ringer.close()
    assert not other.is_set()


async def test_many_rings_are_few_looks_and_the_last_is_heard() -> None:
    port, heard = free_port(), []
    async with hanging(port) as bell:
        ringer = Ringer([Address("127.0.0.1", port)], "orders")
        with bell.heard("orders", lambda: heard.append(time.monotonic())):

            def rung() -> bool:
                ringer.set()
                return bool(heard)

            await wait_until(rung)
            await asyncio.sleep(4 * bells.EVERY_S)
            heard.clear()
            began = time.monotonic()
            for _ in range(500):
                ringer.set()
            last = time.monotonic()
            await wait_until(lambda: bool(heard) and heard[-1] >= last)
            took_s = time.monotonic() - began
        ringer.close()
    assert len(heard) <= took_s / bells.EVERY_S + 2


async def test_nobody_there_is_no_trouble() -> None:
    ringer = Ringer([Address("127.0.0.1", free_port()), Address("no.such.host.invalid", 1)], "orders")
    assert ringer
    for _ in range(5):
        ringer.set()
        await asyncio.sleep(2 * bells.EVERY_S)
    ringer.close()


async def test_a_ringer_without_addresses_rings_nobody() -> None:
    ringer = Ringer([], "orders")
    assert not ringer
    ringer.set()
    ringer.close()


async def test_garbage_is_not_heard() -> None:
    port, heard, after = free_port(), asyncio.Event(), asyncio.Event()
    async with hanging(port) as bell:
        with bell.heard("orders", heard.set), bell.heard("after", after.set):
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=("127.0.0.1", port)
            )

            def garbage_came() -> bool:
                for data in (b"", b"\xff" * 2000, b"order", b"orders\0", b"after"):
                    transport.sendto(data)
                return after.is_set()

            await wait_until(garbage_came)
            transport.close()
    assert not heard.is_set()


async def test_a_bell_waits_for_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bells, "BIND_RETRY_S", 0.05)
    heard = asyncio.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        async with hanging(port) as bell:
            with bell.heard("orders", heard.set):
                ringer = Ringer([Address("127.0.0.1", port)], "orders")
                ringer.set()
                await asyncio.sleep(0.1)
                holder.close()

                def rung() -> bool:
                    ringer.set()
                    return heard.is_set()

                await wait_until(rung)
                ringer.close()
