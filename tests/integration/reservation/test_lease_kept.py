"""The relay's lease is renewed by connections of its own: what waits in the background does not cost it."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from reservation import service as reservation
from stack.servers.postgres import PostgresServer
from tests.integration.reservation.house import settings_for
from tests.support.databases import create_postgres, drop_postgres
from tests.support.ports import free_port
from tests.support.running import RunningServer
from tests.support.waiting import WAIT_S, wait_until
from ticketflow.runtime.service import Service

LEASE = "SELECT token, expires_at FROM delivery_lease WHERE name = 'relay:reservation' AND owner = 'r0'"
# Which statements of the background wait for a lock, each as one of its kind.
WAITING = """
SELECT pid, query_start FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'background' AND wait_event_type = 'Lock'
"""


@pytest.fixture
async def own_dsn(postgres_server: RunningServer[PostgresServer]) -> AsyncIterator[str]:
    """A database of its own, over which a service runs whose billing is away."""
    database = create_postgres(postgres_server.server)
    settings = settings_for(database.dsn, http_port=free_port(), feed_port=free_port(), instance="r0")
    reservation.migrate(settings)
    service = Service("reservation", settings.instance)
    await reservation.serve(service, settings)
    try:
        yield database.dsn
    finally:
        await service.drain(5)
        drop_postgres(postgres_server.server, database)


async def test_while_every_connection_of_the_background_waits(own_dsn: str) -> None:
    watcher, locker = [await asyncpg.connect(own_dsn) for _ in range(2)]
    seen: dict[frozenset[tuple[object, ...]], asyncpg.Record] = {}  # the lease, when these first waited

    async def renewed_meanwhile() -> bool:
        waiting = frozenset(tuple(row) for row in await watcher.fetch(WAITING))
        lease = await watcher.fetchrow(LEASE)
        assert lease is not None
        if len(waiting) < reservation.BACKGROUND_CONNECTIONS:
            return False
        before = seen.setdefault(waiting, lease)
        return bool(lease["token"] == before["token"] and lease["expires_at"] > before["expires_at"])

    try:
        await wait_until(lambda: watcher.fetchrow(LEASE))
        async with locker.transaction():
            # What the sweeper, the watches, the purger and the check for holes read; the lease's row is free.
            await locker.execute("LOCK TABLE holds, delivery_outbox, delivery_parked, delivery_check")
            await wait_until(renewed_meanwhile, 2 * WAIT_S)
    finally:
        await watcher.close()
        await locker.close()
