"""Delivery's statements in Postgres. mariadb.py stands beside it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg

from ticketflow.delivery.dialect import Backlog, Pool
from ticketflow.delivery.postgres_driver import Connection, channel
from ticketflow.delivery.postgres_history import PostgresHistory
from ticketflow.delivery.postgres_inbox import PostgresInbox
from ticketflow.delivery.postgres_lanes import PostgresLanes
from ticketflow.delivery.postgres_outbox import PostgresOutbox
from ticketflow.delivery.postgres_parking import PostgresParking

# SQLSTATE classes that speak of the server and not of the statement: connection, wrong transaction state (read-only
# standby), transaction rollback, resources, object not ready (locks), operator intervention (time-outs too), system.
_STORE_FAULT_CLASSES = frozenset({"08", "25", "40", "53", "55", "57", "58", "XX"})


class PostgresDialect(PostgresOutbox, PostgresLanes, PostgresInbox, PostgresParking, PostgresHistory):
    """asyncpg connections, in a transaction at READ COMMITTED."""

    name = "postgres"
    announces = True

    async def announce(self, conn: Connection, stream: str) -> None:
        # It tells of what is durable already and is nothing itself: its own COMMIT waits for no disk.
        await conn.execute("SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, '')", channel(stream))

    async def backlog(self, conn: Connection, stream: str) -> Backlog:
        row = await conn.fetchrow(
            """
            SELECT s.last_seq - s.acked_seq
                   + (SELECT count(*) FROM delivery_outbox WHERE stream = $1 AND seq IS NULL),
                   coalesce(extract(epoch FROM clock_timestamp() - least(
                       (SELECT created_at FROM delivery_outbox
                        WHERE stream = $1 AND seq > s.acked_seq ORDER BY seq LIMIT 1),
                       (SELECT created_at FROM delivery_outbox
                        WHERE stream = $1 AND seq IS NULL ORDER BY position LIMIT 1)
                   ))::float8, 0),
                   s.last_seq, s.acked_seq
            FROM (
                SELECT coalesce(max(last_seq), 0) AS last_seq, coalesce(max(acked_seq), 0) AS acked_seq
                FROM delivery_stream WHERE stream = $1
            ) AS s
            """,
            stream,
        )
        assert row is not None
        return Backlog(*row)

    @asynccontextmanager
    async def listening(self, pool: Pool[Connection], stream: str, wake: Callable[[], None]) -> AsyncIterator[None]:
        """Needs runtime's PostgresPool, which keeps a LISTEN connection beside the pool."""
        listen = getattr(pool, "listen", None)
        if listen is None:
            yield
            return
        task = asyncio.ensure_future(listen(channel(stream), lambda _payload: wake()))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def is_store_fault(self, error: Exception) -> bool:
        if isinstance(error, asyncpg.InFailedSQLTransactionError):
            return False  # a statement before it failed, and whoever sent that swallowed the error
        if isinstance(error, asyncpg.UndefinedTableError):
            return True  # it is not migrated yet, or is just being restored
        if isinstance(error, asyncpg.PostgresError):
            return str(error.sqlstate or "XX")[:2] in _STORE_FAULT_CLASSES
        return isinstance(error, asyncpg.InterfaceError | OSError)
