"""What goes on in the background: each worker is a run_once() -> how much it did, safe in several replicas at once."""

import random

from reservation import store_idempotency
from reservation.holds import State
from reservation.metrics import ENDED
from reservation.store_holds import end, free_places, told
from ticketflow.delivery import Outbox
from ticketflow.events import HoldExpired, new_id
from ticketflow.runtime.correlation import bind_correlation
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.postgres import Connection, PostgresPool

# Nobody waits for the sweeper. It looks again when the next hold ends, which is known; one that is placed meanwhile
# lasts for 5 s at least (bodies.py). What a seat map lags behind is a moment, not this.
SWEEP_IDLE_S = (0.05, 4.5)
SWEEP_HOLDS_MAX = 100  # a transaction of some tens of milliseconds
PURGE_IDLE_S = 60.0
HOLDS_KEPT_S = 30 * 24 * 3600  # ended without a sale: for questions of buyers; far beyond the life of their keys
PURGE_HOLDS_MAX = 500

log = get_logger("workers")


class Sweeper:
    """Turns holds whose time and grace are over into EXPIRED and tells it. Correctness does not depend on it."""

    def __init__(self, pool: PostgresPool, outbox: Outbox[Connection]) -> None:
        self._pool = pool
        self._outbox = outbox
        self._next_s = 0.0

    def idle_s(self) -> float:
        """When to look again."""
        return min(max(self._next_s * random.uniform(1.0, 1.05), SWEEP_IDLE_S[0]), SWEEP_IDLE_S[1])  # noqa: S311 - jitter

    async def run_once(self) -> int:
        async with self._pool.acquire(plain=True) as conn:
            next_s = await conn.fetchval(
                "SELECT extract(epoch FROM min(held_until) - statement_timestamp())::float8 FROM holds"
                " WHERE state = 'HELD'"
            )
        self._next_s = SWEEP_IDLE_S[1] if next_s is None else next_s
        return await self._sweep() if self._next_s <= 0 else 0

    async def _sweep(self) -> int:
        async with self._pool.transaction() as conn:
            rows = await conn.fetch(
                """
                SELECT hold_id::text FROM holds WHERE state = 'HELD' AND held_until <= statement_timestamp()
                 ORDER BY held_until LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
                """,
                SWEEP_HOLDS_MAX,
            )
            hold_ids = [row["hold_id"] for row in rows]
            if not hold_ids:
                return 0
            await free_places(conn, hold_ids)
            await end(conn, hold_ids, State.EXPIRED)
            with bind_correlation(new_id()):
                await self._outbox.stage(conn, [told(HoldExpired(hold_id=hold_id), hold_id) for hold_id in hold_ids])
        self._outbox.notify()
        ENDED.labels("expired").inc(len(hold_ids))
        log.info("holds_expired", count=len(hold_ids))
        return len(hold_ids)


class Purger:
    """Deletes idempotency keys, and holds that ended without a sale, when they have been kept long enough."""

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def run_once(self) -> int:
        purged = await store_idempotency.purge(self._pool) + await self._purge_holds()
        if purged:
            log.info("purged", count=purged)
        return purged

    async def _purge_holds(self) -> int:
        async with self._pool.transaction() as conn:
            rows = await conn.fetch(
                """
                SELECT hold_id FROM holds
                 WHERE state IN ('RELEASED', 'EXPIRED') AND ended_at < statement_timestamp() - make_interval(secs => $1)
                 ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED
                """,
                HOLDS_KEPT_S,
                PURGE_HOLDS_MAX,
            )
            hold_ids = [row["hold_id"] for row in rows]
            await conn.execute("DELETE FROM hold_units WHERE hold_id = ANY ($1::uuid[])", hold_ids)
            await conn.execute("DELETE FROM holds WHERE hold_id = ANY ($1::uuid[])", hold_ids)
        return len(hold_ids)
