"""Lanes over the database in memory. See ticketflow's postgres_lanes.py, method for method."""

from collections.abc import Iterable, Sequence

from tests.simulation.clocks import clock_of, clock_us
from tests.simulation.dialect_outbox import stamped
from tests.simulation.rows import FOR_EVER, BarrierEntry, LeaseEntry, OutboxEntry, ReplicaEntry, StreamEntry
from tests.simulation.session import Session
from ticketflow.delivery.dialect import OutboxRow, StagedRow, StreamState
from ticketflow.delivery.lanes import SLOTS, LaneState, numbered


def slot_of(key: str) -> int:
    return sum(key.encode()) % SLOTS


class MemoryLanes:
    async def lane_has_unstamped(self, conn: Session, family: str, slots: Sequence[int]) -> bool:
        await conn.statement()
        return any(True for _ in _waiting(conn, family, slots))

    async def stamp_lane(
        self, conn: Session, family: str, stream: str, slots: Sequence[int], after_seq: int, rows_max: int
    ) -> list[OutboxRow] | None:
        await conn.statement()
        return await stamped(conn, stream, sorted(_waiting(conn, family, slots))[:rows_max], after_seq)

    async def lane_states(self, conn: Session, family: str) -> list[LaneState]:
        await conn.statement()
        found = dict(conn.rows("stream"))
        kept = {row.stream for _, row in conn.rows("outbox") if row.seq is not None}
        return [
            LaneState(lane, row.lanes, row.last_seq, row.acked_seq, lane.stream in kept)
            for lane in numbered(family, list(found))
            if (row := found[lane.stream])
        ]

    async def lock_lanes(self, conn: Session, family: str) -> dict[str, StreamState]:
        await conn.statement()
        lanes = numbered(family, [stream for stream, _ in conn.rows("stream")])
        for lane in lanes:
            await conn.lock("stream", lane.stream)
        return {lane.stream: StreamState(*conn.get("stream", lane.stream)) for lane in lanes}

    async def set_lanes(self, conn: Session, stream: str, lanes: int, last_seq: int, barrier_due: str) -> bool:
        await conn.statement()
        await conn.lock("stream", stream)
        row: StreamEntry = conn.get("stream", stream)
        if changes := row.last_seq == last_seq:
            conn.put("stream", stream, row._replace(lanes=lanes, barrier_due=barrier_due))
        return changes

    async def stage_barrier(self, conn: Session, stream: str, seq: int, row: StagedRow, requires: str) -> None:
        await conn.statement()
        entry = OutboxEntry(stream, *row, clock_of(conn), seq)
        conn.put("outbox", conn.database.next_position(), entry)
        conn.put("barrier", (stream, seq), BarrierEntry(requires))
        await conn.statement()
        await conn.lock("stream", stream)
        conn.put("stream", stream, conn.get("stream", stream)._replace(barrier_seq=seq, barrier_due=""))

    async def next_barrier(self, conn: Session, stream: str, after_seq: int) -> tuple[int, str] | None:
        await conn.statement()
        return min(
            ((seq, row.requires) for (of, seq), row in conn.rows("barrier") if of == stream and seq > after_seq),
            default=None,
        )

    async def purge_barriers(self, conn: Session, stream: str, upto_seq: int) -> None:
        await conn.statement()
        for pk in [pk for pk, _ in conn.rows("barrier") if pk[0] == stream and pk[1] <= upto_seq]:
            await conn.lock("barrier", pk)
            conn.put("barrier", pk, None)

    async def acked_seqs(self, conn: Session, streams: Sequence[str]) -> dict[str, int]:
        await conn.statement()
        return {stream: row.acked_seq for stream in streams if (row := conn.get("stream", stream)) is not None}

    async def watermarks(self, conn: Session, streams: Sequence[str]) -> dict[str, int]:
        await conn.statement()
        return {stream: row.watermark for stream in streams if (row := conn.get("position", stream)) is not None}

    async def hand_lease_on(self, conn: Session, name: str, to: str, blocker: str) -> None:
        await conn.statement()
        await conn.lock("lease", name)
        held: LeaseEntry | None = conn.get("lease", name)
        token = clock_us(conn) if held is None else held.token + 1
        conn.put("lease", name, LeaseEntry(blocker, token, FOR_EVER))
        await conn.statement()
        await conn.lock("lease", to)
        other: LeaseEntry | None = conn.get("lease", to)
        conn.put("lease", to, LeaseEntry("", token if other is None else max(other.token, token), clock_of(conn)))

    async def meet_replicas(
        self, conn: Session, family: str, owner: str, held: int, seen_s: float
    ) -> list[tuple[str, int]]:
        await conn.statement()
        await conn.lock("replica", (family, owner))
        conn.put("replica", (family, owner), ReplicaEntry(held, clock_of(conn)))
        await conn.statement()
        since = clock_of(conn) - seen_s
        return sorted(
            (name, row.held) for (of, name), row in conn.rows("replica") if of == family and row.seen_at > since
        )


def _waiting(conn: Session, family: str, slots: Sequence[int]) -> Iterable[int]:
    """Positions of what is committed and not stamped."""
    for position, row in conn.rows("outbox"):
        if row.seq is None and row.stream == family and slot_of(row.key) in slots:
            yield position
