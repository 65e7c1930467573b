"""From billing's outbox to the portal's sales: MariaDB, relay, two bridges, RabbitMQ, portal, Postgres.

Only the services' HTTP and rules are left out, and the waits are shorter.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aio_pika
import pytest

from bridge.publisher import Publisher
from bridge.requests import Requests
from bridge.rewinds import Rewinds
from portal import service, store
from portal.applier import Applier
from portal.asker import Asker
from portal.asking import Asking
from portal.consumer import Consumer
from portal.following import FAMILY
from portal.settings import DatabaseSettings
from portal.tracking import Tracking
from stack.servers.postgres import PostgresServer
from tests.support.backups import back_up_mariadb, back_up_postgres, restore_mariadb, restore_postgres
from tests.support.databases import Database
from tests.support.ports import free_port
from tests.support.running import RunningServer
from tests.support.waiting import wait_until
from tests.unit.portal.events import SaleEvents
from ticketflow.delivery import SCHEMA, LaneChange, MariaDBDialect, Outbox, PostgresDialect, Relays
from ticketflow.delivery.lanes_barrier import KIND as BARRIER
from ticketflow.events.topology import SALES_QUEUE, TOPOLOGY
from ticketflow.feed import Address, FeedServer
from ticketflow.runtime.amqp import Broker
from ticketflow.runtime.errors import RuntimeFault
from ticketflow.runtime.mariadb import MariaDBPool
from ticketflow.runtime.migrate import migrate
from ticketflow.runtime.postgres import Connection, PostgresPool
from ticketflow.runtime.settings import Secret
from ticketflow.runtime.worker import loop

HOLE_S = 1.0
ASK_EVERY_S = 2.0
NOTICE_EVERY_S = 2.0
HEALED_S = 90.0  # how long healing may take on a busy machine


@dataclass
class Part:
    """Tasks that are ended together."""

    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def run(self, work: Callable[[], Awaitable[Any]]) -> None:
        self.tasks.append(asyncio.ensure_future(work()))

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        for task in self.tasks:
            with suppress(asyncio.CancelledError):
                await task
        self.tasks.clear()


class Bridge(Part):
    """A bridge's inside."""

    def __init__(self, amqp_url: str, port: int) -> None:
        super().__init__()
        self.broker = Broker(amqp_url, TOPOLOGY, name=f"bridge-{port}")
        self.rewinds = Rewinds(NOTICE_EVERY_S)
        publisher = Publisher(self.broker, rewinds=self.rewinds)
        self.publisher = publisher
        self.feed = FeedServer(publisher, host="127.0.0.1", port=port, expected_errors=(OSError, RuntimeFault))
        self.requests = Requests(Broker(amqp_url, TOPOLOGY, name=f"requests-{port}"), self.feed, self.rewinds)

    async def start(self) -> None:
        async def notify() -> int:
            return sum([await self.publisher.notify(stream) for stream in self.feed.streams])

        async def tell() -> int:
            await self.requests.tell()
            return 0

        await self.feed.start()
        self.run(self.requests.run)
        self.run(lambda: loop("notices", notify, wake=self.publisher.opened, idle_s=0.2))
        self.run(lambda: loop("tell", tell, idle_s=0.2))
        await wait_until(lambda: self.requests.hearing)

    async def kill(self) -> None:
        """Without a goodbye."""
        await self.end()
        await self.feed.drain(0)
        await self.broker.close()


class Billing(Part):
    """Its outbox and its relay."""

    def __init__(self, database: Database, addresses: list[Address]) -> None:
        super().__init__()
        self.database = database
        self._addresses = addresses
        self.outbox: Outbox[Any] = Outbox(MariaDBDialect(), "billing")

    async def start(self) -> None:
        where = self.database
        self.pool = MariaDBPool(
            [Address(where.host, where.port)], where.name, where.user, where.password, name="billing", size_max=4
        )
        await self.pool.open()
        relay: Relays[Any] = Relays(
            self.pool, MariaDBDialect(), stream="billing", addresses=self._addresses, owner="billing", lease_ttl_s=1
        )
        self.outbox.wakes(relay.wake)
        self.run(relay.run)

    async def stop(self) -> None:
        await self.end()
        await self.pool.close()

    async def sell(self, sales: int) -> list[SaleEvents]:
        """Stages the events of so many sales that went well."""
        sold = [SaleEvents(f"buyer-{n}") for n in range(sales)]
        async with self.pool.transaction() as conn:
            await self.outbox.stage(conn, [event for sale in sold for event in sale.sold()])
        self.outbox.notify()
        return sold

    async def ids(self) -> set[str]:
        """Of all events, barriers apart."""
        return {row[0] for row in await self.rows(f"SELECT event_id FROM delivery_outbox WHERE kind <> '{BARRIER}'")}

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        async with self.pool.transaction() as conn, conn.cursor() as cursor:
            await cursor.execute(sql)
            return list(await cursor.fetchall())

    async def idle(self) -> bool:
        """Whether all is acknowledged, in every lane."""
        unstamped = await self.rows("SELECT count(*) FROM delivery_outbox WHERE seq IS NULL")
        lanes = await self.rows("SELECT last_seq, acked_seq FROM delivery_stream")
        return unstamped[0][0] == 0 and all(last_seq == acked_seq for last_seq, acked_seq in lanes)

    async def set_lanes(self, lanes: int) -> None:
        assert await LaneChange(self.pool, MariaDBDialect(), "billing").set(lanes, actor="test")


class Portal(Part):
    """Its consumer, and the worker that asks for what is missing."""

    def __init__(self, database: Database, amqp_url: str) -> None:
        super().__init__()
        self.database = database
        self._amqp_url = amqp_url

    async def start(self) -> None:
        self.pool = PostgresPool(self.database.dsn, name="portal", size_max=4)
        await self.pool.open()
        outbox: Outbox[Connection] = Outbox(PostgresDialect(), "portal")
        asking = Asking(HOLE_S, ASK_EVERY_S)
        applier = Applier(self.pool, FAMILY, outbox, Tracking(asking))
        consumer = Consumer(Broker(self._amqp_url, TOPOLOGY, name="portal"), applier, self.pool.ping)
        asker = Asker(self.pool, Broker(self._amqp_url, TOPOLOGY, name="asker"), asking)
        self.run(consumer.run)
        self.run(lambda: loop("asker", asker.run_once, idle_s=0.2))

    async def stop(self) -> None:
        await self.end()
        await self.pool.close()

    async def ids(self) -> set[str]:
        return {str(row["event_id"]) for row in await self.rows("SELECT event_id FROM delivery_inbox")}

    async def phantoms(self) -> set[str]:
        rows = await self.rows("SELECT event_id FROM delivery_phantom WHERE resolved_at IS NULL")
        return {str(row["event_id"]) for row in rows}

    async def rows(self, sql: str) -> list[Any]:
        async with self.pool.acquire() as conn:
            return list(await conn.fetch(sql))

    async def state(self, sale: SaleEvents) -> str | None:
        async with self.pool.acquire() as conn:
            found = await store.sale(conn, sale.order_id)
        return None if found is None else found.state


class World:
    def __init__(self, amqp_url: str, billing: Billing, bridges: list[Bridge], portal: Portal) -> None:
        self.amqp_url = amqp_url
        self.billing, self.bridges, self.portal = billing, bridges, portal

    def keeps(self, folder: Path, admin_dsn: str) -> None:
        """Where copies go, and by which account Postgres is restored."""
        self._folder, self._admin_dsn = folder, admin_dsn

    async def purge(self) -> None:
        """The portal's queue loses all that waits in it."""
        connection = await aio_pika.connect(self.amqp_url)
        async with connection:
            queue = await (await connection.channel()).get_queue(SALES_QUEUE)
            await queue.purge()

    async def all_arrived(self) -> None:
        """What billing has, the portal has."""

        async def same() -> bool:
            missing = await self.billing.ids() - await self.portal.ids()
            assert not missing, f"{len(missing)} events are missing"
            return await self.billing.idle()

        await wait_until(same, HEALED_S, interval_s=0.1)

    async def nothing_doubled(self) -> None:
        """As many lines of history, and commands, as events."""
        applied = await self.portal.ids()
        [row] = await self.portal.rows(
            "SELECT (SELECT count(*) FROM sale_history), (SELECT count(*) FROM delivery_outbox)"
        )
        assert tuple(row) == (len(applied), len(applied) // 4)

    def copy_of_portal(self) -> Path:
        return back_up_postgres(self.portal.database, self._folder)

    def copy_of_billing(self) -> Path:
        return back_up_mariadb(self.billing.database, self._folder)

    async def restore_portal(self, copy: Path) -> None:
        await self.portal.stop()
        await asyncio.to_thread(restore_postgres, self.portal.database, copy, self._admin_dsn)
        await self.portal.start()

    async def restore_billing(self, copy: Path) -> None:
        await self.billing.stop()
        await asyncio.to_thread(restore_mariadb, self.billing.database, copy)
        await self.billing.start()


@pytest.fixture
async def world(
    postgres_server: RunningServer[PostgresServer],
    postgres_database: Database,
    mariadb_database: Database,
    rabbitmq_vhost: str,
    tmp_path: Path,
) -> AsyncIterator[World]:
    service.migrate(DatabaseSettings(database_dsn=Secret(postgres_database.dsn)))
    where = mariadb_database
    url = f"mysql://{where.user}:{where.password}@{where.host}:{where.port}/{where.name}"
    await asyncio.to_thread(migrate, url, [SCHEMA["mariadb"]], "delivery")
    bridges = [Bridge(rabbitmq_vhost, free_port()) for _ in range(2)]
    addresses = [Address("127.0.0.1", bridge.feed.port) for bridge in bridges]
    billing, portal = Billing(mariadb_database, addresses), Portal(postgres_database, rabbitmq_vhost)
    world = World(rabbitmq_vhost, billing, bridges, portal)
    world.keeps(tmp_path, postgres_server.server.dsn())
    for bridge in bridges:
        await bridge.start()
    await portal.start()
    await billing.start()
    try:
        yield world
    finally:
        await billing.stop()
        for bridge in world.bridges:
            await bridge.kill()
        await portal.stop()
