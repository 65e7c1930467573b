"""Goal `holds`: POST /api/v1/holds through nginx against pgbench, seats that nobody else wants."""

from itertools import count

from bench import holds_pgbench
from bench.goal import Measured
from bench.holds_hall import Hall
from bench.holds_shop import ask, opened
from bench.run import Run

SEATS = 50_000
SECONDS = 4


async def measure(run: Run) -> Measured:
    async with opened(run) as shop, shop.reservation() as port:
        numbers = count()

        async def fresh() -> Hall:
            hall = Hall(next(numbers), SEATS)
            await hall.build(shop.conn)
            return hall

        async def ours() -> float:
            hall = await fresh()
            told = await ask(port, hall.event_id, hall.pairs(1), SECONDS)
            assert set(told.statuses) == {201}, told.statuses
            await hall.check(shop.conn, told.statuses.get(201, 0))
            return told.statuses[201] / told.took_s

        async def pgbench() -> float:
            hall = await fresh()
            done = await holds_pgbench.run(shop.dsn, shop.folder, hall, seed=1, seconds=SECONDS)
            await hall.check(shop.conn, done.decided)
            return done.per_s

        return Measured(await run.interleaved(ours, pgbench))
