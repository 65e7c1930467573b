"""A process's connections to the database in memory, under the product's own transaction()."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.simulation.database import Database
from tests.simulation.loop import Process
from tests.simulation.session import Gone, Session, Victim
from ticketflow.runtime.errors import Retryable, Unavailable
from ticketflow.runtime.store import Store


class Connections:
    """The little that Store asks of runtime's Pool; connections cost nothing, so that none is kept."""

    stuck = False

    def __init__(self, database: Database, process: Process) -> None:
        self.name = database.name
        self._database = database
        self._process = process

    async def acquire(self) -> Session:
        return self._database.connect(self._process)

    def release(self, session: Session, *, reusable: bool) -> None:
        if reusable:
            self._database.end(session)
        else:
            self._database.abandon(session)

    def expire(self) -> None:
        """There is nothing to keep."""

    def distrust(self, session: Session) -> None:
        self._database.abandon(session)


class SimulatedStore(Store[Session]):
    def __init__(self, database: Database, process: Process) -> None:
        self._database = database
        connections: Any = Connections(database, process)
        self.listeners = database.listeners
        super().__init__(connections, begin_timeout_s=2, transaction_timeout_s=10)

    @asynccontextmanager
    async def acquire(self, *, timeout_s: float | None = None, plain: bool = False) -> AsyncIterator[Session]:
        """Of the statements here one at most writes; it commits by itself."""
        async with super().acquire(timeout_s=timeout_s, plain=plain) as session:
            yield session
            if session.writes:
                await self._database.commit(session)

    async def _begin(self, connection: Session) -> None:
        await connection.statement()

    async def _commit(self, connection: Session) -> None:
        await self._database.commit(connection)

    async def _clean(self, connection: Session) -> None:
        self._database.end(connection)

    async def _probe(self, connection: Session) -> None:
        await connection.statement()

    def _lost(self, connection: Session) -> bool:
        return connection.ended

    def _fault_of(self, error: Exception, lost: bool) -> Unavailable | None:
        if isinstance(error, Victim):
            return Retryable(str(error))
        if isinstance(error, Gone | TimeoutError):
            return Unavailable(f"{type(error).__name__}: {error}")
        return None

    def _expires_pool(self, error: Exception, lost: bool) -> bool:
        return isinstance(error, Gone)
