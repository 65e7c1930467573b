"""The simulated machinery itself: processes, the database in memory, the network."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.simulation.database import Database
from tests.simulation.loop import Process, SimulatedLoop, now
from tests.simulation.network import Network
from tests.simulation.rates import StoreRates, WireRates
from tests.simulation.rows import AggregateEntry
from tests.simulation.session import Gone, Victim
from tests.simulation.trace import Trace

STEADY = StoreRates(slow=0.0)


def simulated(story: Callable[[SimulatedLoop], Awaitable[Any]]) -> None:
    loop = SimulatedLoop()

    async def told() -> None:
        await story(loop)

    try:
        loop.run_until_complete(told())
    finally:
        loop.end()


async def tick(told: list[float]) -> None:
    try:
        while True:
            await asyncio.sleep(1)
            told.append(now())
    finally:
        told.append(-1.0)


def test_a_stopped_process_is_late_and_a_killed_one_does_not_even_clean_up() -> None:
    told: list[float] = []

    async def story(loop: SimulatedLoop) -> None:
        process = Process("p", loop)
        process.spawn(tick(told))
        await asyncio.sleep(1.5)
        process.stop()
        await asyncio.sleep(3)
        process.resume()
        await asyncio.sleep(1.2)
        process.kill()
        await asyncio.sleep(5)
        assert told == [1.0, 4.5, 5.5]

    simulated(story)


def database(loop: SimulatedLoop, rates: StoreRates = STEADY) -> Database:
    return Database("db", loop, random.Random(1), rates, Trace())


def test_nobody_sees_what_is_not_committed_and_a_lock_is_held_until_then() -> None:
    async def story(loop: SimulatedLoop) -> None:
        store, process = database(loop), Process("p", loop)
        first, second = store.connect(process), store.connect(process)
        await first.lock("aggregate", "a")
        first.put("aggregate", "a", AggregateEntry(("1",)))
        assert second.get("aggregate", "a") is None
        waiting = asyncio.ensure_future(second.lock("aggregate", "a"))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await store.commit(first)
        await waiting
        assert second.get("aggregate", "a").marks == ("1",)

    simulated(story)


def test_a_circle_of_waits_has_a_victim() -> None:
    async def story(loop: SimulatedLoop) -> None:
        store, process = database(loop), Process("p", loop)
        first, second = store.connect(process), store.connect(process)
        await first.lock("aggregate", "a")
        await second.lock("aggregate", "b")
        waiting = asyncio.ensure_future(first.lock("aggregate", "b"))
        await asyncio.sleep(0.1)
        with pytest.raises(Victim):
            await second.lock("aggregate", "a")
        await waiting

    simulated(story)


def test_a_restore_forgets_and_cuts_off() -> None:
    async def story(loop: SimulatedLoop) -> None:
        store, process = database(loop), Process("p", loop)
        empty = store.snapshot()
        session = store.connect(process)
        session.put("aggregate", "a", AggregateEntry(("1",)))
        await store.commit(session)
        open_one = store.connect(process)
        store.restore(empty)
        assert store.table("aggregate") == {}
        with pytest.raises(Gone):
            open_one.check()

    simulated(story)


class Recorder(asyncio.Protocol):
    def __init__(self) -> None:
        self.data = b""
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


def test_bytes_arrive_in_order_in_pieces_and_after_those_of_a_newer_connection() -> None:
    async def story(loop: SimulatedLoop) -> None:
        network = Network(loop, random.Random(1), WireRates(chop=1.0), Trace())
        network.tap = lambda *_: None  # these are no frames
        client, server = Process("c", loop), Process("r", loop)
        accepted: list[Recorder] = []

        def admit(_host: str) -> Recorder:
            accepted.append(Recorder())
            return accepted[-1]

        network.listening["r", 1] = (server, admit)

        async def dialogue() -> None:
            old, _ = await loop.create_connection(Recorder, "r", 1)
            old.stalled_until = now() + 5
            old.write(b"older")
            new, _ = await loop.create_connection(Recorder, "r", 1)
            new.write(b"newer")

        await client.spawn(dialogue())
        await asyncio.sleep(1)
        assert [one.data for one in accepted] == [b"", b"newer"]
        await asyncio.sleep(5)
        assert [one.data for one in accepted] == [b"older", b"newer"]
        network.cut(next(iter(network.ends)))
        await asyncio.sleep(1)
        assert [one.lost for one in accepted] == [True, False]

    simulated(story)
