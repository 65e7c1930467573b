"""What the statements in Postgres need of asyncpg."""

from typing import TYPE_CHECKING, TypeAlias

import asyncpg

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Connection = asyncpg.Connection


def count(status: str) -> int:
    """The row count in a command tag such as 'UPDATE 3'."""
    return int(status.rpartition(" ")[2])


def channel(stream: str) -> str:
    """The NOTIFY channel that wakes a stream's relay. One a stream: a relay hears only its own."""
    return f"delivery_{stream}"
