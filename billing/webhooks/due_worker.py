"""A worker over rows that are due: taken by a guarded UPDATE, a few steps at once, one bad row harms no other."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from billing.side_by_side import side_by_side
from ticketflow.runtime.errors import Indefinite, Unavailable
from ticketflow.runtime.mariadb import MariaDBPool

R = TypeVar("R")
Conn = Any

BATCH_ROWS = 32
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
        await side_by_side(rows, self._one)
        return len(rows)

    async def _one(self, row: R) -> None:
        async with self._pool.transaction() as conn:
            if not await self._take(conn, row, TAKEN_FOR_S):
                return
        try:
            await self._step(row)
        except (Unavailable, Indefinite):
            raise
        except Exception as error:
            await self._failed(row, error)
