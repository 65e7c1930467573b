"""What a test must be able to do to a database, the same for each: a table of numbers, a slow COMMIT, a dead server."""

import asyncio
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import psycopg
import pymysql

from tests.support.databases import Database
from tests.support.freezing import freeze
from tests.support.running import RunningServer
from ticketflow.runtime import mariadb, postgres
from ticketflow.runtime.address import parse_addresses
from ticketflow.runtime.store import Store

C = TypeVar("C")


@contextmanager
def takes(at_most_s: float) -> Iterator[None]:
    """Asserts the bound that a deadline promises; machines under load get a second on top."""
    started = time.monotonic()
    yield
    took_s = time.monotonic() - started
    assert took_s <= at_most_s + 1, f"took {took_s:.2f} s; at most {at_most_s} s were promised"


class Kit(ABC, Generic[C]):
    """The table ``numbers (n int primary key)`` exists."""

    def __init__(self, server: RunningServer[Any], database: Database) -> None:
        self.server = server
        self.database = database
        self._pools: list[Store[C]] = []

    @abstractmethod
    def make_pool(self, **options: Any) -> Store[C]: ...

    @abstractmethod
    async def run(self, connection: C, sql: str) -> None: ...

    @abstractmethod
    async def value(self, connection: C, sql: str) -> Any: ...

    @abstractmethod
    async def session(self, connection: C) -> int:
        """The server's name for the connection."""

    @abstractmethod
    async def kill_session(self, session: int) -> None: ...

    @abstractmethod
    def stored(self) -> set[int]:
        """The committed numbers, read beside the pool."""

    @abstractmethod
    def sleep(self, seconds: float) -> str:
        """SQL that takes so long."""

    @abstractmethod
    def commits_hang(self) -> AbstractAsyncContextManager[None]:
        """Meanwhile a COMMIT of ``numbers`` gets no answer."""

    @abstractmethod
    def commit_waits(self) -> bool:
        """Whether some session waits inside COMMIT."""

    async def pool(self, **options: Any) -> Store[C]:
        pool = self.make_pool(name="test", **options)
        self._pools.append(pool)
        await pool.open()
        return pool

    async def insert(self, connection: C, number: int) -> None:
        await self.run(connection, f"INSERT INTO numbers VALUES ({number})")

    async def prepare(self) -> None:
        pool = await self.pool()
        async with pool.transaction() as connection:
            await self.run(connection, "CREATE TABLE numbers (n INT PRIMARY KEY)")

    async def finish(self) -> None:
        self.thaw()
        for pool in self._pools:
            await pool.close(deadline_s=0.1)

    async def start(self) -> None:
        await asyncio.to_thread(self.server.start)

    async def stop(self) -> None:
        await asyncio.to_thread(self.server.stop)

    async def kill(self) -> None:
        await asyncio.to_thread(self.server.kill)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP to the server and to the processes it has started."""
        self._for_each(freeze)
        try:
            yield
        finally:
            self.thaw()

    def thaw(self) -> None:
        self._for_each(lambda pid: os.kill(pid, signal.SIGCONT))

    def _for_each(self, act: Callable[[int], None]) -> None:
        process = self.server._process
        if process is None or process.poll() is not None:
            return
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for pid in [process.pid, *map(int, children)]:
            try:
                act(pid)
            except ProcessLookupError:
                continue


class PostgresKit(Kit[postgres.Connection]):
    def make_pool(self, **options: Any) -> postgres.PostgresPool:
        return postgres.PostgresPool(options.pop("dsn", self.database.dsn), **options)

    async def run(self, connection: postgres.Connection, sql: str) -> None:
        await connection.execute(sql)

    async def value(self, connection: postgres.Connection, sql: str) -> Any:
        return await connection.fetchval(sql)

    async def session(self, connection: postgres.Connection) -> int:
        return int(await connection.fetchval("SELECT pg_backend_pid()"))

    async def kill_session(self, session: int) -> None:
        self.as_admin(f"SELECT pg_terminate_backend({session})")

    def as_admin(self, sql: str) -> list[Any]:
        with psycopg.connect(self.server.server.dsn(), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def stored(self) -> set[int]:
        with psycopg.connect(self.database.dsn) as connection:
            return {row[0] for row in connection.execute("SELECT n FROM numbers")}

    def sleep(self, seconds: float) -> str:
        return f"SELECT pg_sleep({seconds})"

    @asynccontextmanager
    async def commits_hang(self) -> AsyncIterator[None]:
        """A deferred constraint trigger runs inside COMMIT; it waits for a lock that we hold."""
        with psycopg.connect(self.database.dsn, autocommit=True) as connection:
            connection.execute(
                "CREATE OR REPLACE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$"
            )
            connection.execute(
                "CREATE CONSTRAINT TRIGGER hang AFTER INSERT ON numbers DEFERRABLE INITIALLY DEFERRED "
                "FOR EACH ROW EXECUTE FUNCTION hang()"
            )
            connection.execute("SELECT pg_advisory_lock(1)")
            yield

    def commit_waits(self) -> bool:
        return bool(self.as_admin("SELECT 1 FROM pg_stat_activity WHERE query = 'COMMIT' AND wait_event = 'advisory'"))


class MariaDBKit(Kit[mariadb.Connection]):
    def make_pool(self, **options: Any) -> mariadb.MariaDBPool:
        addresses = parse_addresses(options.pop("addresses", self.database.address))
        d = self.database
        return mariadb.MariaDBPool(addresses, d.name, d.user, d.password, **options)

    async def run(self, connection: mariadb.Connection, sql: str) -> None:
        await mariadb.execute(connection, sql)

    async def value(self, connection: mariadb.Connection, sql: str) -> Any:
        rows = await mariadb.query(connection, sql)
        return next(iter(rows[0].values()))

    async def session(self, connection: mariadb.Connection) -> int:
        return int(await self.value(connection, "SELECT CONNECTION_ID()"))

    async def kill_session(self, session: int) -> None:
        self.as_admin(f"KILL {session}")

    def as_admin(self, sql: str) -> list[Any]:
        with self.server.server.connect() as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def stored(self) -> set[int]:
        d = self.database
        with (
            pymysql.connect(host=d.host, port=d.port, user=d.user, password=d.password, database=d.name) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT n FROM numbers")
            return {row[0] for row in cursor.fetchall()}

    def sleep(self, seconds: float) -> str:
        return f"SELECT SLEEP({seconds})"

    @asynccontextmanager
    async def commits_hang(self) -> AsyncIterator[None]:
        """A backup's last stage lets transactions write, and blocks their COMMIT."""
        connection = self.server.server.connect()
        try:
            with connection.cursor() as cursor:
                for stage in ("START", "FLUSH", "BLOCK_DDL", "BLOCK_COMMIT"):
                    cursor.execute(f"BACKUP STAGE {stage}")
            yield
        finally:
            connection.close()

    def commit_waits(self) -> bool:
        return bool(self.as_admin("SELECT 1 FROM information_schema.processlist WHERE info = 'COMMIT'"))
