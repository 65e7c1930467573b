"""The stores, each as its streams' history. A store is reached when it is asked, and may be away."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeAlias

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from audit.settings import AuditSettings
from ticketflow.delivery import MariaDBDialect, PostgresDialect
from ticketflow.delivery.history import End, StreamHistory
from ticketflow.runtime.errors import Indefinite, Unavailable
from ticketflow.runtime.mariadb import MariaDBPool
from ticketflow.runtime.postgres import Connection

CONNECT_S = 3.0
STATEMENT_S = 10.0

FAMILY = "billing"  # what is parked counts for the whole family, as in delivery

Histories: TypeAlias = dict[str, StreamHistory[Any]]


class PostgresOnce:
    """A connection for each transaction. The services' pool will not do: it takes only sessions that may write, which
    the auditor's may not."""

    def __init__(self, dsn: str, *, statement_s: float = STATEMENT_S) -> None:
        self._dsn = dsn
        self._statement_s = statement_s

    @asynccontextmanager
    async def transaction(self, *, snapshot: bool = False) -> AsyncIterator[Connection]:
        """``snapshot``: it only reads, and all its statements see one moment. Raises Unavailable, Indefinite."""
        try:
            connection = await asyncpg.connect(
                self._dsn,
                timeout=CONNECT_S,
                command_timeout=self._statement_s,
                server_settings={"application_name": "audit", "timezone": "UTC"},
                target_session_attrs=SessionAttribute.primary,
            )
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        begun = done = False
        try:
            isolated = {"isolation": "repeatable_read", "readonly": True} if snapshot else {}
            async with connection.transaction(**isolated):  # type: ignore[arg-type]
                begun = True
                yield connection
                done = True
        except (OSError, TimeoutError, asyncpg.InterfaceError) as error:
            fault = Indefinite if begun and done else Unavailable
            raise fault(f"{type(error).__name__}: {error}") from error
        finally:
            connection.terminate()

    def acquire(self, *, plain: bool = False) -> Any:
        return self.transaction()


class PortalHistory(StreamHistory[Connection]):
    """The portal keeps its positions in billing's streams, which RabbitMQ brings, in a table of its own."""

    def __init__(self, once: PostgresOnce) -> None:
        super().__init__(once, PostgresDialect())
        self._once = once

    async def ends(self) -> list[End]:
        async with self._once.transaction() as conn:
            if await conn.fetchval("SELECT to_regclass('portal_stream') IS NULL"):  # not migrated yet
                return await super().ends()
            rows = await conn.fetch("SELECT stream, epoch, watermark FROM portal_stream WHERE epoch > 0 ORDER BY 1")
            parked = await conn.fetchval("SELECT count(*) FROM portal_parked") if rows else 0
        return [
            *await super().ends(),
            *(End("in", stream, epoch, upto, parked=parked if stream == FAMILY else 0) for stream, epoch, upto in rows),
        ]


@asynccontextmanager
async def open_histories(settings: AuditSettings) -> AsyncIterator[Histories]:
    """By the name of the service whose store it is."""
    async with AsyncExitStack() as stack:
        billing = MariaDBPool(
            settings.billing_hosts,
            settings.billing_name,
            settings.billing_user,
            settings.billing_password,
            name="billing",
            size_min=0,
            size_max=1,
            statement_timeout_s=STATEMENT_S,
            transaction_timeout_s=STATEMENT_S + 1,
        )
        stack.push_async_callback(billing.close)
        yield {
            "reservation": StreamHistory(PostgresOnce(settings.reservation_dsn), PostgresDialect()),
            "billing": StreamHistory(billing, MariaDBDialect()),
            "portal": PortalHistory(PostgresOnce(settings.portal_dsn)),
        }
