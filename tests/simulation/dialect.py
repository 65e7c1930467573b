"""The dialect over the database in memory: the promises of dialect.py, in the plainest form."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.simulation.clocks import clock_of
from tests.simulation.dialect_history import MemoryForks, MemoryHoles
from tests.simulation.dialect_lanes import MemoryLanes
from tests.simulation.dialect_outbox import MemoryOutbox
from tests.simulation.loop import current_process
from tests.simulation.rows import InboxEntry, PositionEntry
from tests.simulation.session import Gone, Session, Victim
from ticketflow.delivery.dialect import Arrival, Backlog, InboxState, ParkedRow, Taken


class MemoryInbox:
    # -- inbox

    async def lock_inbox(self, conn: Session, stream: str) -> InboxState | None:
        await conn.statement()
        await conn.lock("position", stream)
        row = conn.get("position", stream)
        return None if row is None else InboxState(*row)

    async def ensure_inbox(self, conn: Session, stream: str, epoch: int, fence: int) -> None:
        await conn.statement()
        if conn.get("position", stream) is None:
            await conn.lock("position", stream)
            if conn.get("position", stream) is None:
                conn.put("position", stream, PositionEntry(epoch, 0, fence))

    async def adopt_sender(self, conn: Session, stream: str, epoch: int, fence: int) -> None:
        row = await self._position_of(conn, stream)
        conn.put("position", stream, row._replace(epoch=epoch, fence=fence))

    async def advance_inbox(self, conn: Session, stream: str, from_seq: int, to_seq: int) -> bool:
        row = await self._position_of(conn, stream)
        if changes := row.watermark == from_seq:
            conn.put("position", stream, row._replace(watermark=to_seq))
        return changes

    async def record(self, conn: Session, stream: str, arrivals: Sequence[Arrival]) -> set[str]:
        await conn.statement()
        new: set[str] = set()
        for event_id, seq, _key in arrivals:
            if conn.get("inbox", event_id) is None:
                await conn.lock("inbox", event_id)  # waits for whoever is inserting it at this moment
                if conn.get("inbox", event_id) is None:
                    conn.put("inbox", event_id, InboxEntry(stream, seq, clock_of(conn)))
                    new.add(event_id)
        return new

    async def take(self, conn: Session, stream: str, family: str, arrivals: Sequence[Arrival]) -> Taken | None:
        """As MariaDB does it: what is known ends it, under the lock, and nothing is recorded."""
        state = await self.lock_inbox(conn, stream)
        if any(conn.get("inbox", came.event_id) is not None for came in arrivals):
            return None
        new = await self.record(conn, stream, arrivals)
        return Taken(state, new, await self.parked_keys(conn, family, [came.key for came in arrivals]))

    async def purge_inbox(self, conn: Session, age_s: float, rows_max: int) -> int:
        await conn.statement()
        old = clock_of(conn) - age_s
        gone = [event_id for event_id, row in conn.rows("inbox") if row.received_at < old][:rows_max]
        for event_id in gone:
            await conn.lock("inbox", event_id)
            conn.put("inbox", event_id, None)
        return len(gone)

    async def _position_of(self, conn: Session, stream: str) -> PositionEntry:
        await conn.statement()
        await conn.lock("position", stream)
        row: PositionEntry = conn.get("position", stream)
        return row

    # -- parked

    async def park(self, conn: Session, stream: str, epoch: int, rows: Sequence[ParkedRow]) -> None:
        await conn.statement()
        for row in rows:
            conn.put("parked", conn.database.next_position(), (stream, epoch, row))

    async def parked_keys(self, conn: Session, stream: str, keys: Sequence[str]) -> set[str]:
        await conn.statement()
        return {row.key for _, (at, _epoch, row) in conn.rows("parked") if at == stream and row.key in keys}

    async def parked_count(self, conn: Session, stream: str) -> int:
        await conn.statement()
        return sum(at == stream for _, (at, _epoch, _row) in conn.rows("parked"))

    # -- what handlers have asked

    async def settle(self, conn: Session) -> None:
        """Nothing is asked here that is not waited for."""


class MemoryDialect(MemoryOutbox, MemoryLanes, MemoryInbox, MemoryForks, MemoryHoles):
    """Stateless, as the real ones are: all that it knows is in the session's database."""

    name = "memory"
    announces = True

    async def backlog(self, conn: Session, stream: str) -> Backlog:
        await conn.statement()
        state = conn.get("stream", stream)
        last_seq, acked_seq = (0, 0) if state is None else (state.last_seq, state.acked_seq)
        waiting = [
            row.created_at
            for _, row in conn.rows("outbox")
            if row.stream == stream and (row.seq is None or row.seq > acked_seq)
        ]
        oldest_age_s = clock_of(conn) - min(waiting) if waiting else 0.0
        return Backlog(len(waiting), oldest_age_s, last_seq, acked_seq)

    async def announce(self, conn: Session, stream: str) -> None:
        await conn.statement()
        conn.database.announce(stream)

    @asynccontextmanager
    async def listening(self, pool: Any, stream: str, wake: Callable[[], None]) -> AsyncIterator[None]:
        listeners, key = pool.listeners, object()
        listeners[key] = (current_process(), stream, wake)
        try:
            yield
        finally:
            listeners.pop(key, None)

    def is_store_fault(self, error: Exception) -> bool:
        return isinstance(error, Gone | Victim)
