"""Changing the number of lanes: one transaction, and nothing has to be drained before it.

Why it neither loses nor reorders:
- A stamper reads the number of lanes in the row of its lane, which it locks and then writes. The change locks and
  writes the rows of all lanes. So whatever is stamped was stamped before the change, under the old number, and is
  required by the barriers; or after it, under the new one. (Two writers of a Galera cluster collide on those rows at
  COMMIT.)
- What is committed and not stamped yet belongs to no lane: it goes to whichever its slot means when it is stamped.
- An event of a key that changes its lane has a barrier before it, which requires the events of its old lane: the change
  notes that one is due, and what it requires; the lane's stamper stamps it before anything else.
- A barrier that is due and not stamped yet may be replaced by that of the next change, which requires no less.
- Nothing is stamped here, but by a relay in its session: a store that was set back must not catch up unseen.
"""

import json
from typing import Generic

from ticketflow.delivery.dialect import ConnT, Dialect, Pool
from ticketflow.delivery.lanes import LANES_MAX, LEASE_BLOCKER, Lane, LaneState
from ticketflow.runtime.errors import Retryable
from ticketflow.runtime.retry import retrying


class LaneChange(Generic[ConnT]):
    """Shows and changes how many lanes the stream ``family`` of this store has."""

    def __init__(self, pool: Pool[ConnT], dialect: Dialect[ConnT], family: str) -> None:
        self.family = family
        self._pool = pool
        self._dialect = dialect

    async def states(self) -> list[LaneState]:
        """Every lane that was ever used. Raises Unavailable."""
        async with self._pool.acquire() as conn:
            return await self._dialect.lane_states(conn, self.family)

    async def set(self, lanes: int, *, actor: str) -> bool:
        """Make it ``lanes``, in the name of ``actor``; False when it is so already. Raises ValueError, Unavailable, or
        Indefinite: look again."""
        if not 1 <= lanes <= LANES_MAX:
            raise ValueError(f"{lanes} lanes; 1 to {LANES_MAX} are possible")

        async def attempt() -> bool:
            async with self._pool.transaction() as conn:
                return await self._change(conn, lanes, actor)

        return await retrying(attempt)

    async def _change(self, conn: ConnT, lanes: int, actor: str) -> bool:
        await self._dialect.ensure_stream(conn, self.family)
        state = await self._dialect.stream_state(conn, self.family)
        assert state is not None
        if state.lanes == lanes:
            return False
        await self._pass_leases(conn, state.lanes, lanes)  # leases are locked before streams, as everywhere
        # The first lane alone first: whoever else changes waits for it, and the rows he adds are seen by what follows.
        if (await self._dialect.lock_stream(conn, self.family)).lanes != state.lanes:
            raise Retryable(f"{self.family}: somebody else changes the number of lanes")
        for number in range(1, lanes):
            await self._dialect.ensure_stream(conn, Lane(self.family, number).stream)
        rows = await self._dialect.lock_lanes(conn, self.family)
        last = {stream: row.last_seq for stream, row in rows.items()}
        goes_on = {Lane(self.family, number).stream for number in range(lanes)}
        for stream, row in rows.items():
            requires = {other: seq for other, seq in last.items() if other != stream and seq}
            due = json.dumps(requires) if requires and stream in goes_on else ""
            if (row.lanes, row.barrier_due) == (lanes, due):
                continue  # it was retired before it was ever used
            if not await self._dialect.set_lanes(conn, stream, lanes, row.last_seq, due):
                raise Retryable(f"stream {stream}: last_seq moved under its lock")
        await self._dialect.audit(conn, actor, "lanes.set", self.family, f"{state.lanes} -> {lanes}")
        return True

    async def _pass_leases(self, conn: ConnT, before: int, after: int) -> None:
        old, new = (Lane(self.family, 0).lease(lanes) for lanes in (before, after))
        if old != new:
            await self._dialect.hand_lease_on(conn, old, new, LEASE_BLOCKER)
