"""A worker over rows that are due: taken by a guarded UPDATE, a few steps at once, one bad row harms no other."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from ticketflow.runtime.errors import Indefinite, Unavailable
from ticketflow.runtime.mariadb import MariaDBPool

R = TypeVar("R")
Conn = Any

BATCH_ROWS = 32
AT_ONCE = 4  # each waits for the provider, and needs a connection before and after
TAKEN_FOR_S = 10.0  # two calls to the provider; a killed worker's row waits no longer, and two at once do no harm


class DueWorker(Generic[R]):
    """``due(conn, rows_max)``, ``take(conn, row, for_s)``: the store's. ``step``: what is done with a row.
    ``failed``: what happens to one that our own code could not handle."""

    def __init__(
        self,
        pool: MariaDBPool,
        *,
        due: Callable[[Conn, int], Awaitable[Sequence[R]]],
        take: Callable[[Conn, R, float], Awaitable[bool]],
        step: Callable[[R], Awaitable[None]],
        failed: Callable[[R, Exception], Awaitable[None]],
    ) -> None:
        self._pool = pool
        self._due = due
        self._take = take
        self._step = step
        self._failed = failed

    async def run_once(self) -> int:
        """How many were due. Raises the first fault of the store, after every step begun has ended."""
        async with self._pool.acquire() as conn:
            rows = await self._due(conn, BATCH_ROWS)
        rest = iter(rows)
        lanes = (self._lane(rest) for _ in range(min(AT_ONCE, len(rows))))
        for outcome in await asyncio.gather(*lanes, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        return len(rows)

    async def _lane(self, rest: Iterator[R]) -> None:
        for row in rest:
            async with self._pool.transaction() as conn:
                mine = await self._take(conn, row, TAKEN_FOR_S)
            if mine:
                await self._one(row)

    async def _one(self, row: R) -> None:
        try:
            await self._step(row)
        except (Unavailable, Indefinite):
            raise
        except Exception as error:
            await self._failed(row, error)
