"""What is parked, for Prometheus: read from the tables, for the commands that change it are other processes."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, get_args

from ticketflow.delivery import metrics
from ticketflow.delivery.dialect import ConnT, ParkReason, Pool
from ticketflow.delivery.parking_dialect import ParkedCount, ParkingDialect
from ticketflow.delivery.parking_shelf import ACTIONS, DISCARDED, FAILED_AGAIN, REQUEUED

WATCH_EVERY_S = 10.0  # people look at it, in minutes; both counts are of small tables

REASONS: tuple[ParkReason, ...] = get_args(ParkReason)
RESULTS = {REQUEUED: "requeued", FAILED_AGAIN: "failed", DISCARDED: "discarded"}


class ParkedWatch(Generic[ConnT]):
    """A worker: ``run_once`` keeps the metrics of ``stream``. ``count``: another table's than the inbox's own."""

    def __init__(
        self,
        pool: Pool[ConnT],
        dialect: ParkingDialect[ConnT],
        stream: str,
        count: Callable[[ConnT], Awaitable[list[ParkedCount]]] | None = None,
    ) -> None:
        self._pool = pool
        self._dialect = dialect
        self._stream = stream
        self._count = count or dialect.count_parked
        self._streams = {stream}
        self._done: Mapping[str, int] = {}

    async def run_once(self) -> int:
        """Never has more to do at once."""
        async with self._pool.acquire(plain=True) as conn:
            counts = await self._count(conn)
            done = await self._dialect.count_audits(conn, ACTIONS)
        counted = {(count.stream, count.reason): count for count in counts}
        self._streams |= {count.stream for count in counts}  # one that is empty again is told, too
        for stream in self._streams:
            for reason in REASONS:
                count = counted.get((stream, reason), ParkedCount(stream, reason, 0, 0.0))
                metrics.PARKED_NOW.labels(stream, reason).set(count.events)
                metrics.PARKED_OLDEST.labels(stream, reason).set(count.oldest_age_s)
        for action, result in RESULTS.items():
            # A counter that begins with what the table says, so that a restart of this process is no change.
            counter = metrics.PARKED_HANDLED.labels(self._stream, result)
            counter.inc(max(0, done.get(action, 0) - self._done.get(action, 0)))
        self._done = done
        return 0
