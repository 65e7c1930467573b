"""One connection to the database in memory, which is one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.database import Database
    from tests.simulation.loop import Process

import asyncio
import contextvars

Key = tuple[str, Any]

fence_of: contextvars.ContextVar[int | None] = contextvars.ContextVar("fence", default=None)
"""In a receiver: the fencing token under which the present batch came."""


class Gone(ConnectionError):
    """The connection to the server is lost."""


class Victim(Exception):
    """The server has rolled the transaction back to let another one through."""


class Session:
    """What a dialect gets as its connection. Rows are immutable: a write puts a new one."""

    __slots__ = ("committing", "database", "ended", "fence", "held", "process", "waits_for", "writes")

    def __init__(self, database: Database, process: Process) -> None:
        self.database = database
        self.process = process
        self.writes: dict[Key, Any] = {}
        self.held: list[Key] = []
        self.waits_for: Key | None = None
        self.ended = False
        self.committing = False
        self.fence = fence_of.get()

    def check(self) -> None:
        """Raises Gone when the server has ended this transaction."""
        if self.ended:
            raise Gone("the connection is closed")

    async def statement(self) -> None:
        """To be awaited before each: it takes time, and may fail."""
        database = self.database
        rates, draw = database.rates, database.rng.random()
        if draw < rates.slow:
            await asyncio.sleep(draw * 0.02)
        elif draw > 1 - rates.lost:
            database.end(self)
        elif draw > 1 - rates.lost - rates.victim:
            database.end(self)
            raise Victim("chosen as the victim")
        self.check()

    def get(self, table: str, pk: Any) -> Any:
        """The row as this transaction sees it now; None for none."""
        key = (table, pk)
        return self.writes[key] if key in self.writes else self.database.table(table).get(pk)

    def rows(self, table: str) -> Iterator[tuple[Any, Any]]:
        """All rows as this transaction sees them now, by primary key; those of its own that are new come last."""
        writes, committed = self.writes, self.database.table(table)
        if not writes:
            yield from committed.items()
            return
        for pk, row in committed.items():
            seen = writes.get((table, pk), row) if (table, pk) in writes else row
            if seen is not None:
                yield pk, seen
        for (of_table, pk), row in writes.items():
            if of_table == table and pk not in committed and row is not None:
                yield pk, row

    async def lock(self, table: str, pk: Any) -> None:
        """Hold the row's lock (whether or not there is a row) until the end. Raises Victim or Gone."""
        await self.database.lock(self, (table, pk))

    def put(self, table: str, pk: Any, row: Any) -> None:
        """Write the row, or delete it with None. Needs its lock, unless it is new under a key of our own."""
        self.writes[table, pk] = row

    def summary(self) -> str:
        """What it wrote, for the trace."""
        parts = []
        for (table, pk), row in self.writes.items():
            if row is None:
                parts.append(f"-{table}[{pk}]")
            elif hasattr(row, "brief"):
                parts.append(f"{table}[{pk}] {row.brief()}")
            else:
                parts.append(f"{table}[{pk}]")
        return ", ".join(parts)
