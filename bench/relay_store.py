"""A store with delivery's tables, opened by each process of a bench of relays, with a bell where it needs one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec

from tests.support.databases import Database
from ticketflow.delivery import SCHEMA, Dialect, MariaDBDialect, PostgresDialect
from ticketflow.runtime.address import Address
from ticketflow.runtime.bell import Bell, Ringer
from ticketflow.runtime.mariadb import MariaDBPool
from ticketflow.runtime.migrate import migrate
from ticketflow.runtime.postgres import PostgresPool

Kind = Literal["postgres", "mariadb"]


class Where(msgspec.Struct, kw_only=True):
    kind: Kind
    database: Database


def prepare(where: Where) -> None:
    """Makes the tables."""
    base = where.database
    url = f"mysql://{base.user}:{base.password}@{base.address}/{base.name}" if where.kind == "mariadb" else base.dsn
    migrate(url, [SCHEMA[where.kind]], "bench")


@contextlib.asynccontextmanager
async def opened(
    where: Where, *, bell: int | None = None, rings: tuple[int, str] | None = None
) -> AsyncIterator[tuple[Any, Dialect[Any]]]:
    """``bell``: hears rings at this port; ``rings``: at which port, and for which stream. Only MariaDB needs them."""
    base = where.database
    if where.kind == "postgres":
        pool: Any = PostgresPool(base.dsn, name="bench")
        async with _open(pool):
            yield pool, PostgresDialect()
        return
    hanging = None if bell is None else Bell("127.0.0.1", bell)
    ringer = None if rings is None else Ringer([Address("127.0.0.1", rings[0])], rings[1])
    hearing = None if hanging is None else asyncio.create_task(hanging.run())
    pool = MariaDBPool([Address(base.host, base.port)], base.name, base.user, base.password, name="bench")
    try:
        async with _open(pool):
            yield pool, MariaDBDialect(bell=hanging, ringer=ringer)
    finally:
        if ringer is not None:
            ringer.close()
        if hearing is not None:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)


@contextlib.asynccontextmanager
async def _open(pool: Any) -> AsyncIterator[None]:
    await pool.open()
    try:
        yield
    finally:
        await pool.close()
