"""What a stream has not delivered yet, for status pages and metrics."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from ticketflow.delivery import metrics
from ticketflow.delivery.dialect import Backlog, ConnT, Dialect, Pool
from ticketflow.runtime.errors import Indefinite, Unavailable

WATCH_EVERY_S = 2.0  # counting is one index scan over what is unstamped
IDLE_EVERY_S = 4.0  # and so long before that while nothing waits and nothing stirs


async def backlog(dialect: Dialect[ConnT], conn: ConnT, stream: str) -> Backlog:
    """The backlog of ``stream`` as this store sees it now; all zero for a stream that was never used."""
    return await dialect.backlog(conn, stream)


async def watch(
    pool: Pool[ConnT], dialect: Dialect[ConnT], stream: str, stirred: asyncio.Event
) -> AsyncIterator[Backlog]:
    """The backlog every two seconds, for ever, told to Prometheus too; less often while there is none and nobody sets
    ``stirred``. While the store is away there is none."""
    while True:
        stirred.clear()
        idle = False
        try:
            async with pool.acquire(plain=True) as conn:
                seen = await backlog(dialect, conn, stream)
        except (Unavailable, Indefinite):
            pass
        else:
            metrics.BACKLOG.labels(stream).set(seen.unacked)
            metrics.OLDEST_AGE.labels(stream).set(seen.oldest_age_s)
            metrics.LAST_SEQ.labels(stream).set(seen.last_seq)
            metrics.ACKED_SEQ.labels(stream).set(seen.acked_seq)
            yield seen
            idle = seen.unacked == 0
        if idle:
            with suppress(TimeoutError):
                async with asyncio.timeout(IDLE_EVERY_S):
                    await stirred.wait()
        await asyncio.sleep(WATCH_EVERY_S)
