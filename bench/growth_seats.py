"""A hold in an event of 50,000 seats, and in one of 5,000."""

from bench.goal import Goal, Measured
from bench.growth_shop import open_shop
from bench.maps_house import migrated
from bench.run import Run
from tests.support.databases import create_postgres

SEATS = 5_000
TENFOLD = 50_000
HOLDS = 300


async def measure(run: Run) -> Measured:
    """ms of a POST of a hold of two seats."""
    async with run.postgres() as (server, small):
        large = create_postgres(server)
        for database in (small, large):
            await migrated(database.dsn)
        async with open_shop(run, small.dsn, SEATS) as few, open_shop(run, large.dsn, TENFOLD) as many:
            rounds = await run.interleaved(
                lambda: many.each_ms(HOLDS, whole=False), lambda: few.each_ms(HOLDS, whole=False)
            )
            await few.check(small.dsn)
            await many.check(large.dsn)
    return Measured(rounds, {"holds": few.holds + many.holds})


GOALS = (
    Goal(
        "growth-seats",
        "a hold of two seats in an event of 50,000",
        "the same in an event of 5,000",
        "ms",
        "at most",
        1.3,
        measure,
    ),
)
