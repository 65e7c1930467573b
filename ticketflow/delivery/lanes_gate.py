"""How far a lane may send: up to its next barrier, and over it when the other lanes are acknowledged far enough.

Costs nothing where there is no barrier ahead, which is always so with one lane.
"""

import json
from typing import Generic

from ticketflow.delivery.dialect import ConnT, Dialect, Pool
from ticketflow.delivery.lanes_barrier import missing


class Gate(Generic[ConnT]):
    """The barriers of one lane. ``newest_seq``: where its newest stands, as last seen; 0 for none."""

    def __init__(self, pool: Pool[ConnT], dialect: Dialect[ConnT], stream: str) -> None:
        self.newest_seq = 0
        self._pool = pool
        self._dialect = dialect
        self._stream = stream

    async def upto(self, sent: int, last_seq: int) -> int:
        """The last seq that may be sent now, when ``sent`` is and ``last_seq`` is stamped. Asked anew every time:
        positions go back when a receiver has lost history. Raises Unavailable."""
        if sent >= min(self.newest_seq, last_seq):
            return last_seq
        async with self._pool.acquire(plain=True) as conn:
            barrier = await self._dialect.next_barrier(conn, self._stream, sent)
            if barrier is None:
                return last_seq
            seq, requires_json = barrier
            if seq > sent + 1:
                return min(seq - 1, last_seq)
            requires: dict[str, int] = json.loads(requires_json)
            behind = missing(requires, await self._dialect.acked_seqs(conn, list(requires)))
        return sent if behind else min(seq, last_seq)
