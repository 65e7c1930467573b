"""Goals `holds` and `holds-fastapi`: POST /api/v1/holds through nginx, two seats a hold, which nobody else wants."""

from collections.abc import Awaitable, Callable
from itertools import count

from bench import holds_pgbench
from bench.goal import Measured
from bench.holds_hall import Hall
from bench.holds_shop import Shop, ask, opened
from bench.run import Run

SEATS = 50_000
SECONDS = 4


class Fresh:
    """Halls whose seats nobody has asked for: one for each measurement."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._numbers = count()

    async def hall(self) -> Hall:
        hall = Hall(next(self._numbers), SEATS)
        await hall.build(self._shop.conn)
        return hall

    def through(self, port: int) -> Callable[[], Awaitable[float]]:
        """Holds a second of 32 connections to this front."""

        async def side() -> float:
            hall = await self.hall()
            told = await ask(port, hall.event_id, hall.pairs(1), SECONDS)
            assert set(told.statuses) == {201}, told.statuses
            await hall.check(self._shop.conn, told.statuses[201])
            return told.statuses[201] / told.took_s

        return side


async def against_pgbench(run: Run) -> Measured:
    async with opened(run) as shop, shop.reservation() as port:
        fresh = Fresh(shop)

        async def pgbench() -> float:
            hall = await fresh.hall()
            done = await holds_pgbench.run(shop.dsn, shop.folder, hall, seed=1, seconds=SECONDS)
            await hall.check(shop.conn, done.decided)
            return done.per_s

        return Measured(await run.interleaved(fresh.through(port), pgbench))


async def against_fastapi(run: Run) -> Measured:
    async with opened(run) as shop, shop.reservation() as port, shop.fastapi() as peer:
        fresh = Fresh(shop)
        return Measured(await run.interleaved(fresh.through(port), fresh.through(peer)))
