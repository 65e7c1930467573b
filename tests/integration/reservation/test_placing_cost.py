"""What deciding costs does not grow with what was sold, also on a connection that planned it all for empty tables."""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import asyncpg
import pytest

from reservation import service
from reservation.settings import DatabaseSettings
from reservation.store_placing import DECIDE
from stack.servers.postgres import PostgresServer
from tests.integration.reservation.test_migration import CATALOGUE
from tests.support.databases import create_postgres, drop_postgres
from tests.support.running import RunningServer
from ticketflow.events import new_id
from ticketflow.runtime.postgres import Connection
from ticketflow.runtime.settings import Secret

SEATS = 300
BATCH = 4
DEARER_MAX = 1.5
TABLES = ("idempotency", "holds", "hold_units", "units", "events", "tiers")

SEATED = """
    INSERT INTO units (unit_id, event_id, tier_id, label, row_name, number)
    SELECT id, $1, $1, 'A-' || n, 'A', n FROM unnest($2::uuid[]) WITH ORDINALITY AS seat (id, n)"""
STANDING = """
    INSERT INTO units (unit_id, event_id, tier_id, label)
    SELECT gen_random_uuid(), $1, $1, 'standing' FROM generate_series(1, $2::integer)"""
READ = """
    SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables
     WHERE relname = ANY ($1)"""

Wanted = tuple[object, ...]


class Called(NamedTuple):
    """``read``: rows, by table."""

    rows: list[asyncpg.Record]
    read: dict[str, int]

    @property
    def read_in_all(self) -> int:
        return sum(self.read.values())


async def call(conn: Connection, requests: Sequence[Wanted]) -> Called:
    async def read() -> dict[str, int]:
        return {row[0]: int(row[1]) for row in await conn.fetch(READ, TABLES)}

    async with conn.transaction():
        before = await read()
        rows = await conn.fetch(
            DECIDE, requests, False, "reservation", [new_id() for _ in requests], [b"" for _ in requests]
        )
        after = await read()
    return Called(rows, {table: after[table] - before[table] for table in TABLES})


class Sale:
    """An event with one tier, of numbered seats and of standing places alike."""

    def __init__(self, event_id: str, seats: list[str]) -> None:
        self.event_id = event_id
        self.seats = seats

    def wish(self, *seats: str, standing: int = 0) -> Wanted:
        general = f'[{{"tier": "standing", "quantity": {standing}}}]' if standing else "[]"
        return (new_id(), self.event_id, "ann", new_id(), b"", list(seats), general, "refund")


@pytest.fixture(params=["never analysed", "analysed while empty"])
async def conn(
    postgres_server: RunningServer[PostgresServer], request: pytest.FixtureRequest
) -> AsyncIterator[Connection]:
    """To a database in which nothing was ever sold, and where the planner learns of nothing that will be."""
    database = create_postgres(postgres_server.server)
    service.migrate(DatabaseSettings(database_dsn=Secret(database.dsn)))
    conn = await asyncpg.connect(database.dsn)
    for table in TABLES:
        await conn.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
        if request.param == "analysed while empty":
            await conn.execute(f"VACUUM ANALYZE {table}")
    yield conn
    await conn.close()
    drop_postgres(postgres_server.server, database)


@pytest.fixture
async def sale(conn: Connection) -> Sale:
    """All statements have been planned before the first row was written."""
    nothing = Sale(new_id(), [])
    refused = nothing.wish(new_id())
    assert [row["claimed"] for row in (await call(conn, [refused])).rows] == [True]
    assert [row["claimed"] for row in (await call(conn, [refused])).rows] == [False]
    await conn.execute("DELETE FROM idempotency")
    sale = Sale(new_id(), [new_id() for _ in range(SEATS)])
    await conn.execute(CATALOGUE, sale.event_id)
    await conn.execute(SEATED, sale.event_id, sale.seats)
    await conn.execute(STANDING, sale.event_id, SEATS)
    return sale


async def test_the_thousandth_hold_reads_what_the_first_one_did(conn: Connection, sale: Sale) -> None:
    async def read_by(wanted: list[str], standing: int = 0) -> tuple[int, int]:
        """When it is asked for, and when it is asked for again."""
        requests = [sale.wish(seat, standing=standing) for seat in wanted]
        first, again = await call(conn, requests), await call(conn, requests)
        assert {row["claimed"] for row in first.rows} == {True}
        assert {row["claimed"] for row in again.rows} == {False}
        return first.read_in_all, again.read_in_all

    first, first_again = await read_by(sale.seats[:BATCH])
    refused_first, _ = await read_by(sale.seats[:BATCH])
    standing_first, _ = await read_by(sale.seats[BATCH : 2 * BATCH], standing=1)
    for start in range(2 * BATCH, SEATS - 2 * BATCH, BATCH):
        await read_by(sale.seats[start : start + BATCH])
    standing_last, _ = await read_by(sale.seats[SEATS - 2 * BATCH : SEATS - BATCH], standing=1)
    last, last_again = await read_by(sale.seats[SEATS - BATCH :])
    refused_last, _ = await read_by(sale.seats[:BATCH])
    print(f"rows read: {first} and {last}; {first_again} and {last_again} again; {standing_first} and {standing_last}")
    print(f"{refused_first} and {refused_last} for refusals")
    assert last <= DEARER_MAX * first
    assert last_again <= DEARER_MAX * first_again
    assert standing_last <= DEARER_MAX * standing_first
    assert refused_last <= DEARER_MAX * refused_first


async def test_what_was_just_written_is_read_again_only_for_who_comes_again(conn: Connection, sale: Sale) -> None:
    requests = [sale.wish(seat) for seat in sale.seats[:BATCH]]
    first = await call(conn, requests)
    print(f"rows read: {first.read}")
    assert all(row["hold_id"] for row in first.rows)
    assert first.read["idempotency"] == 0
    assert first.read["holds"] == BATCH  # each by the foreign key of its line
    assert first.read["hold_units"] == BATCH  # each by the foreign key of its place
    assert first.read["units"] <= 4 * BATCH  # seen, locked, changed, and by the foreign key of its line
    again = await call(conn, requests)
    assert again.read["idempotency"] >= BATCH
    assert [dict(row) | {"claimed": True} for row in again.rows] == [dict(row) for row in first.rows]


async def test_nothing_is_planned_twice(conn: Connection, sale: Sale) -> None:
    first = await call(conn, [sale.wish(seat) for seat in sale.seats[:BATCH]])
    # Whatever was planned from now on would walk.
    await conn.execute("SET enable_indexscan = off; SET enable_bitmapscan = off")
    second = await call(conn, [sale.wish(seat) for seat in sale.seats[BATCH : 2 * BATCH]])
    assert second.read == first.read


async def test_a_decision_leaves_no_setting_behind(conn: Connection, sale: Sale) -> None:
    shown = "SELECT name, setting FROM pg_settings WHERE name IN ('enable_seqscan', 'lock_timeout', 'plan_cache_mode')"
    await call(conn, [sale.wish(sale.seats[0])])
    found = {row["name"]: row["setting"] for row in await conn.fetch(shown)}
    assert found == {"enable_seqscan": "on", "lock_timeout": "0", "plan_cache_mode": "auto"}
