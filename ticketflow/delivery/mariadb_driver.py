"""What the statements in MariaDB need of aiomysql."""

from collections.abc import Sequence
from typing import Any

Connection = Any  # aiomysql has no types

# A statement stays far below max_allowed_packet (16 MiB by default), even when escaping doubles its bytes.
_STATEMENT_BYTES_MAX = 1024 * 1024


async def write(conn: Connection, sql: str, params: Sequence[Any] = ()) -> int:
    """Rows inserted, deleted, or really changed."""
    async with conn.cursor() as cursor:
        return int(await cursor.execute(sql, tuple(params)))


async def fetch(conn: Connection, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    async with conn.cursor() as cursor:
        await cursor.execute(sql, tuple(params))
        return list(await cursor.fetchall())


async def insert(conn: Connection, head: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Multi-row INSERTs: ``executemany`` of the driver costs twice the time per row."""
    values = "(" + ", ".join(["%s"] * len(rows[0])) + ")"
    start = size = 0
    for end, row in enumerate(rows, 1):
        size += sum(len(field) if isinstance(field, bytes | str) else 20 for field in row)
        if size >= _STATEMENT_BYTES_MAX or end == len(rows):
            batch = rows[start:end]
            await write(conn, f"{head} VALUES " + ", ".join([values] * len(batch)), [f for row in batch for f in row])
            start, size = end, 0
