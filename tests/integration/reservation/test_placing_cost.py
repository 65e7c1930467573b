"""What deciding costs does not grow with what was sold, also on a connection that planned it all for empty tables."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from reservation import service
from reservation.settings import DatabaseSettings
from stack.servers.postgres import PostgresServer
from tests.integration.reservation.test_migration import CATALOGUE
from tests.support.databases import create_postgres, drop_postgres
from tests.support.running import RunningServer
from ticketflow.events import new_id
from ticketflow.runtime.settings import Secret

SEATS = 300
BATCH = 4
DEARER_MAX = 1.5

SEATED = """
    INSERT INTO units (unit_id, event_id, tier_id, label, row_name, number)
    SELECT id, $1, $1, 'A-' || n, 'A', n FROM unnest($2::uuid[]) WITH ORDINALITY AS seat (id, n)"""
READ = """
    SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::bigint FROM pg_stat_xact_user_tables
     WHERE relname IN ('idempotency', 'holds', 'hold_units', 'units', 'events', 'tiers')"""


@pytest.fixture
async def conn(
    postgres_server: RunningServer[PostgresServer],
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """To a database in which nothing was ever sold, and nothing was ever analysed."""
    database = create_postgres(postgres_server.server)
    service.migrate(DatabaseSettings(database_dsn=Secret(database.dsn)))
    conn = await asyncpg.connect(database.dsn)
    for table in ("idempotency", "holds", "hold_units", "units", "events", "tiers"):
        await conn.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    yield conn
    await conn.close()
    drop_postgres(postgres_server.server, database)


async def test_the_thousandth_hold_reads_what_the_first_one_did(
    conn: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    event_id, seats = new_id(), [new_id() for _ in range(SEATS)]
    await conn.execute(CATALOGUE, event_id)
    await conn.execute(SEATED, event_id, seats)

    async def rows_read_by(wanted: list[str]) -> int:
        requests = [(new_id(), event_id, "ann", new_id(), b"", [seat], "[]", "refund") for seat in wanted]
        async with conn.transaction():
            before = await conn.fetchval(READ)
            rows = await conn.fetch("SELECT * FROM decide_holds($1::hold_request[], false)", requests)
            read = await conn.fetchval(READ) - before
        assert all(row["claimed"] for row in rows)
        return int(read)

    first = await rows_read_by(seats[:BATCH])
    refused_first = await rows_read_by(seats[:BATCH])
    for start in range(BATCH, SEATS - BATCH, BATCH):
        await rows_read_by(seats[start : start + BATCH])
    last = await rows_read_by(seats[SEATS - BATCH :])
    refused_last = await rows_read_by(seats[:BATCH])
    print(f"rows read: {first} and {last}; {refused_first} and {refused_last} for refusals")
    assert last <= DEARER_MAX * first
    assert refused_last <= DEARER_MAX * refused_first
