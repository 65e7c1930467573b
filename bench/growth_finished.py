"""A hold, placed, given back and told, and one that lapses: where a million others are over and are being purged, and
where there are none."""

import asyncio
import time
from collections.abc import Mapping

import asyncpg

from bench.goal import Goal, Measured
from bench.growth_fill import HOLDS, fill
from bench.growth_shop import Shop, open_shop
from bench.maps_house import migrated
from bench.run import Run
from reservation.service import STREAM_OUT
from reservation.workers import Sweeper
from tests.support.databases import create_postgres
from ticketflow.delivery import Outbox, PostgresDialect
from ticketflow.runtime.postgres import Connection, PostgresPool

SEATS = 5_000
EACH = 120  # holds of a round
SWEPT = 60  # and those that lapse: fewer than the sweeper takes at once
TABLES = ("idempotency", "delivery_outbox", "holds")


class Side:
    """A shop and its database."""

    def __init__(self, shop: Shop, dsn: str) -> None:
        self.shop = shop
        self.dsn = dsn
        self.whole_ms: list[float] = []
        self.swept_ms: list[float] = []
        self._pool = PostgresPool(dsn, name="sweeper", size_max=1)
        outbox: Outbox[Connection] = Outbox(PostgresDialect(), STREAM_OUT)
        self._sweeper = Sweeper(self._pool, outbox)

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._pool.close()
        await self.shop.check(self.dsn)

    async def each_ms(self) -> float:
        """ms of a hold that is given back, and of one that is swept."""
        self.whole_ms.append(await self.shop.each_ms(EACH, whole=True))
        self.swept_ms.append(await self._sweep_ms())
        return self.whole_ms[-1] + self.swept_ms[-1]

    async def _sweep_ms(self) -> float:
        """For each hold that is over. The process's own sweeper looks once a second, and may have taken some."""
        for _ in range(3):
            placed = [(await self.shop.place())[0] for _ in range(SWEPT)]
            await self._lapse(placed)
            began = time.perf_counter()
            swept = await self._sweeper.run_once()
            took_s = time.perf_counter() - began
            if swept > SWEPT // 2:
                return took_s * 1000 / swept
        raise AssertionError("somebody else sweeps all the time")

    async def _lapse(self, hold_ids: list[str]) -> None:
        """Their time goes by."""
        async with self._pool.transaction() as conn:
            back = "interval '1 hour'"
            await conn.execute(
                f"UPDATE holds SET placed_at = placed_at - {back}, expires_at = expires_at - {back},"  # noqa: S608
                f" held_until = held_until - {back} WHERE hold_id = ANY ($1::uuid[])",
                hold_ids,
            )
            await conn.execute(
                f"UPDATE units SET held_until = held_until - {back} WHERE hold_id = ANY ($1::uuid[])",  # noqa: S608
                hold_ids,
            )


async def rows_of(dsn: str) -> Mapping[str, int]:
    conn = await asyncpg.connect(dsn)
    found = {table: await conn.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES}  # noqa: S608
    await conn.close()
    return found


async def measure(run: Run) -> Measured:
    async with run.postgres() as (server, full):
        empty = create_postgres(server)
        for database in (full, empty):
            await migrated(database.dsn)
        run.tell("filling")
        took_s = await asyncio.to_thread(fill, server.dsn(full.name))
        run.tell(f"filled in {took_s:.0f} s")
        before = await rows_of(full.dsn)
        async with open_shop(run, full.dsn, SEATS, HOLDS) as old, open_shop(run, empty.dsn, SEATS) as young:
            ours, other = Side(old, full.dsn), Side(young, empty.dsn)
            await ours.open()
            await other.open()
            rounds = await run.interleaved(ours.each_ms, other.each_ms)
            after = await rows_of(full.dsn)
            await ours.close()
            await other.close()
    purged = {table: before[table] - after[table] for table in TABLES}
    assert max(purged.values()) > 0, "nothing was purged meanwhile"
    return Measured(
        rounds,
        {
            "s to fill": took_s,
            "ms placed, given back and told": sorted(ours.whole_ms)[len(ours.whole_ms) // 2],
            "the same of the other": sorted(other.whole_ms)[len(other.whole_ms) // 2],
            "ms swept": sorted(ours.swept_ms)[len(ours.swept_ms) // 2],
            "the same of the other, swept": sorted(other.swept_ms)[len(other.swept_ms) // 2],
            **{f"purged meanwhile, {table}": count for table, count in purged.items()},
        },
    )


GOALS = (
    Goal(
        "growth-finished",
        "a hold, placed, given back and told, and one swept, beside a million that are over, while they are purged",
        "the same in an empty database",
        "ms",
        "at most",
        1.3,
        measure,
    ),
)
