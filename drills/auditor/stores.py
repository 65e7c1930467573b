"""The stores, open for reading: each call answers from what is committed, within its time, or says why it cannot."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from drills.auditor.reader import PostgresReader
from drills.auditor.settings import AuditorSettings
from ticketflow.runtime.address import Address
from ticketflow.runtime.mariadb import Connection as MariaDBConnection
from ticketflow.runtime.mariadb import MariaDBPool
from ticketflow.runtime.postgres import Connection as PostgresConnection

Row = tuple[Any, ...]

CLOSE_S = 0.5  # reads may be cut short


class Stores:
    """``billing`` goes through the proxies to the writer: inside a transaction, which they never send elsewhere.
    ``nodes`` are Galera's, each by itself."""

    def __init__(self, settings: AuditorSettings, statement_s: float) -> None:
        bounds = {
            "size_min": 0,
            "size_max": 2,
            "connect_timeout_s": 1.5,
            "acquire_timeout_s": 2,
            "statement_timeout_s": statement_s,
            "transaction_timeout_s": statement_s + 1,
        }

        def mariadb(addresses: Sequence[Address], name: str) -> MariaDBPool:
            password = settings.billing_password
            return MariaDBPool(addresses, "billing", settings.billing_user, password, name=name, **bounds)  # type: ignore[arg-type]

        self.reservation = PostgresReader(settings.reservation_dsn, statement_s)
        self.portal = PostgresReader(settings.portal_dsn, statement_s)
        self.billing = mariadb(settings.billing_addresses, "audit-billing")
        self.nodes = {
            address.host: mariadb([address], f"audit-{address.host}") for address in settings.galera_addresses
        }


@asynccontextmanager
async def open_stores(settings: AuditorSettings, statement_s: float) -> AsyncIterator[Stores]:
    """Connects when something is asked, and not before."""
    stores = Stores(settings, statement_s)
    async with AsyncExitStack() as stack:
        for reader in (stores.reservation, stores.portal):
            stack.push_async_callback(reader.close)
        for pool in (stores.billing, *stores.nodes.values()):
            stack.push_async_callback(pool.close, CLOSE_S)
        yield stores


async def postgres(connection: PostgresConnection, query: str, *parameters: Any) -> list[Row]:
    return [tuple(row) for row in await connection.fetch(query, *parameters)]


async def mariadb(connection: MariaDBConnection, query: str, *parameters: Any) -> list[Row]:
    async with connection.cursor() as cursor:
        await cursor.execute(query, parameters)
        return [tuple(row) for row in await cursor.fetchall()]
