"""MariaDB: a pool of aiomysql connections whose transactions always say whether they happened (see store.py).

The pool is our own: aiomysql's connects while it holds its lock, and has no time-out for an answer.
Through Galera and ProxySQL the same numbers hold: 1213 at COMMIT means that certification failed (nothing happened),
1180 and a lost connection at COMMIT are unknown.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pymysql
from pymysql.constants import SERVER_STATUS

from ticketflow.runtime import mariadb_faults as faults
from ticketflow.runtime.address import Address
from ticketflow.runtime.errors import Indefinite, Unavailable
from ticketflow.runtime.mariadb_ahead import Ahead
from ticketflow.runtime.mariadb_answer import Check, Result
from ticketflow.runtime.mariadb_driver import MariaDBDriver, TimedConnection
from ticketflow.runtime.mariadb_text import Params
from ticketflow.runtime.mariadb_together import Together
from ticketflow.runtime.pool import Pool
from ticketflow.runtime.store import Store

__all__ = ["Ahead", "Check", "Connection", "MariaDBPool", "Result", "Together", "dicts", "execute", "query"]

Connection: TypeAlias = TimedConnection

RECYCLE_S = 60.0  # a connection through ProxySQL may be pinned to a writer that no longer is one
CLEAN_TIMEOUT_S = 1.0
JUST_NOW_S = 0.05  # one that lay idle for longer is asked first whether anybody is there


class MariaDBPool(Store[Connection]):
    """``addresses`` are tried in turn, beginning with the last good one. ``transaction()`` yields an aiomysql
    connection inside a transaction (utf8mb4, UTC, strict, READ COMMITTED); ``acquire()`` one in autocommit."""

    def __init__(
        self,
        addresses: Sequence[Address],
        database: str,
        user: str,
        password: str,
        *,
        name: str,
        size_min: int = 1,
        size_max: int = 8,
        connect_timeout_s: float = 1,
        statement_timeout_s: float = 5,
        acquire_timeout_s: float = 2,
        transaction_timeout_s: float = 10,
        commit_timeout_s: float = 10,
        committed: Callable[[], None] | None = None,
    ) -> None:
        """``committed`` is called after each COMMIT of a transaction, one without an answer included. It must not raise
        and must not wait."""
        self._driver = MariaDBDriver(
            addresses,
            database,
            user,
            password,
            name=name,
            connect_timeout_s=connect_timeout_s,
            statement_timeout_s=statement_timeout_s,
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
        self._committed = committed or _nothing

    async def _begin(self, connection: Connection) -> None:
        # What BEGIN's own answer tells is whether anybody is at the other end. Of a connection that has just been used
        # that is known, and the round trip is saved.
        if asyncio.get_running_loop().time() - connection.heard_at < JUST_NOW_S:
            connection.begin_with_next()
        else:
            await connection.begin()

    async def _commit(self, connection: Connection) -> None:
        if self._lost(connection):
            raise Unavailable("the connection was lost before COMMIT")
        await connection.settle()  # whatever becomes of that: nothing is committed
        try:
            async with asyncio.timeout(self._commit_timeout_s):
                await connection.commit()
        except Exception as error:
            if faults.code_of(error) in faults.COMMIT_FAILED or isinstance(error, pymysql.IntegrityError):
                raise
            self._driver.discard(connection)
            self._pool.expire()
            self._committed()
            raise Indefinite(f"COMMIT was not answered: {str(error) or 'no answer in time'}") from error
        self._committed()

    async def _clean(self, connection: Connection) -> None:
        async with asyncio.timeout(CLEAN_TIMEOUT_S):
            if (
                connection.begins_with_next or connection.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS
            ):  # in every answer but an error's
                await connection.rollback()
            if not connection.get_autocommit():
                await connection.autocommit(True)

    async def _probe(self, connection: Connection) -> None:
        await query(connection, "SELECT 1")

    def _lost(self, connection: Connection) -> bool:
        return self._driver.lost(connection)

    def _fault_of(self, error: Exception, lost: bool) -> Unavailable | None:
        return faults.fault_of(error, lost)

    def _expires_pool(self, error: Exception, lost: bool) -> bool:
        return faults.expires_pool(error, lost)


def _nothing() -> None:
    return


async def query(connection: Connection, sql: str, params: Params = None) -> list[dict[str, Any]]:
    """The rows as dicts. ``%s`` or ``%(name)s`` in ``sql`` stand for parameters."""
    return dicts(await connection.ask(sql, params))


def dicts(result: Result) -> list[dict[str, Any]]:
    names = result.names
    return [dict(zip(names, row, strict=True)) for row in result.rows]


async def execute(connection: Connection, sql: str, params: Params = None) -> int:
    """Affected rows: for UPDATE those that really changed."""
    return (await connection.ask(sql, params)).affected
