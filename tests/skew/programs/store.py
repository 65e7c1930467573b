"""A store by its URL, with delivery's tables and those of the programs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from ticketflow.delivery import MariaDBDialect, PostgresDialect
from ticketflow.runtime.address import Address
from ticketflow.runtime.mariadb import MariaDBPool
from ticketflow.runtime.postgres import PostgresPool


class Store:
    """``url``: postgresql://... or mysql://..."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.postgres = parts.scheme == "postgresql"
        self.pool: Any
        self.dialect: Any
        if self.postgres:
            self.pool, self.dialect = PostgresPool(url, name="skew", size_max=4), PostgresDialect()
        else:
            address = Address(parts.hostname or "", parts.port or 3306)
            user, password = parts.username or "", parts.password or ""
            self.pool = MariaDBPool([address], parts.path[1:], user, password, name="skew", size_max=4)
            self.dialect = MariaDBDialect()

    async def effect(self, conn: Any, key: str, event_id: str, note: str) -> None:
        """A row of ``effects``, in the transaction of ``conn``."""
        sql = "INSERT INTO effects (event_key, event_id, note) VALUES "
        if self.postgres:
            await conn.execute(f"{sql} ($1, $2, $3)", key, event_id, note)
        else:
            async with conn.cursor() as cursor:
                await cursor.execute(f"{sql} (%s, %s, %s)", (key, event_id, note))


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    store = Store(url)
    await store.pool.open()
    try:
        yield store
    finally:
        await store.pool.close()


async def until_stopped(*tasks: asyncio.Task[Any], stop: asyncio.Event) -> None:
    """Until ``stop`` is set; raises what a task raises before."""
    stopping = asyncio.ensure_future(stop.wait())
    done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
