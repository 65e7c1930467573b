"""What the statements in MariaDB need of aiomysql."""

from collections.abc import Sequence
from typing import Any

from ticketflow.runtime.mariadb_rows import insert

__all__ = ["Connection", "fetch", "insert", "write"]

Connection = Any  # aiomysql has no types


async def write(conn: Connection, sql: str, params: Sequence[Any] = ()) -> int:
    """Rows inserted, deleted, or really changed."""
    return int((await conn.ask(sql, params)).affected)


async def fetch(conn: Connection, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    return list((await conn.ask(sql, params)).rows)
