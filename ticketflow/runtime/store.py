"""Transactions over a pool, whatever the database: one place decides what has happened.

``transaction()`` ends in exactly one of: committed (it returns), not committed (the block's own exception, Unavailable,
Retryable, NotCommitted), or unknown (Indefinite; or CancelledError and the caller's own TimeoutError when they strike
while COMMIT is under way). Nothing is committed before COMMIT, so that until then no fault is indefinite.

A block that is cancelled or runs out of time loses its connection: the drivers could recover it only by waiting for
the server, which is what had taken too long. The server rolls back when it notices: at once between statements; within
one, Postgres after a second (client_connection_check_interval), MariaDB when the statement's own time-out ends it.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from ticketflow.runtime import metrics
from ticketflow.runtime.commit import uninterrupted
from ticketflow.runtime.errors import Indefinite, RuntimeFault, Unavailable
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.pool import Pool

C = TypeVar("C")

PING_TIMEOUT_S = 2.0

log = get_logger("store")

_faults = metrics.counter("store_faults_total", "Transactions that the store did not carry out", ("pool", "kind"))


class Store(ABC, Generic[C]):
    def __init__(self, pool: Pool[C], *, begin_timeout_s: float, transaction_timeout_s: float) -> None:
        self._pool = pool
        self._begin_timeout_s = begin_timeout_s
        self._transaction_timeout_s = transaction_timeout_s

    @property
    def connections(self) -> Pool[C]:
        """The pool underneath, for its figures."""
        return self._pool

    async def open(self) -> None:
        """Begins to connect; returns at once, and does not fail when the server is down."""
        self._pool.start()

    async def close(self, deadline_s: float = 3) -> None:
        """Refuses new users, gives the present ones ``deadline_s``, then cuts every connection."""
        await self._pool.close(deadline_s)

    @asynccontextmanager
    async def transaction(self, *, timeout_s: float | None = None) -> AsyncIterator[C]:
        """A transaction at READ COMMITTED, committed when the block ends well, rolled back when it raises.

        ``timeout_s`` bounds the block (the pool's transaction_timeout_s unless given), not the COMMIT after it, which
        has a deadline of its own. Raises Unavailable, Retryable, Indefinite, NotCommitted; other exceptions of the
        block, constraint violations included, pass unchanged.
        """
        connection = await self._begun()
        reusable = False
        try:
            try:
                async with asyncio.timeout(timeout_s or self._transaction_timeout_s):
                    yield connection
                    await _let_cancellation_strike()
                await uninterrupted(self._commit(connection))
                reusable = True
            except Exception as error:
                reusable = await self._settled(connection, error)
                self._raise_fault(connection, error)
                raise
        finally:
            self._pool.release(connection, reusable=reusable)

    @asynccontextmanager
    async def acquire(self, *, timeout_s: float | None = None, plain: bool = False) -> AsyncIterator[C]:
        """A connection in autocommit, for reads and for statements that may be repeated at will.

        A write that is cut short here raises Unavailable and may nevertheless have happened: one that matters belongs
        in ``transaction()``. ``timeout_s`` bounds the block. The session's state is reset afterwards, unless the block
        is ``plain``: it leaves none behind, no setting, no lock, no temporary table.
        """
        connection = await self._pool.acquire()
        reusable = False
        try:
            try:
                async with asyncio.timeout(timeout_s or self._transaction_timeout_s):
                    yield connection
                reusable = plain or await self._cleaned(connection)  # the pool keeps none that is in a transaction
            except Exception as error:
                reusable = await self._settled(connection, error)
                self._raise_fault(connection, error)
                raise
        finally:
            self._pool.release(connection, reusable=reusable)

    async def ping(self) -> None:
        """Returns when a server that takes writes answers. Raises Unavailable."""
        async with self.acquire(timeout_s=PING_TIMEOUT_S, plain=True) as connection:
            await self._probe(connection)

    # -- what the database's own subclass knows

    @abstractmethod
    async def _begin(self, connection: C) -> None: ...

    @abstractmethod
    async def _commit(self, connection: C) -> None:
        """Must keep a deadline; raises Indefinite unless the server's answer proves what has happened."""

    @abstractmethod
    async def _clean(self, connection: C) -> None:
        """Rolls back what is open and forgets the session's state; must keep a deadline."""

    @abstractmethod
    async def _probe(self, connection: C) -> None:
        """Asks the server for a sign of life."""

    @abstractmethod
    def _lost(self, connection: C) -> bool: ...

    @abstractmethod
    def _fault_of(self, error: Exception, lost: bool) -> Unavailable | None:
        """What an error outside COMMIT means; None when it is the caller's own."""

    @abstractmethod
    def _expires_pool(self, error: Exception, lost: bool) -> bool:
        """Whether the pool's other connections are suspect too."""

    # -- the same for all

    async def _begun(self) -> C:
        """A connection inside a transaction. One that died while it lay idle is replaced: nothing has happened yet."""
        for last_try in (False, True):
            if self._pool.stuck:
                raise self._refusal()
            connection = await self._pool.acquire()
            try:
                async with asyncio.timeout(self._begin_timeout_s):
                    await self._begin(connection)
            except Exception as error:
                if isinstance(error, TimeoutError):
                    self._pool.distrust(connection)
                else:
                    self._pool.expire()  # a server that cannot even begin will not serve the others either
                fault = self._fault_of(error, self._lost(connection))
                self._pool.release(connection, reusable=False)
                if fault is None:
                    raise
                if last_try:
                    raise fault from error
            except BaseException:
                self._pool.release(connection, reusable=False)
                raise
            else:
                return connection
        raise AssertionError("unreachable")

    def _refusal(self) -> Unavailable:
        return Unavailable(f"{self._pool.name}: the store has COMMITs to answer first")

    async def _settled(self, connection: C, error: Exception) -> bool:
        """Whether the connection may be used again after ``error``; takes the pool's other connections along."""
        if isinstance(error, Indefinite):
            return False  # it may still wait for the answer
        lost = self._lost(connection)
        if self._expires_pool(error, lost):
            self._pool.expire()
            return False
        return not isinstance(error, TimeoutError) and await self._cleaned(connection)

    def _raise_fault(self, connection: C, error: Exception) -> None:
        fault = self._fault_of(error, self._lost(connection))
        if fault is not None or isinstance(error, RuntimeFault):
            _faults.labels(self._pool.name, type(fault or error).__name__).inc()
        if fault is not None:
            raise fault from error

    async def _cleaned(self, connection: C) -> bool:
        if self._lost(connection):
            return False
        try:
            await self._clean(connection)
        except Exception as error:
            log.info("connection_not_cleaned", pool=self._pool.name, error=f"{type(error).__name__}: {error}")
            return False
        return True


async def _let_cancellation_strike() -> None:
    """Raises here, before COMMIT, a cancellation that has been asked for and not delivered yet."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        await asyncio.sleep(0)
