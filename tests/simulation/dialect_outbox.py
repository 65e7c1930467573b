"""The sending end over the database in memory: outbox, stream, lease. See ticketflow's postgres_outbox.py."""

from collections.abc import Sequence

from tests.simulation.clocks import clock_of, clock_us
from tests.simulation.rows import LeaseEntry, OutboxEntry, StreamEntry
from tests.simulation.session import Session
from ticketflow.delivery.dialect import OutboxRow, StagedRow, StreamState


async def stamped(conn: Session, stream: str, waiting: Sequence[int], after_seq: int) -> list[OutboxRow] | None:
    """The rows at ``waiting`` get their seq and the name of their lane; its last_seq follows."""
    rows: list[OutboxRow] = []
    for position in waiting:
        await conn.lock("outbox", position)
        row: OutboxEntry | None = conn.get("outbox", position)
        if row is not None and row.seq is None:
            rows.append(OutboxRow(after_seq + len(rows) + 1, row.body))
            conn.put("outbox", position, row._replace(seq=rows[-1].seq, stream=stream))
    if rows:
        await conn.lock("stream", stream)
        state: StreamEntry = conn.get("stream", stream)
        if state.last_seq != after_seq:
            return None
        conn.put("stream", stream, state._replace(last_seq=rows[-1].seq))
    return rows


class MemoryOutbox:
    # -- outbox

    async def stage(self, conn: Session, stream: str, rows: Sequence[StagedRow]) -> None:
        await conn.statement()
        for row in rows:
            position = conn.database.next_position()  # taken now, visible later: positions commit out of order
            conn.put("outbox", position, OutboxEntry(stream, *row, clock_of(conn)))

    async def has_unstamped(self, conn: Session, stream: str) -> bool:
        await conn.statement()
        return any(row.seq is None and row.stream == stream for _, row in conn.rows("outbox"))

    async def stamp(self, conn: Session, stream: str, after_seq: int, rows_max: int) -> list[OutboxRow] | None:
        await conn.statement()
        waiting = sorted(at for at, row in conn.rows("outbox") if row.seq is None and row.stream == stream)[:rows_max]
        return await stamped(conn, stream, waiting, after_seq)

    async def stamp_at_once(
        self, conn: Session, lease: str, token: int, stream: str, seen: StreamState, rows_max: int
    ) -> list[OutboxRow] | None:
        now = await self.hold_stream(conn, lease, token, stream)
        if now is None or now[:2] != seen[:2] or now.lanes != 1 or now.barrier_due:
            return None
        return await self.stamp(conn, stream, seen.last_seq, rows_max)

    async def read(self, conn: Session, stream: str, after_seq: int, upto_seq: int) -> list[OutboxRow]:
        await conn.statement()
        return sorted(
            OutboxRow(row.seq, row.body)
            for _, row in conn.rows("outbox")
            if row.seq is not None and after_seq < row.seq <= upto_seq and row.stream == stream
        )

    async def oldest_rows(self, conn: Session, stream: str, age_s: float, rows_max: int) -> list[tuple[int, bool]]:
        await conn.statement()
        old = clock_of(conn) - age_s
        rows = [
            (row.seq, row.created_at < old)
            for _, row in conn.rows("outbox")
            if row.seq is not None and row.stream == stream
        ]
        return sorted(rows)[:rows_max]

    async def purge_outbox(self, conn: Session, stream: str, upto_seq: int) -> int:
        await conn.statement()
        gone = [
            at
            for at, row in conn.rows("outbox")
            if row.seq is not None and row.seq <= upto_seq and row.stream == stream
        ]
        for position in gone:
            await conn.lock("outbox", position)
            conn.put("outbox", position, None)
        return len(gone)

    # -- stream, sending end

    async def ensure_stream(self, conn: Session, stream: str) -> None:
        await conn.statement()
        if conn.get("stream", stream) is None:
            await conn.lock("stream", stream)
            if conn.get("stream", stream) is None:
                conn.put("stream", stream, StreamEntry(clock_us(conn), 0, 0))

    async def stream_state(self, conn: Session, stream: str) -> StreamState | None:
        await conn.statement()
        row = conn.get("stream", stream)
        return None if row is None else StreamState(*row)

    async def lock_stream(self, conn: Session, stream: str) -> StreamState:
        await conn.statement()
        await conn.lock("stream", stream)
        row = conn.get("stream", stream)
        if row is None:
            raise LookupError(f"stream {stream!r} has no row")
        return StreamState(*row)

    async def hold_stream(self, conn: Session, lease: str, token: int, stream: str) -> StreamState | None:
        return await self.lock_stream(conn, stream) if await self.hold_lease(conn, lease, token) else None

    async def advance_stream(self, conn: Session, stream: str, from_seq: int, to_seq: int) -> bool:
        row = await self._stream_of(conn, stream)
        if changes := row.last_seq == from_seq:
            conn.put("stream", stream, row._replace(last_seq=to_seq))
        return changes

    async def ack_stream(self, conn: Session, stream: str, seq: int) -> bool:
        row = await self._stream_of(conn, stream)
        if changes := row.acked_seq < seq <= row.last_seq:
            conn.put("stream", stream, row._replace(acked_seq=seq))
        return changes

    async def rewind_stream(self, conn: Session, stream: str, seq: int) -> bool:
        row = await self._stream_of(conn, stream)
        if changes := row.acked_seq > seq:
            conn.put("stream", stream, row._replace(acked_seq=seq))
        return changes

    async def _stream_of(self, conn: Session, stream: str) -> StreamEntry:
        await conn.statement()
        await conn.lock("stream", stream)
        row: StreamEntry = conn.get("stream", stream)
        return row

    # -- lease

    async def acquire_lease(self, conn: Session, name: str, owner: str, ttl_s: float, takeover: bool) -> int | None:
        await conn.statement()
        await conn.lock("lease", name)
        held: LeaseEntry = conn.get("lease", name) or LeaseEntry("", 0, 0.0)
        if held.expires_at > clock_of(conn) and not (takeover and held.owner == owner):
            return None
        token = max(held.token + 1, clock_us(conn))
        conn.put("lease", name, LeaseEntry(owner, token, clock_of(conn) + ttl_s))
        return token

    async def lease_left(self, conn: Session, name: str) -> float | None:
        await conn.statement()
        held = conn.get("lease", name)
        return None if held is None else held.expires_at - clock_of(conn)

    async def renew_lease(self, conn: Session, name: str, token: int, ttl_s: float) -> bool:
        await conn.statement()
        await conn.lock("lease", name)
        held = conn.get("lease", name)
        if ours := held is not None and held.token == token:
            conn.put("lease", name, held._replace(expires_at=clock_of(conn) + ttl_s))
        return ours

    async def release_lease(self, conn: Session, name: str, token: int) -> bool:
        await conn.statement()
        await conn.lock("lease", name)
        held = conn.get("lease", name)
        if ours := held is not None and held.token == token:
            conn.put("lease", name, held._replace(token=token + 1, expires_at=clock_of(conn)))
        return ours

    async def hold_lease(self, conn: Session, name: str, token: int) -> bool:
        await conn.statement()
        await conn.lock("lease", name)
        held = conn.get("lease", name)
        return held is not None and held.token == token and held.expires_at > clock_of(conn)
