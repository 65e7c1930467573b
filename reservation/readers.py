"""Where what is shown is read: a streaming replica that has all that was committed before, else the primary.

The proof is a position in the log: the primary says how far it has written, and the replica whether it has replayed
that far. A replica's own word about its lag would do for neither of two cases: a primary that is idle, and a replica
that has lost its primary and does not know what it misses. Costs the primary one question that touches no table.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from reservation import store_maps
from reservation.metrics import MAP_REFRESHES
from ticketflow.runtime.errors import Unavailable
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.postgres import Connection, PostgresPool

LOOKS_S = (0.005, 0.01, 0.02, 0.04)  # how long a replica is given to catch up: far less than a reader waits
REPLICA_S = 1.0  # for all that is asked of a replica at once
LEFT_ALONE_S = 5.0  # one that did not answer, so that a frozen one costs a second in each five

T = TypeVar("T")

log = get_logger("readers")


class Readers:
    """``replica``: of the same database; None when there is none."""

    def __init__(self, primary: PostgresPool, replica: PostgresPool | None = None) -> None:
        self._primary = primary
        self._replica = replica
        self._left_alone_until = 0.0

    async def ask(self, question: Callable[[Connection], Awaitable[T]]) -> T:
        """The answer to ``question``, which only reads; it sees all that was committed before. Raises what the question
        raises, Unavailable."""
        loop = asyncio.get_running_loop()
        if self._replica is not None and loop.time() >= self._left_alone_until:
            async with self._primary.acquire() as conn:
                written = await store_maps.written(conn)
            try:
                async with self._replica.acquire(timeout_s=REPLICA_S) as conn:
                    if await _catches_up(conn, written):
                        answer = await question(conn)
                        MAP_REFRESHES.labels("replica").inc()
                        return answer
                MAP_REFRESHES.labels("behind").inc()
            except (Unavailable, TimeoutError) as error:
                MAP_REFRESHES.labels("away").inc()
                self._left_alone_until = loop.time() + LEFT_ALONE_S
                log.info("replica_away", error=str(error) or "no answer in time")
        async with self._primary.acquire() as conn:
            answer = await question(conn)
        MAP_REFRESHES.labels("primary").inc()
        return answer


async def _catches_up(conn: Connection, written: str) -> bool:
    for pause_s in LOOKS_S:
        if await store_maps.has_replayed(conn, written):
            return True
        await asyncio.sleep(pause_s)
    return await store_maps.has_replayed(conn, written)
