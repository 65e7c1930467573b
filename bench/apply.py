"""billing apply: hold.placed from the listener to the order book, as batches, and by the driver itself.

Both sides write the same rows into the same tables: an order, its lines, its history, the event for the portal in the
outbox, dedup key and watermark, COMMIT flushed. Ours is the listener's own path, ``Inbox.apply`` with billing's
handlers, and gets as many events at once as a feed session hands over when they queue up, on four lanes. The other side
is what one would write with aiomysql (apply_peer.py): an event a transaction, on eight connections that have a stream
each, so that their COMMITs share flushes.

``ours_one_by_one_events_per_s`` is our own path with an event at a time on as many connections, the other side of once:
what batches gain by themselves.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median

from bench import apply_ceilings, apply_peer
from bench.apply_events import SEATS, placed
from bench.goal import Goal, Measured
from bench.run import Run
from billing.orders.changes import Changes
from billing.orders.handlers import handlers
from billing.service import FOLDERS
from tests.support.databases import Database
from ticketflow.delivery import Inbox, MariaDBDialect, Outbox
from ticketflow.feed import VERSION, Hello, Limits, Peer
from ticketflow.runtime.address import Address
from ticketflow.runtime.mariadb import Connection, MariaDBPool, query
from ticketflow.runtime.migrate import migrate

BATCH_EVENTS = Limits().batch_events_max
OURS_EVENTS, OTHER_EVENTS = 16 * BATCH_EVENTS, 960
CONNECTIONS = 8
LANES = 4  # of ours, as `lanes set 4` makes them: while the server writes some, another is decoded


class Stream:
    """One stream of events into billing's inbox."""

    def __init__(self, pool: MariaDBPool, name: str) -> None:
        changes = Changes(Outbox(MariaDBDialect(), "billing"))
        self._inbox: Inbox[Connection] = Inbox(pool, MariaDBDialect(), stream=name, handlers=handlers(changes))
        self._hello = Hello(VERSION, name, 1, 1, 0, "bench")
        self._seq = 0

    async def greet(self) -> None:
        await self._inbox.hello(self._hello, Peer("127.0.0.1", 1))

    async def take(self, bodies: list[bytes], at_once: int) -> None:
        for start in range(0, len(bodies), at_once):
            batch = bodies[start : start + at_once]
            done = await self._inbox.apply(self._hello, self._seq + 1, batch)
            self._seq += len(batch)
            if done != self._seq:
                raise AssertionError(f"the watermark is {done}, and {self._seq} events were sent")


class Bench:
    def __init__(self, pool: MariaDBPool, peer: apply_peer.Peer) -> None:
        self._pool = pool
        self._peer = peer
        self._lanes = [Stream(pool, f"reservation.{n}") for n in range(LANES)]
        self._many = [Stream(pool, f"single-{n}") for n in range(CONNECTIONS)]
        self._sent = 0

    async def greet(self) -> None:
        for stream in (*self._lanes, *self._many):
            await stream.greet()

    async def ours(self, lanes: int = LANES) -> float:
        """Events/s in batches."""
        bodies = self._made(OURS_EVENTS)
        began = time.perf_counter()
        await asyncio.gather(*(self._lanes[n].take(bodies[n::lanes], BATCH_EVENTS) for n in range(lanes)))
        return OURS_EVENTS / (time.perf_counter() - began)

    async def other(self) -> float:
        """Events/s by the driver itself."""
        bodies = self._made(OTHER_EVENTS)
        began = time.perf_counter()
        await self._peer.take(bodies)
        return OTHER_EVENTS / (time.perf_counter() - began)

    async def one_by_one(self) -> float:
        """Events/s of ours, each in a transaction of its own."""
        bodies = self._made(OTHER_EVENTS)
        began = time.perf_counter()
        await asyncio.gather(*(stream.take(bodies[n::CONNECTIONS], 1) for n, stream in enumerate(self._many)))
        return OTHER_EVENTS / (time.perf_counter() - began)

    async def check(self) -> None:
        """Every order is there once, with its lines, and its event staged once; nothing was parked."""
        wanted = {
            "SELECT COUNT(*) AS n FROM orders WHERE state = 'PENDING'": self._sent,
            "SELECT COUNT(*) AS n FROM order_lines": SEATS * self._sent,
            "SELECT COUNT(*) AS n FROM order_history": self._sent,
            "SELECT COUNT(*) AS n FROM delivery_outbox WHERE kind = 'order.pending'": self._sent,
            "SELECT COUNT(DISTINCT event_key) AS n FROM delivery_outbox": self._sent,
            "SELECT COUNT(*) AS n FROM delivery_inbox": self._sent,
            "SELECT COUNT(*) AS n FROM delivery_parked": 0,
        }
        async with self._pool.acquire() as conn:
            for statement, count in wanted.items():
                if (found := (await query(conn, statement))[0]["n"]) != count:
                    raise AssertionError(f"{statement}: {found}, and it should be {count}")

    def _made(self, count: int) -> list[bytes]:
        self._sent += count
        return placed(count)


async def measure(run: Run) -> Measured:
    async with (
        run.mariadb() as (_, database),
        opened(database, FOLDERS) as pool,
        apply_peer.opened(database, CONNECTIONS) as peer,
    ):
        bench = Bench(pool, peer)
        await bench.greet()
        rounds = await run.interleaved(bench.ours, bench.other)
        one_lane = median([await bench.ours(1) for _ in rounds])
        one_by_one = median([await bench.one_by_one() for _ in rounds])
        await bench.check()
        run.tell("the ceilings: the same rows, and nothing else")
        ceilings = await apply_ceilings.measure(pool, LANES)
    measured = Measured(rounds)
    return Measured(
        rounds,
        {"one_lane_events_per_s": one_lane, "ours_one_by_one_events_per_s": one_by_one}
        | {f"ceiling_{name}_events_per_s": rate for name, rate in ceilings.items()}
        | {f"of_{name}": measured.ours / rate for name, rate in ceilings.items()},
    )


@contextlib.asynccontextmanager
async def opened(database: Database, folders: tuple[Path, ...]) -> AsyncIterator[MariaDBPool]:
    """A pool over a migrated database."""
    url = f"mysql://{database.user}:{database.password}@{database.address}/{database.name}"
    await asyncio.to_thread(migrate, url, folders, "bench")
    pool = MariaDBPool(
        [Address(database.host, database.port)],
        database.name,
        database.user,
        database.password,
        name="bench",
        size_min=CONNECTIONS,
        size_max=CONNECTIONS,
    )
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


GOALS = (
    Goal(
        "apply",
        f"billing's listener takes hold.placed into the order book, as many at once as queue up, in {LANES} lanes",
        f"the same rows by aiomysql itself, one event a transaction on {CONNECTIONS} connections",
        "events/s",
        "at least",
        10,
        measure,
    ),
)
