"""What acknowledged events cost that are kept for a rewind: nothing, but for the disk. No statement of the sending end
reads them, whatever the planner believes of the table."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.contract.sending import STREAM, stage
from tests.contract.stores import Store, event
from ticketflow.delivery import Dialect

KEPT, WAITING = 10_000, 20
TIMES = 8  # Postgres plans a statement anew five times, and then once for all
ROWS_READ_MAX = 250  # each time: WAITING, what is asked for, and the levels of the index
ASKED = 100

Statement = Callable[[Dialect[Any], Any], Awaitable[object]]

STATEMENTS: dict[str, Statement] = {
    "has_unstamped": lambda dialect, conn: dialect.has_unstamped(conn, STREAM),
    "lane_has_unstamped": lambda dialect, conn: dialect.lane_has_unstamped(conn, STREAM, range(0, 64, 2)),
    "lane_states": lambda dialect, conn: dialect.lane_states(conn, STREAM),
    "backlog": lambda dialect, conn: dialect.backlog(conn, STREAM),
    "stamp": lambda dialect, conn: dialect.stamp(conn, STREAM, KEPT, WAITING),
    "read": lambda dialect, conn: dialect.read(conn, STREAM, KEPT - ASKED, KEPT),
    "first_kept": lambda dialect, conn: dialect.first_kept(conn, STREAM),
    "oldest_rows": lambda dialect, conn: dialect.oldest_rows(conn, STREAM, 3600, ASKED),
    "purge_outbox": lambda dialect, conn: dialect.purge_outbox(conn, STREAM, 1),
}
NUMBERS = {"postgres": f"generate_series(1, {KEPT}) AS numbers (seq)", "mariadb": f"seq_1_to_{KEPT} AS numbers"}
ANY_ID = {"postgres": "gen_random_uuid()", "mariadb": "UUID()"}
READ = {
    "postgres": "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables"
    " WHERE relname = 'delivery_outbox'",
    "mariadb": "SELECT SUM(VARIABLE_VALUE) FROM information_schema.SESSION_STATUS"
    " WHERE VARIABLE_NAME LIKE 'Handler_read%'",
}


async def fill(store: Store) -> None:
    async with store.pool.transaction() as conn:
        await store.dialect.ensure_stream(conn, STREAM)
    await store.do(
        "INSERT INTO delivery_outbox (stream, event_id, event_key, kind, body, seq)"
        f" SELECT '{STREAM}', {ANY_ID[store.name]}, 'key', 'kind', '0123456789', seq FROM {NUMBERS[store.name]}"
    )
    await store.do(f"UPDATE delivery_stream SET last_seq = {KEPT}, acked_seq = {KEPT}")
    if store.name == "postgres":
        async with store.pool.acquire() as conn:
            await conn.execute("VACUUM ANALYZE delivery_outbox")
    else:
        await store.rows("ANALYZE TABLE delivery_outbox")
    await stage(store, *(event(f"k{n}") for n in range(WAITING)))


async def rows_read(store: Store, conn: Any) -> int:
    """By this session's transaction, or by this session."""
    if store.name == "postgres":
        return int(await conn.fetchval(READ["postgres"]))
    async with conn.cursor() as cursor:
        await cursor.execute(READ["mariadb"])
        return int((await cursor.fetchone())[0])


@pytest.mark.parametrize("name", STATEMENTS)
async def test_no_statement_reads_what_is_kept(store: Store, name: str) -> None:
    await fill(store)
    async with store.pool.transaction() as conn:
        for _ in range(TIMES):
            asked = [await rows_read(store, conn) for _ in range(2)]
            await STATEMENTS[name](store.dialect, conn)
            itself = asked[1] - asked[0]  # what the question reads
            assert await rows_read(store, conn) - asked[1] - itself <= ROWS_READ_MAX
