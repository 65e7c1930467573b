"""Seat maps of 5,000 seats while they are being sold: what a look costs, and how many there can be."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from bench.cpu import cpu_s, used_s
from bench.goal import Goal, Measured
from bench.maps_house import (
    Sale,
    make_event,
    migrated,
    postgres_pid,
    reservation_process,
    serving,
    until_ready,
)
from bench.maps_readers import Manner, Reading, read
from bench.run import Run
from ticketflow.runtime.postgres import PostgresPool

SEATS = 5000
ALLOWED_MS = 1.0
HOLDS_PER_S = 20.0  # two seats each
STALENESS_S = 1.1  # promised: 1 s; a tenth for the two clocks
ROUND_S = 3.0
PLAIN = Manner("plain", gzip=False)
GZIP = Manner("gzip")
AGAIN = Manner("again", conditional=True)
# Browsers that open the map, browsers that look again every now and then, and a few programs that cannot unpack.
MIX = [GZIP] * 20 + [AGAIN] * 8 + [PLAIN] * 4
PAUSE_S = 0.1  # between two looks of one reader: at most 320 a second in all, which is no stress but a sale
PEER_LEAST = 24  # answers of the peer in a round, however long they take


@dataclass
class Hall:
    """``peer``: the address of the way it was; ``pids``: of the replica and of Postgres."""

    url: str
    peer: str
    pids: Mapping[str, int]
    sale: Sale

    def check(self, body: bytes, asked: datetime) -> None:
        self.sale.check(body, asked, STALENESS_S)


@asynccontextmanager
async def _hall(run: Run) -> AsyncIterator[Hall]:
    """Everything runs, and the sale goes on until it is over."""
    async with run.postgres() as (server, database):
        await migrated(database.dsn)
        pool = PostgresPool(database.dsn, name="sale")
        await pool.open()
        event_id, seats = await make_event(pool, SEATS)
        path = f"/api/v1/events/{event_id}/availability"
        with run.folder() as folder:
            async with reservation_process(run, database.dsn, folder) as (base, pid):
                port = run.port()
                command = [sys.executable, "-m", "bench.maps_peer", str(port)]
                async with serving(command, {"BENCH_DSN": database.dsn}, folder / "peer.log"):
                    peer = f"http://127.0.0.1:{port}"
                    await until_ready(peer)
                    sale = Sale(pool, event_id, seats, HOLDS_PER_S)
                    selling = asyncio.create_task(sale.run())
                    try:
                        yield Hall(base + path, peer + path, {"ours": pid, "store": postgres_pid(server)}, sale)
                    finally:
                        selling.cancel()
                        with suppress(asyncio.CancelledError):
                            await selling
                        await pool.close()


async def measure_cpu(run: Run) -> Measured:
    """ms of the replica's CPU for each look, of what is allowed."""
    rates: list[float] = []
    postgres_ms: list[float] = []
    kinds: list[Reading] = []
    async with _hall(run) as hall:

        async def ours() -> float:
            before = cpu_s(hall.pids)
            reading = await read(hall.url, MIX, ROUND_S * 2, hall.check, pause_s=PAUSE_S)
            used = used_s(before, cpu_s(hall.pids))
            looks = reading.answers.total()
            postgres_ms.append(used["store"] * 1000 / looks)
            rates.append(reading.per_s)
            kinds.append(reading)
            return used["ours"] * 1000 / looks

        async def allowed() -> float:
            return ALLOWED_MS

        rounds = await run.interleaved(ours, allowed)
        assert len(hall.sale.held) > 100, "the sale stood still"
        full = await read(hall.url, MIX, ROUND_S, hall.check)
    return Measured(
        rounds,
        {
            "looks/s": median(rates),
            "looks/s, as fast as they can": full.per_s,
            "of them answered 304": sum(one.answers[304] for one in kinds) / sum(one.answers.total() for one in kinds),
            "ms of Postgres' CPU a look, the sale included": median(postgres_ms),
            "seats held meanwhile": len(hall.sale.held),
        },
    )


async def measure_naive(run: Run) -> Measured:
    """Looks a second, of a reader who cannot unpack, as all were served before."""
    notes: dict[str, float] = {}
    async with _hall(run) as hall:

        async def looked(note: str, url: str, least: int) -> float:
            before = cpu_s(hall.pids)
            reading = await read(url, [PLAIN] * 16, ROUND_S, hall.check, least=least)
            notes[note] = used_s(before, cpu_s(hall.pids))["store"] * 1000 / reading.answers.total()
            return reading.per_s

        async def ours() -> float:
            return await looked("ms of Postgres' CPU a look", hall.url, 0)

        async def naive() -> float:
            return await looked("the same of the other", hall.peer, PEER_LEAST)

        rounds = await run.interleaved(ours, naive)
        for manner in (GZIP, AGAIN):
            reading = await read(hall.url, [manner] * 16, ROUND_S, hall.check)
            notes[f"looks/s, {manner.name}"] = reading.per_s
            notes[f"kB a look, {manner.name}"] = reading.bytes_read / 1000 / reading.answers.total()
    return Measured(rounds, notes)


GOALS = (
    Goal(
        "maps-cpu",
        "CPU of a look at a map of 5,000 seats that are being sold: plain, gzip and 304, mixed",
        "the millisecond that is allowed",
        "ms of CPU",
        "at most",
        1.0,
        measure_cpu,
    ),
    Goal(
        "maps-naive",
        "looks a second at a map of 5,000 seats that are being sold, from memory",
        "a query for each look, as it was before",
        "looks/s",
        "at least",
        10.0,
        measure_naive,
    ),
)
