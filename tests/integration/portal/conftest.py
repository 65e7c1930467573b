"""A migrated database, and a portal's inside running on it."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress

import pytest

from portal import service, store
from portal.applier import Applier
from portal.consumer import IDLE_S, Applies, Consumer
from portal.sale import Sale
from portal.settings import DatabaseSettings
from tests.support.databases import Database
from tests.support.servers import MigratedDatabase
from ticketflow.delivery import Outbox, PostgresDialect
from ticketflow.events import Envelope, decode, encode
from ticketflow.events.topology import EVENTS_EXCHANGE, TOPOLOGY
from ticketflow.runtime.amqp import Broker, Outgoing
from ticketflow.runtime.postgres import Connection, PostgresPool
from ticketflow.runtime.settings import Secret


class Portal:
    """The inside of a portal: everything but HTTP and relay."""

    def __init__(self, dsn: str, amqp_url: str) -> None:
        self.pool = PostgresPool(dsn, name="portal", size_max=4)
        self.amqp_url = amqp_url
        self.outbox: Outbox[Connection] = Outbox(PostgresDialect(), "portal")
        self.applier = Applier(self.pool, "billing", self.outbox)
        self.consumer: Consumer | None = None
        self._publishing = Broker(amqp_url, TOPOLOGY, name="test")
        self._running: asyncio.Task[None] | None = None

    def start(self, applier: Applies | None = None, idle_s: float = IDLE_S) -> None:
        """Begins to consume, with an applier of the test's own if it gives one."""
        self.consumer = Consumer(
            Broker(self.amqp_url, TOPOLOGY, name="portal"), applier or self.applier, self.pool.ping, idle_s=idle_s
        )
        self._running = asyncio.create_task(self.consumer.run())

    async def stop(self) -> None:
        """Ends the consumer in the middle of whatever it does."""
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running
            self._running = None

    async def publish(self, *events: Envelope | bytes, key: str = "undecodable") -> None:
        """Publishes, and waits for the confirms."""
        bodies = [(key, event) if isinstance(event, bytes) else (event.kind, encode(event)) for event in events]
        messages = [Outgoing(EVENTS_EXCHANGE, key, {"seq": n}, body) for n, (key, body) in enumerate(bodies)]
        session = await self._publishing.session()
        assert await session.publish(messages) == (len(messages), None)

    async def sale(self, order_id: str) -> Sale | None:
        async with self.pool.acquire() as conn:
            return await store.sale(conn, order_id)

    async def state(self, order_id: str) -> str | None:
        sale = await self.sale(order_id)
        return None if sale is None else sale.state

    async def staged(self) -> list[Envelope]:
        """What waits in the outbox for reservation."""
        async with self.pool.acquire() as conn:
            rows = await conn.fetch("SELECT body FROM delivery_outbox WHERE stream = 'portal' ORDER BY position")
        return [decode(row["body"]) for row in rows]

    async def parked(self) -> list[tuple[str, str, int]]:
        """(reason, kind, attempts)"""
        async with self.pool.acquire() as conn:
            rows = await conn.fetch("SELECT reason, kind, attempts FROM portal_parked ORDER BY parked_at")
        return [(row["reason"], row["kind"], row["attempts"]) for row in rows]

    async def counts(self) -> tuple[int, int, int]:
        """How many dedup keys, sales and lines of history there are."""
        tables = ("delivery_inbox", "sales", "sale_history")
        async with self.pool.acquire() as conn:
            found: Sequence[int] = [await conn.fetchval(f"SELECT count(*) FROM {table}") for table in tables]
        return found[0], found[1], found[2]

    async def waiting(self, queue: str) -> int:
        """Messages in a queue that nobody has taken."""
        return (await (await self._publishing.session()).queue_facts(queue)).messages

    async def close(self) -> None:
        await self.stop()
        await self._publishing.close()
        await self.pool.close()


@pytest.fixture
def migrated(migrated_postgres: MigratedDatabase) -> Iterator[Database]:
    """A fresh database with the portal's schema."""

    def migrate(empty: Database) -> None:
        assert service.migrate(DatabaseSettings(database_dsn=Secret(empty.dsn))) >= 2

    with migrated_postgres("portal", migrate) as database:
        yield database


@pytest.fixture
async def portal(migrated: Database, rabbitmq_vhost: str) -> AsyncIterator[Portal]:
    portal = Portal(migrated.dsn, rabbitmq_vhost)
    await portal.pool.open()
    yield portal
    await portal.close()
