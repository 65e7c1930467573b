"""The stores and the provider as a round of reconciliation uses them. Each is reached when it is asked."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from audit.settings import AuditSettings
from audit.stores import Histories, PostgresOnce, open_histories
from ticketflow.runtime.mariadb import Connection as MariaDBConnection
from ticketflow.runtime.mariadb import MariaDBPool, execute

PAGE_STATEMENT_S = 30.0  # a page is answered in milliseconds; a count of all places of a large shop takes seconds
LEDGER_STATEMENT_S = 600.0  # reads every posting: some 3 s a million on an idle disk


@dataclass(frozen=True)
class Stores:
    reservation: PostgresOnce
    billing: MariaDBPool
    ledger: MariaDBPool  # the same database, with patience
    portal: PostgresOnce
    histories: Histories


@asynccontextmanager
async def open_stores(settings: AuditSettings) -> AsyncIterator[Stores]:
    async with AsyncExitStack() as stack:
        pools = [_pool(settings, statement_s) for statement_s in (PAGE_STATEMENT_S, LEDGER_STATEMENT_S)]
        for pool in pools:
            stack.push_async_callback(pool.close)
        yield Stores(
            PostgresOnce(settings.reservation_dsn, statement_s=PAGE_STATEMENT_S),
            pools[0],
            pools[1],
            PostgresOnce(settings.portal_dsn, statement_s=PAGE_STATEMENT_S),
            await stack.enter_async_context(open_histories(settings)),
        )


@asynccontextmanager
async def snapshot(pool: MariaDBPool) -> AsyncIterator[MariaDBConnection]:
    """Only reads, and all statements see one moment. Raises Unavailable."""
    async with pool.acquire() as conn:
        await execute(conn, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await execute(conn, "START TRANSACTION READ ONLY")
        try:
            yield conn
            await execute(conn, "COMMIT")
        finally:
            # The pool's own transactions are at READ COMMITTED.
            await execute(conn, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")


def _pool(settings: AuditSettings, statement_s: float) -> MariaDBPool:
    return MariaDBPool(
        settings.billing_hosts,
        settings.billing_name,
        settings.billing_user,
        settings.billing_password,
        name="audit",
        size_min=0,
        size_max=2,
        statement_timeout_s=statement_s,
        transaction_timeout_s=statement_s + 1,
    )
