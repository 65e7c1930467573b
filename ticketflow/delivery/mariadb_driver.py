"""What the statements in MariaDB need of aiomysql."""

from collections.abc import Sequence
from typing import Any

from ticketflow.runtime.mariadb_answer import Result
from ticketflow.runtime.mariadb_rows import insert
from ticketflow.runtime.mariadb_text import filled

__all__ = ["Connection", "ask_together", "fetch", "insert", "write"]

Connection = Any  # aiomysql has no types


async def write(conn: Connection, sql: str, params: Sequence[Any] = ()) -> int:
    """Rows inserted, deleted, or really changed."""
    return int((await conn.ask(sql, params)).affected)


async def fetch(conn: Connection, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    return list((await conn.ask(sql, params)).rows)


async def ask_together(conn: Connection, *statements: tuple[str, Sequence[Any]]) -> list[Result]:
    """Several in one packet, in their order: what came before one that fails is done."""
    asked = [filled(sql, params, conn.escape) for sql, params in statements]
    results: list[Result] = await conn.ask_all(asked)
    return results
