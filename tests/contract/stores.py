"""A store for the contract tests: a pool, its dialect, and a table of effects beside delivery's own."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import msgspec
import psycopg
import pymysql.err

from tests.support.databases import Database, connect_mariadb
from ticketflow.delivery import SCHEMA, Dialect, MariaDBDialect, PostgresDialect
from ticketflow.events import Envelope, HoldReleased, envelope_for
from ticketflow.runtime.address import Address
from ticketflow.runtime.mariadb import MariaDBPool
from ticketflow.runtime.migrate import migrate
from ticketflow.runtime.postgres import PostgresPool

POOL_CONNECTIONS = 6
EFFECTS = {
    "postgres": "CREATE TABLE effects (n bigserial PRIMARY KEY, event_key text, event_id uuid, note text)",
    "mariadb": "CREATE TABLE effects (n BIGINT AUTO_INCREMENT PRIMARY KEY, event_key VARCHAR(64), event_id CHAR(36),"
    " note TEXT)",
}


@dataclass
class Store:
    """``%s`` stands for a parameter in ``run`` and ``rows``, whatever the store."""

    name: str
    pool: Any
    dialect: Dialect[Any]
    database: Database

    async def run(self, conn: Any, sql: str, *params: Any) -> None:
        if self.name == "postgres":
            await conn.execute(_numbered(sql), *params)
        else:
            async with conn.cursor() as cursor:
                await cursor.execute(sql, params)

    async def rows(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        """All rows, in a transaction of its own."""
        async with self.pool.transaction() as conn:
            if self.name == "postgres":
                return [tuple(row) for row in await conn.fetch(_numbered(sql), *params)]
            async with conn.cursor() as cursor:
                await cursor.execute(sql, params)
                return list(await cursor.fetchall())

    async def do(self, sql: str, *params: Any) -> None:
        """One statement, committed."""
        async with self.pool.transaction() as conn:
            await self.run(conn, sql, *params)

    async def seqs(self, stream: str) -> list[int | None]:
        """The seqs in the outbox, in order of staging."""
        sql = "SELECT seq FROM delivery_outbox WHERE stream = %s ORDER BY position"
        return [row[0] for row in await self.rows(sql, stream)]

    async def effects(self) -> list[tuple[str, str]]:
        """(key, note) of every effect, in the order in which they were written."""
        return [(row[0], row[1]) for row in await self.rows("SELECT event_key, note FROM effects ORDER BY n")]

    async def parked(self) -> list[tuple[int, str]]:
        """(seq, reason) of what is parked, in order."""
        sql = "SELECT seq, reason FROM delivery_parked ORDER BY position"
        return [(row[0], row[1]) for row in await self.rows(sql)]

    async def write_effect(self, conn: Any, event: Envelope) -> None:
        """A handler: one row for the event; the note is its payload's hold_id."""
        await self.run(
            conn,
            "INSERT INTO effects (event_key, event_id, note) VALUES (%s, %s, %s)",
            event.key,
            event.id,
            note(event),
        )

    async def kill_connections(self) -> None:
        """Every other connection to this database dies, as when the server crashes."""
        if self.name == "postgres":
            await self.do(  # of ours: a worker of autovacuum may be here, which is nobody's and not ours to end
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
            )
            return
        others = "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
        async with self.pool.acquire() as conn, conn.cursor() as cursor:
            await cursor.execute(others)
            for (thread,) in await cursor.fetchall():
                with suppress(pymysql.err.OperationalError):  # gone by itself meanwhile
                    await cursor.execute(f"KILL {thread}")


def _numbered(sql: str) -> str:
    parts = sql.split("%s")
    return "".join(part + (f"${n}" if n < len(parts) else "") for n, part in enumerate(parts, 1))


def event(key: str, text: str = "") -> Envelope:
    """An event of ``key``; ``text`` is what ``note`` gives at the other end."""
    return envelope_for(HoldReleased(hold_id=text or key), key=key, correlation_id="test")


def events(key: str, count: int) -> list[Envelope]:
    """``count`` events of one key, numbered from 1."""
    return [event(key, f"{key}-{n}") for n in range(1, count + 1)]


def note(envelope: Envelope) -> str:
    return str(msgspec.msgpack.decode(envelope.payload)["hold_id"])


def connected(name: str, database: Database) -> tuple[str, PostgresPool | MariaDBPool, Dialect[Any]]:
    """The URL for migrations, a pool that is not open yet, and the dialect."""
    if name == "postgres":
        return database.dsn, PostgresPool(database.dsn, name="test", size_max=POOL_CONNECTIONS), PostgresDialect()
    url = f"mysql://{database.user}:{database.password}@{database.host}:{database.port}/{database.name}"
    addresses = [Address(database.host, database.port)]
    pool = MariaDBPool(
        addresses, database.name, database.user, database.password, name="test", size_max=POOL_CONNECTIONS
    )
    return url, pool, MariaDBDialect()


def migrate_store(name: str, database: Database) -> None:
    """Delivery's tables, and the effects' beside them."""
    url, _, _ = connected(name, database)
    migrate(url, [SCHEMA[name]], "delivery")
    if name == "postgres":
        with psycopg.connect(database.dsn) as conn:
            conn.execute(EFFECTS[name])
        return
    with connect_mariadb(database) as owner, owner.cursor() as cursor:
        cursor.execute(EFFECTS[name])


@asynccontextmanager
async def open_store(name: str, database: Database) -> AsyncIterator[Store]:
    """Migrates an empty database and opens a pool to it."""
    await asyncio.to_thread(migrate_store, name, database)
    async with opened(name, database) as store:
        yield store


@asynccontextmanager
async def opened(name: str, database: Database) -> AsyncIterator[Store]:
    """A pool to one that is migrated."""
    _, pool, dialect = connected(name, database)
    await pool.open()
    try:
        yield Store(name, pool, dialect, database)
    finally:
        await pool.close()


def keys_in_order(effects: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """The notes of each key, in order."""
    by_key: dict[str, list[str]] = {}
    for key, text in effects:
        by_key.setdefault(key, []).append(text)
    return by_key
