"""A backlog of a thousand events and one of a hundred thousand: what an event costs, and what memory they take."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import aiomysql
import asyncpg

from bench.goal import Goal, Measured
from bench.growth_ends import STREAM
from bench.maps_house import serving
from bench.run import Run
from tests.support.databases import Database
from ticketflow.delivery import SCHEMA, PostgresDialect
from ticketflow.events import HoldLine, HoldPlaced, encode, envelope_for, new_id
from ticketflow.runtime.migrate import migrate
from ticketflow.runtime.postgres import Connection

ONE_X = 1_000
TEN_X = 10_000
HUNDRED_X = 100_000
REPEATS = 8  # of the smallest, whose time is a tenth of a second
PATIENCE_S = 60.0
LOOK_S = 0.002


class Stream:
    """The sending store, and the process that empties it."""

    def __init__(self, conn: Connection, receiver: Database, pid: int) -> None:
        self._conn = conn
        self._receiver = receiver
        self._status = Path(f"/proc/{pid}/status")
        self.sent = 0

    async def drained_s(self, events: int) -> float:
        """Seconds from the COMMIT of so many events at once until all of them are acknowledged."""
        rows = [_row() for _ in range(events)]
        async with self._conn.transaction():
            await self._conn.copy_records_to_table(
                "delivery_outbox", columns=("event_id", "stream", "event_key", "kind", "body"), records=rows
            )
        began = time.perf_counter()
        self.sent += events
        await PostgresDialect().announce(self._conn, STREAM)
        while await self.acked() < self.sent:
            if time.perf_counter() - began > PATIENCE_S:
                raise TimeoutError(f"{events} events were not delivered within {PATIENCE_S:.0f} s")
            await asyncio.sleep(LOOK_S)
        return time.perf_counter() - began

    async def acked(self) -> int:
        return await self._conn.fetchval("SELECT acked_seq FROM delivery_stream WHERE stream = $1", STREAM) or 0

    def peak_mb(self) -> float:
        """The most memory that the process ever had."""
        lines = self._status.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024

    async def check(self) -> None:
        """Every event has had its effect, once."""
        to = self._receiver
        conn = await aiomysql.connect(host=to.host, port=to.port, user=to.user, password=to.password, db=to.name)
        async with conn.cursor() as cursor:
            await cursor.execute("SELECT count(*), count(DISTINCT seq), max(seq) FROM delivery_inbox")
            found = await cursor.fetchone()
        conn.close()
        assert found == (self.sent,) * 3, f"{self.sent} events were sent, and {found} are there"


def _row() -> tuple[str, str, str, str, bytes]:
    key = new_id()
    payload = HoldPlaced(
        hold_id=key,
        event_id=key,
        event_name="Evening",
        buyer_id="buyer",
        currency="EUR",
        total_minor=2500,
        lines=[HoldLine(unit_id=key, tier="all", label="A-1", price_minor=2500)],
        placed_at_us=1,
        expires_at_us=2,
        grace_s=60,
    )
    envelope = envelope_for(payload, key=key, correlation_id="bench")
    return envelope.id, STREAM, key, envelope.kind, encode(envelope)


class Stores:
    """Both, and a process of both ends whenever one is wanted."""

    def __init__(self, run: Run, conn: Connection, sending: Database, receiving: Database, folder: Path) -> None:
        self._run = run
        self._conn = conn
        self._sending = sending
        self._receiving = receiving
        self._folder = folder

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[Stream]:
        command = [sys.executable, "-m", "bench.growth_ends", str(self._run.port())]
        environment = {"BENCH_POSTGRES": self._sending.dsn, "BENCH_MARIADB": mysql_url(self._receiving)}
        async with serving(command, environment, self._folder / "ends.log") as pid:
            stream = Stream(self._conn, self._receiving, pid)
            stream.sent = await stream.acked()
            await stream.drained_s(1)  # it is there, and connected
            yield stream


def mysql_url(database: Database) -> str:
    return f"mysql://{database.user}:{database.password}@{database.address}/{database.name}"


@asynccontextmanager
async def _stores(run: Run) -> AsyncIterator[Stores]:
    async with run.postgres() as (_, sending), run.mariadb() as (_, receiving):
        await asyncio.to_thread(migrate, sending.dsn, [SCHEMA["postgres"]], "delivery")
        await asyncio.to_thread(migrate, mysql_url(receiving), [SCHEMA["mariadb"]], "delivery")
        conn = await asyncpg.connect(sending.dsn)
        with run.folder() as folder:
            yield Stores(run, conn, sending, receiving, folder)
        await conn.close()


async def measure_time(run: Run) -> Measured:
    """us an event of a backlog of 100,000, against those of 1,000."""
    tens: list[float] = []
    async with _stores(run) as stores, stores.stream() as stream:

        async def hundred() -> float:
            tens.append(await stream.drained_s(TEN_X) / TEN_X * 1e6)
            return await stream.drained_s(HUNDRED_X) / HUNDRED_X * 1e6

        async def one() -> float:
            return median([await stream.drained_s(ONE_X) for _ in range(REPEATS)]) / ONE_X * 1e6

        await one()
        rounds = await run.interleaved(hundred, one, warm_up=False)
        await stream.check()
    return Measured(rounds, {"us an event, 10,000": median(tens), "events": stream.sent})


async def measure_memory(run: Run) -> Measured:
    """The most memory of both ends, in MB, with a backlog of 100,000, against one of 1,000; a new process each time,
    since memory that was taken once is seldom given back."""
    async with _stores(run) as stores:

        async def peak_mb(events: int) -> float:
            async with stores.stream() as stream:
                await stream.drained_s(events)
                await stream.check()
                return stream.peak_mb()

        rounds = await run.interleaved(lambda: peak_mb(HUNDRED_X), lambda: peak_mb(ONE_X), warm_up=False)
    return Measured(rounds)


GOALS = (
    Goal(
        "growth-backlog",
        "an event of a backlog of 100,000, from Postgres to MariaDB through relay, feed and inbox",
        "an event of a backlog of 1,000",
        "us",
        "at most",
        1.3,
        measure_time,
    ),
    Goal(
        "growth-memory",
        "peak memory of relay and inbox with a backlog of 100,000 events",
        "with one of 1,000",
        "MB",
        "at most",
        1.3,
        measure_memory,
    ),
)
