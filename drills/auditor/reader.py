"""One Postgres database, open for reading: one connection, made when it is needed, and made anew after any trouble.

The services' own pool will not do: it takes only sessions that may write, which the auditor's may not.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from ticketflow.runtime.errors import Unavailable
from ticketflow.runtime.postgres import Connection
from ticketflow.runtime.postgres_driver import hosts_of

CONNECT_S = 1.5


class PostgresReader:
    """``statement_s`` bounds each statement; so does the server. Only a primary is read: a standby may be behind."""

    def __init__(self, dsn: str, statement_s: float) -> None:
        self._dsn = dsn
        self._statement_s = statement_s
        self._one_at_a_time = asyncio.Lock()
        self._connection: Connection | None = None

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Connection]:
        """A read-only transaction, all of whose reads show the same moment. Raises Unavailable."""
        async with self._one_at_a_time:
            try:
                connection = self._connection = self._connection or await self._connected()
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    yield connection
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                await self.close()
                raise Unavailable(f"{type(error).__name__}: {error}") from error
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _connected(self) -> Connection:
        failures = []
        for host, port in hosts_of(self._dsn):
            try:
                async with asyncio.timeout(CONNECT_S):
                    connection: Connection = await asyncpg.connect(
                        self._dsn,
                        host=host,
                        port=port,
                        timeout=CONNECT_S,
                        command_timeout=self._statement_s,
                        server_settings={
                            "application_name": "auditor",
                            "statement_timeout": str(int(self._statement_s * 1000)),
                            "default_transaction_read_only": "on",
                            "timezone": "UTC",
                        },
                        target_session_attrs=asyncpg.connect_utils.SessionAttribute.primary,
                    )
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                failures.append(f"{host}:{port}: {str(error) or 'no answer in time'}")
            else:
                return connection
        raise Unavailable("; ".join(failures))
