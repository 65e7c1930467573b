"""Purging what is old enough: acknowledged outbox rows, and dedup keys.

Laws:
- An outbox row goes only when it is acknowledged, older than the retention time, and the first of its stream: what is
  kept is one gapless run of seqs, so that a rewind either finds all it needs or is refused as a whole.
- A dedup key is kept for twice that time: longer than any outbox can still send its event.
- Batches are bounded, each a transaction of its own: no long lock, no burst of dead rows.
"""

from collections.abc import Sequence
from typing import Generic

from ticketflow.delivery import metrics
from ticketflow.delivery.dialect import ConnT, Dialect, Pool

RETENTION_S = 7 * 24 * 3600.0
INBOX_FACTOR = 2
BATCH_ROWS = 1000


class Retention(Generic[ConnT]):
    """Purges the outbox of ``streams`` (those this store sends) in all of their lanes, and the dedup keys of all."""

    def __init__(
        self,
        pool: Pool[ConnT],
        dialect: Dialect[ConnT],
        *,
        streams: Sequence[str] = (),
        retention_s: float = RETENTION_S,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        self._pool = pool
        self._dialect = dialect
        self._streams = tuple(streams)
        self._retention_s = retention_s
        self._batch_rows = batch_rows

    async def run_once(self) -> int:
        """One batch of each kind; how many rows went. 0 means that nothing is old enough."""
        outbox = 0
        for stream in await self._lanes():
            outbox += await self._purge_outbox(stream)
        async with self._pool.transaction() as conn:
            inbox = await self._dialect.purge_inbox(conn, self._retention_s * INBOX_FACTOR, self._batch_rows)
        metrics.PURGED.labels("outbox").inc(outbox)
        metrics.PURGED.labels("inbox").inc(inbox)
        return outbox + inbox

    async def _lanes(self) -> list[str]:
        """The streams of all lanes that were ever used."""
        async with self._pool.acquire(plain=True) as conn:
            found = [await self._dialect.lane_states(conn, family) for family in self._streams]
        return [state.lane.stream for states in found for state in states]

    async def _purge_outbox(self, stream: str) -> int:
        async with self._pool.transaction() as conn:
            state = await self._dialect.lock_stream(conn, stream)  # against a rewind at the same moment
            upto_seq = 0
            for seq, old in await self._dialect.oldest_rows(conn, stream, self._retention_s, self._batch_rows):
                if not old or seq > state.acked_seq:
                    break
                upto_seq = seq
            if state.barrier_seq and upto_seq:
                await self._dialect.purge_barriers(conn, stream, upto_seq)
            return await self._dialect.purge_outbox(conn, stream, upto_seq) if upto_seq else 0
