"""Events whose seats have ids that can be computed, so that pgbench asks for the same seats as a buyer does."""

import random
from collections.abc import Iterator

import asyncpg

SEATS_A_HOLD = 2

_EVENT = """
    WITH v AS (INSERT INTO venues (venue_id, name) VALUES ($1, 'Bench') RETURNING venue_id),
         h AS (INSERT INTO halls (hall_id, venue_id, name) SELECT $1, venue_id, 'Main' FROM v RETURNING hall_id),
         e AS (INSERT INTO events (event_id, hall_id, name, starts_at, currency, hold_ttl_s, grace_s,
                                   seats_per_hold_max)
               SELECT $1, hall_id, 'An evening of the bench', '2099-01-01', 'EUR', 1800, 600, 10 FROM h
               RETURNING event_id)
    INSERT INTO tiers (tier_id, event_id, position, name, price_minor, numbered, capacity)
    SELECT $1, event_id, 0, 'seated', 2500, true, $2 FROM e"""
_SEATS = """
    INSERT INTO units (unit_id, event_id, tier_id, label, row_name, number)
    SELECT ($3 || lpad(to_hex(n), 12, '0'))::uuid, $1, $1, 'A-' || n, 'A', n FROM generate_series(0, $2 - 1) AS n"""


class Hall:
    """An event of ``seats`` seats, all of them free."""

    def __init__(self, number: int, seats: int) -> None:
        self.seats = seats
        self.event_id = f"{0x01900000 + number:08x}-0000-7000-8000-000000000000"
        self.seat_prefix = f"{0x01900000 + number:08x}-0000-7000-8001-"

    async def build(self, conn: "asyncpg.Connection[asyncpg.Record]") -> None:
        async with conn.transaction():
            await conn.execute(_EVENT, self.event_id, self.seats)
            await conn.execute(_SEATS, self.event_id, self.seats, self.seat_prefix)
        await conn.execute("VACUUM ANALYZE units")

    def seat(self, number: int) -> str:
        return f"{self.seat_prefix}{number:012x}"

    def pairs(self, seed: int) -> Iterator[list[str]]:
        """Every seat once, in pairs, in a random order."""
        numbers = list(range(self.seats))
        random.Random(seed).shuffle(numbers)
        for first, second in zip(numbers[::2], numbers[1::2], strict=True):
            yield [self.seat(first), self.seat(second)]

    def any_pairs(self, seed: int, count: int) -> Iterator[list[str]]:
        """Two different seats, any two, again and again."""
        chance = random.Random(seed)
        for _ in range(count):
            yield [self.seat(number) for number in chance.sample(range(self.seats), SEATS_A_HOLD)]

    async def holds(self, conn: "asyncpg.Connection[asyncpg.Record]") -> int:
        """How many were placed."""
        return int(await conn.fetchval("SELECT count(*) FROM holds WHERE event_id = $1", self.event_id))

    async def check(
        self, conn: "asyncpg.Connection[asyncpg.Record]", holds: int, seats_a_hold: int = SEATS_A_HOLD
    ) -> None:
        """Raises AssertionError unless exactly ``holds`` holds were placed, each told once and owning its seats."""
        row = await conn.fetchrow(
            """
            SELECT (SELECT count(*) FROM holds WHERE event_id = $1) AS holds,
                   (SELECT count(*) FROM units WHERE event_id = $1 AND state = 'held') AS held,
                   (SELECT count(*) FROM units AS u JOIN hold_units AS l ON l.unit_id = u.unit_id
                     WHERE u.event_id = $1) AS lines,
                   (SELECT count(*) FROM delivery_outbox AS o JOIN holds AS h ON o.event_key = h.hold_id::text
                     WHERE h.event_id = $1) AS told
            """,
            self.event_id,
        )
        assert row is not None
        found = tuple(row)
        wanted = (holds, seats_a_hold * holds, seats_a_hold * holds, holds)
        assert found == wanted, f"holds, seats held, lines, events: {found}, and there must be {wanted}"
