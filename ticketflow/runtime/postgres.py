"""Postgres: a pool of asyncpg connections whose transactions always say whether they happened (see store.py).

Time-outs at each await: to acquire, to connect, for BEGIN, for every statement (the server's own first, ours a second
later), for the block as a whole, for COMMIT, for a statement that is a transaction by itself. A server or proxy that
falls silent is found out sooner: see vigil.py.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import asyncpg

from ticketflow.runtime import postgres_faults as faults
from ticketflow.runtime.commit import uninterrupted
from ticketflow.runtime.errors import Indefinite, NotCommitted, Unavailable
from ticketflow.runtime.pool import Pool
from ticketflow.runtime.postgres_driver import Connection, PostgresDriver
from ticketflow.runtime.postgres_listen import listen
from ticketflow.runtime.store import Store

__all__ = ["Connection", "PostgresPool"]

T = TypeVar("T")

RECYCLE_S = 1800.0  # long: each new connection prepares its statements again
NEVER_S = 24 * 3600.0
CLEAN_TIMEOUT_S = 1.0  # beyond it cutting the connection is the quicker way
# What asyncpg's own reset does, without its DO block; RESET ALL goes back to the settings given at connect.
RESET = "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL"


class PostgresPool(Store[Connection]):
    """``dsn``: postgresql://user:pass@host:port[,host:port]/db; of several hosts the one that takes writes is used;
    with ``any_server`` a streaming replica will do."""

    def __init__(
        self,
        dsn: str,
        *,
        name: str,
        size_min: int = 1,
        size_max: int = 8,
        connect_timeout_s: float = 1,
        statement_timeout_s: float = 5,
        acquire_timeout_s: float = 2,
        transaction_timeout_s: float = 10,
        commit_timeout_s: float = 6,
        any_server: bool = False,
    ) -> None:
        self._driver = PostgresDriver(
            dsn,
            name=name,
            connect_timeout_s=connect_timeout_s,
            statement_timeout_s=statement_timeout_s,
            any_server=any_server,
        )
        pool = Pool(
            self._driver,
            name=name,
            size_min=size_min,
            size_max=size_max,
            acquire_timeout_s=acquire_timeout_s,
            recycle_s=RECYCLE_S,
        )
        super().__init__(pool, begin_timeout_s=acquire_timeout_s, transaction_timeout_s=transaction_timeout_s)
        self._commit_timeout_s = commit_timeout_s

    async def single(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of one statement that is a transaction by itself: with its answer it is committed, and no lock of it
        waits for us meanwhile. It must leave nothing behind in the session.

        Raises as ``transaction`` does; Indefinite for every fault after it was sent that is no ERROR of the server.
        """
        if self._pool.stuck:
            raise self._refusal()
        connection = await self._pool.acquire()
        reusable = False
        try:
            try:
                rows = await uninterrupted(self._single(connection, statement, arguments))
                reusable = True
            except Exception as error:
                reusable = await self._settled(connection, error)
                self._raise_fault(connection, error)
                raise
            return rows
        finally:
            self._pool.release(connection, reusable=reusable)

    async def listen(self, channel: str, callback: Callable[[str], None]) -> None:
        """Runs for ever: calls ``callback(payload)`` for every NOTIFY, and ``callback("")`` after each (re)connect,
        since notifications may have been missed. Uses a connection of its own, beside the pool."""
        await listen(self._driver, channel, callback)

    async def _begin(self, connection: Connection) -> None:
        await connection.execute("BEGIN")

    async def _commit(self, connection: Connection) -> None:
        if connection.is_closed():
            raise Unavailable("the connection was lost before COMMIT")
        tag = await self._answer(connection, "COMMIT", connection.execute("COMMIT", timeout=NEVER_S))
        if tag != "COMMIT":
            raise NotCommitted("a statement of the transaction had failed, and its error was swallowed")

    async def _single(
        self, connection: Connection, statement: str, arguments: Sequence[object]
    ) -> list[asyncpg.Record]:
        if connection.is_closed():
            raise Unavailable("the connection was lost before the statement")
        return await self._answer(connection, "the statement", connection.fetch(statement, *arguments, timeout=NEVER_S))

    async def _answer(self, connection: Connection, what: str, sent: Awaitable[T]) -> T:
        """The answer to what commits, when it proves what has happened. Raises Indefinite when it proves nothing."""
        warnings = self._driver.warnings(connection)
        warnings.clear()
        # asyncpg's own time-out would send a cancel request, and a COMMIT that is cancelled while it waits for its
        # replica is done, is seen by others, and is on no other node. So we stop waiting, and leave it alone.
        answer = asyncio.ensure_future(sent)
        answered, _waiting = await asyncio.wait((answer,), timeout=self._commit_timeout_s)
        if not answered:
            self._pool.detain(connection, answer)
            raise Indefinite(f"{what} was not answered in time")
        try:
            result = answer.result()
        except asyncpg.PostgresError as error:
            if faults.commit_definitely_failed(error):
                raise
            self._pool.expire()
            raise Indefinite(f"{what} was answered by {faults.sqlstate(error)} {error}") from error
        except (TimeoutError, OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            self._driver.discard(connection)
            self._pool.expire()
            raise Indefinite(f"{what} was not answered: {str(error) or 'no answer in time'}") from error
        if warnings:
            # "canceling wait for synchronous replication": committed here, perhaps on no other node. A server that is
            # told to cancel or to stop calls that a success with a warning; it would not survive a failover.
            raise Indefinite(f"{what} was answered with a warning: {warnings[0]}")
        return result

    async def _clean(self, connection: Connection) -> None:
        if connection.is_in_transaction():
            await connection.execute("ROLLBACK", timeout=CLEAN_TIMEOUT_S)
        else:
            await connection.execute(RESET, timeout=CLEAN_TIMEOUT_S)

    async def _probe(self, connection: Connection) -> None:
        await connection.execute("SELECT 1")

    def _lost(self, connection: Connection) -> bool:
        return connection.is_closed()

    def _fault_of(self, error: Exception, lost: bool) -> Unavailable | None:
        return faults.fault_of(error, lost)

    def _expires_pool(self, error: Exception, lost: bool) -> bool:
        return faults.expires_pool(error, lost)
