"""The relay's lease is renewed by connections of its own: buyers who wait do not cost it."""

import asyncio

import asyncpg

from tests.integration.portal.serving import Client, serving
from tests.support.databases import Database
from tests.support.waiting import WAIT_S, wait_until

SIZE = 8  # connections of the portal's pool
BUYERS = 2 * SIZE
LEASE = "SELECT token, expires_at FROM delivery_lease WHERE name = 'relay:portal'"
WAITING = """
SELECT pid, query_start FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'portal' AND wait_event_type = 'Lock'
"""


async def test_while_every_connection_for_buyers_waits(migrated: Database, rabbitmq_vhost: str) -> None:
    watcher, locker = [await asyncpg.connect(migrated.dsn) for _ in range(2)]
    seen: dict[frozenset[tuple[object, ...]], asyncpg.Record] = {}  # the lease, when these first waited

    async def renewed_meanwhile() -> bool:
        waiting = frozenset(tuple(row) for row in await watcher.fetch(WAITING))
        lease = await watcher.fetchrow(LEASE)
        assert lease is not None
        if len(waiting) < SIZE:
            return False
        before = seen.setdefault(waiting, lease)
        return bool(lease["token"] == before["token"] and lease["expires_at"] > before["expires_at"])

    async def look(client: Client) -> None:
        while True:
            await client.get("/api/v1/sales", {"buyer_id": "ada"})

    try:
        async with serving(migrated, rabbitmq_vhost) as client:
            await wait_until(lambda: watcher.fetchrow(LEASE))
            async with locker.transaction():
                await locker.execute("LOCK TABLE sales")
                buyers = [asyncio.create_task(look(client)) for _ in range(BUYERS)]
                try:
                    await wait_until(renewed_meanwhile, 2 * WAIT_S)
                finally:
                    for buyer in buyers:
                        buyer.cancel()
                    await asyncio.gather(*buyers, return_exceptions=True)
    finally:
        await watcher.close()
        await locker.close()
