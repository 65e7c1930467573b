"""relay wake: from COMMIT in one replica to the receiver, when another replica relays and has nothing to do.

Both sides are the same relay, each in a process of its own with the lease of its stream, over the same store. Ours is
told by the replica that committed (NOTIFY in Postgres; a ring in MariaDB, which cannot tell). The other one looks into
the outbox every 50 ms, as outbox relays do that nobody tells. Measured is what lies between the return of COMMIT and
the arrival of the event in the receiver, which sits in the committing process: one clock.
"""

import asyncio
import contextlib
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

import msgspec

from bench.goal import Goal, Measured
from bench.relay_process import Told
from bench.relay_store import Kind, Where, opened, prepare
from bench.run import Run
from ticketflow.delivery import Dialect, Outbox, Relays
from ticketflow.events import HoldReleased, decode, envelope_for, new_id
from ticketflow.feed import Address, FeedServer, Hello, Peer, Position

POLL_S = 0.05
SAMPLES = 20
PAUSE_S = (0.10, 0.25)  # at random, so that no poll is met at the same moment each time
ARRIVAL_TIMEOUT_S = 10.0
WAKE, POLL = "wake", "poll"


class Arrivals:
    """A receiver that notes when each event came."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[float]] = {}
        self._watermarks: dict[str, int] = {}

    def expect(self, event_id: str) -> "asyncio.Future[float]":
        self._waiting[event_id] = asyncio.get_running_loop().create_future()
        return self._waiting[event_id]

    async def hello(self, hello: Hello, peer: Peer) -> Position:
        return Position(hello.epoch, self._watermarks.get(hello.stream, 0))

    async def apply(self, hello: Hello, first_seq: int, bodies: Sequence[bytes]) -> int:
        now = time.perf_counter()
        if first_seq != self._watermarks.get(hello.stream, 0) + 1:
            raise AssertionError(f"{hello.stream}: {first_seq} came after {self._watermarks.get(hello.stream, 0)}")
        for body in bodies:
            self._waiting.pop(decode(body).id).set_result(now)
        self._watermarks[hello.stream] = first_seq + len(bodies) - 1
        return self._watermarks[hello.stream]


class Replica:
    """Commits events of one stream, and relays nothing: another process has the lease."""

    def __init__(self, pool: Any, dialect: Dialect[Any], stream: str, arrivals: Arrivals) -> None:
        self.outbox: Outbox[Any] = Outbox(dialect, stream)
        self._pool = pool
        self._arrivals = arrivals

    async def latency_ms(self) -> float:
        """The mean of SAMPLES."""
        found = []
        for _ in range(SAMPLES):
            await asyncio.sleep(random.uniform(*PAUSE_S))
            found.append(1000 * await self.one_s())
        return sum(found) / len(found)

    async def one_s(self) -> float:
        key = new_id()
        event = envelope_for(HoldReleased(hold_id=key), key=key, correlation_id="bench")
        arrival = self._arrivals.expect(event.id)
        async with self._pool.transaction() as conn:
            await self.outbox.stage(conn, [event])
        committed = time.perf_counter()
        self.outbox.notify()
        async with asyncio.timeout(ARRIVAL_TIMEOUT_S):
            return await arrival - committed


async def measure(run: Run, kind: Kind) -> Measured:
    arrivals = Arrivals()
    feed = FeedServer(arrivals, host="127.0.0.1", port=run.port(), name="bench")
    server = run.postgres() if kind == "postgres" else run.mariadb()
    async with server as (_, database), contextlib.AsyncExitStack() as running:
        where, bell = Where(kind=kind, database=database), run.port()
        await asyncio.to_thread(prepare, where)
        await feed.start()
        running.push_async_callback(feed.drain, 1)
        pool, dialect = await running.enter_async_context(opened(where, rings=(bell, WAKE)))
        port = feed.port
        assert port is not None
        for stream, poll_s in ((WAKE, None), (POLL, POLL_S)):
            told = Told(where=where, stream=stream, receiver=port, bell=bell, poll_s=poll_s)
            await running.enter_async_context(_process(told))
        wake, poll = (Replica(pool, dialect, stream, arrivals) for stream in (WAKE, POLL))
        for replica in (wake, poll):
            await replica.one_s()  # from now on somebody else has the lease
        relays = Relays(pool, dialect, stream=WAKE, addresses=[Address("127.0.0.1", port)], owner="committing")
        wake.outbox.wakes(relays.wake)
        running.push_async_callback(_stopped, asyncio.create_task(relays.run()))
        rounds = await run.interleaved(wake.latency_ms, poll.latency_ms)
        if relays.leading:
            raise AssertionError("the committing replica relayed by itself")
    return Measured(rounds, {"samples_a_round": SAMPLES})


@contextlib.asynccontextmanager
async def _process(told: Told) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.relay_process", stdin=subprocess.PIPE, stdout=sys.stderr
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(told) + b"\n")
    await process.stdin.drain()
    try:
        yield
    finally:
        process.stdin.close()
        await process.wait()


async def _stopped(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _goal(name: str, kind: Kind) -> Goal:
    return Goal(
        name,
        f"from COMMIT to the receiver, over an idle relay in another process, {kind}",
        f"the same relay, looking every {1000 * POLL_S:g} ms",
        "ms",
        "at most",
        0.2,
        partial(measure, kind=kind),
    )


GOALS = (_goal("relay-wake", "postgres"), _goal("relay-wake-mariadb", "mariadb"))
