"""What the statements in MariaDB need of aiomysql."""

from collections.abc import Sequence
from typing import Any

from ticketflow.runtime.mariadb_rows import insert

__all__ = ["Connection", "fetch", "insert", "write"]

Connection = Any  # aiomysql has no types


async def write(conn: Connection, sql: str, params: Sequence[Any] = ()) -> int:
    """Rows inserted, deleted, or really changed."""
    async with conn.cursor() as cursor:
        return int(await cursor.execute(sql, tuple(params)))


async def fetch(conn: Connection, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    async with conn.cursor() as cursor:
        await cursor.execute(sql, tuple(params))
        return list(await cursor.fetchall())
