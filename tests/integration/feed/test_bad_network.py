"""A sender that reconnects, over a network that delays, fragments and cuts: everything arrives, in order."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from tests.integration.feed.peers import QUICK, Recorder, at, hello, listening, serving
from ticketflow.feed import Address, Backoff, Refused, Rotation, SessionLost, connect

COUNT = 3000
EVENTS = [str(seq).encode() * 20 for seq in range(1, COUNT + 1)]


@asynccontextmanager
async def bad_network(target: Address, rng: random.Random) -> AsyncIterator[list[Address]]:
    """A proxy before ``target``: pieces of any size, small delays, and every connection cut after a while."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = rng.randrange(100, 60_000)
        while left > 0 and (data := await reader.read(min(left, rng.choice([1, 7, 500, 4000])))):
            left -= len(data)
            writer.write(data)
            await asyncio.sleep(rng.choice([0, 0, 0, 0.001, 0.01]))
            await writer.drain()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            there, back = await asyncio.open_connection(target.host, target.port)
            ways = [asyncio.create_task(carry(reader, back)), asyncio.create_task(carry(there, writer))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                back.transport.abort()
                writer.transport.abort()

    async with listening(relay) as addresses:
        yield addresses


async def deliver(addresses: list[Address]) -> int:
    """Send all events, over as many sessions as it takes; how many that were."""
    rotation, backoff, sessions, acked = Rotation(addresses), Backoff(0.001, 0.05), 0, 0
    while acked < COUNT:
        try:
            session = await connect(addresses, hello(last_seq=COUNT), limits=QUICK, rotation=rotation)
        except (SessionLost, Refused):
            await asyncio.sleep(backoff.next())
            continue
        sessions += 1
        try:
            acked = session.welcome.watermark or 0
            for first in range(acked, COUNT, 50):
                await session.send(first + 1, EVENTS[first : first + 50])
            while acked < COUNT:
                acked = await session.wait_ack(5) or acked
                backoff.reset()
        except (SessionLost, Refused):
            await asyncio.sleep(backoff.next())
        finally:
            await session.close()
    return sessions


@pytest.mark.parametrize("seed", [1, 2])
async def test_everything_arrives_in_order_whatever_is_cut(seed: int) -> None:
    receiver = Recorder()
    limits = replace(QUICK, idle_timeout_s=1.0)
    async with serving(receiver, limits) as server, bad_network(at(server)[0], random.Random(seed)) as addresses:
        async with asyncio.timeout(30):
            sessions = await deliver(addresses)
    assert receiver.events == dict(enumerate(EVENTS, 1))
    assert sessions > 1
