"""A store in memory: one transaction at a time, which commits as a whole, or not at all, or nobody knows."""

import asyncio
import copy
import random
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.unit.delivery.clock import now
from tests.unit.delivery.memory_history import HistoryTables, MemoryHistory
from ticketflow.delivery.dialect import Arrival, Backlog, InboxState, OutboxRow, ParkedRow, StagedRow, StreamState
from ticketflow.delivery.lanes import SLOTS, LaneState, numbered
from ticketflow.runtime.errors import Indefinite, Retryable, Unavailable


@dataclass
class Row:
    staged: StagedRow
    stream: str
    seq: int | None = None
    created_at: float = 0.0


@dataclass
class Tables:
    outbox: list[Row] = field(default_factory=list)
    streams: dict[str, StreamState] = field(default_factory=dict)
    leases: dict[str, tuple[str, int, float]] = field(default_factory=dict)  # owner, token, expires_at
    inbox: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    inbox_streams: dict[str, InboxState] = field(default_factory=dict)
    parked: list[tuple[str, ParkedRow]] = field(default_factory=list)
    barriers: list[tuple[str, int, str]] = field(default_factory=list)  # stream, seq, requires
    replicas: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)  # held, seen_at
    audit: list[tuple[str, str, str, str]] = field(default_factory=list)
    effects: list[tuple[str, str]] = field(default_factory=list)
    history: HistoryTables = field(default_factory=HistoryTables)


class MemoryPool:
    """``fault_rate``: how often a transaction fails before, at, or after its COMMIT."""

    def __init__(self, rng: random.Random, fault_rate: float = 0.0) -> None:
        self.tables = Tables()
        self.fault_rate = fault_rate
        self.down = False
        self._rng = rng
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tables]:
        await self._pause()
        async with self._lock:
            conn = copy.deepcopy(self.tables)
            yield conn
            await self._pause()
            fate = self._rng.choice("rbnc") if self._rng.random() < self.fault_rate else ""
            if fate == "r":
                raise Retryable("chosen as the victim")
            if fate == "b":
                raise Unavailable("lost before COMMIT")
            if fate != "n":
                self.tables = conn
            if fate:
                raise Indefinite("COMMIT was not answered")

    def acquire(self) -> Any:
        return self.transaction()

    async def _pause(self) -> None:
        await asyncio.sleep(self._rng.random() * 0.01)
        if self.down:
            raise Unavailable("down")


class MemoryDialect(MemoryHistory):
    """The dialect over Tables. Same promises as the real ones, in the plainest form."""

    name = "memory"
    announces = False

    async def announce(self, conn: Any, stream: str) -> None:
        raise AssertionError("this store cannot tell")

    async def stage(self, conn: Tables, stream: str, rows: Sequence[StagedRow]) -> None:
        conn.outbox += [Row(row, stream, created_at=now()) for row in rows]

    async def has_unstamped(self, conn: Tables, stream: str) -> bool:
        return any(row.seq is None and row.stream == stream for row in conn.outbox)

    async def stamp(self, conn: Tables, stream: str, after_seq: int, rows_max: int) -> int:
        waiting = [row for row in conn.outbox if row.seq is None and row.stream == stream][:rows_max]
        for seq, row in enumerate(waiting, after_seq + 1):
            row.seq = seq
        return len(waiting)

    async def read(self, conn: Tables, stream: str, after_seq: int, upto_seq: int) -> list[OutboxRow]:
        rows = [
            OutboxRow(row.seq or 0, row.staged.body)
            for row in self._stamped(conn, stream)
            if after_seq < (row.seq or 0) <= upto_seq
        ]
        return sorted(rows)

    async def oldest_rows(self, conn: Tables, stream: str, age_s: float, rows_max: int) -> list[tuple[int, bool]]:
        rows = [(row.seq or 0, row.created_at < now() - age_s) for row in self._stamped(conn, stream)]
        return sorted(rows)[:rows_max]

    async def purge_outbox(self, conn: Tables, stream: str, upto_seq: int) -> int:
        kept = [row for row in conn.outbox if row.stream != stream or row.seq is None or row.seq > upto_seq]
        gone = len(conn.outbox) - len(kept)
        conn.outbox = kept
        return gone

    async def ensure_stream(self, conn: Tables, stream: str) -> None:
        conn.streams.setdefault(stream, StreamState(1, 0, 0))

    async def stream_state(self, conn: Tables, stream: str) -> StreamState | None:
        return conn.streams.get(stream)

    async def lock_stream(self, conn: Tables, stream: str) -> StreamState:
        return conn.streams[stream]

    async def advance_stream(self, conn: Tables, stream: str, from_seq: int, to_seq: int) -> bool:
        return self._set(conn, stream, conn.streams[stream].last_seq == from_seq, last_seq=to_seq)

    async def ack_stream(self, conn: Tables, stream: str, seq: int) -> bool:
        state = conn.streams[stream]
        return self._set(conn, stream, state.acked_seq < seq <= state.last_seq, acked_seq=seq)

    async def rewind_stream(self, conn: Tables, stream: str, seq: int) -> bool:
        return self._set(conn, stream, conn.streams[stream].acked_seq > seq, acked_seq=seq)

    async def lane_has_unstamped(self, conn: Tables, family: str, slots: Sequence[int]) -> bool:
        return bool(self._waiting(conn, family, slots))

    async def stamp_lane(
        self, conn: Tables, family: str, stream: str, slots: Sequence[int], after_seq: int, rows_max: int
    ) -> int:
        waiting = self._waiting(conn, family, slots)[:rows_max]
        for seq, row in enumerate(waiting, after_seq + 1):
            row.seq, row.stream = seq, stream
        return len(waiting)

    async def lane_states(self, conn: Tables, family: str) -> list[LaneState]:
        return [
            LaneState(lane, state.lanes, state.last_seq, state.acked_seq, bool(self._stamped(conn, lane.stream)))
            for lane in numbered(family, list(conn.streams))
            for state in [conn.streams[lane.stream]]
        ]

    async def lock_lanes(self, conn: Tables, family: str) -> dict[str, StreamState]:
        return {lane.stream: conn.streams[lane.stream] for lane in numbered(family, list(conn.streams))}

    async def set_lanes(self, conn: Tables, stream: str, lanes: int, last_seq: int, barrier_due: str) -> bool:
        at_rest = conn.streams[stream].last_seq == last_seq
        return self._set(conn, stream, at_rest, lanes=lanes, barrier_due=barrier_due)

    async def stage_barrier(self, conn: Tables, stream: str, seq: int, row: StagedRow, requires: str) -> None:
        conn.outbox.append(Row(row, stream, seq, now()))
        conn.barriers.append((stream, seq, requires))
        self._set(conn, stream, True, barrier_seq=seq, barrier_due="")

    async def next_barrier(self, conn: Tables, stream: str, after_seq: int) -> tuple[int, str] | None:
        return min(((seq, text) for at, seq, text in conn.barriers if at == stream and seq > after_seq), default=None)

    async def purge_barriers(self, conn: Tables, stream: str, upto_seq: int) -> None:
        conn.barriers = [row for row in conn.barriers if row[0] != stream or row[1] > upto_seq]

    async def acked_seqs(self, conn: Tables, streams: Sequence[str]) -> dict[str, int]:
        return {stream: conn.streams[stream].acked_seq for stream in streams if stream in conn.streams}

    async def watermarks(self, conn: Tables, streams: Sequence[str]) -> dict[str, int]:
        return {stream: conn.inbox_streams[stream].watermark for stream in streams if stream in conn.inbox_streams}

    async def hand_lease_on(self, conn: Tables, name: str, to: str, blocker: str) -> None:
        token = conn.leases.get(name, ("", 0, 0.0))[1] + 1
        conn.leases[name] = (blocker, token, float("inf"))
        conn.leases[to] = ("", max(token, conn.leases.get(to, ("", 0, 0.0))[1]), 0.0)

    async def meet_replicas(
        self, conn: Tables, family: str, owner: str, held: int, seen_s: float
    ) -> list[tuple[str, int]]:
        conn.replicas[family, owner] = (held, now())
        return [
            (name, count)
            for (of, name), (count, seen_at) in sorted(conn.replicas.items())
            if of == family and seen_at > now() - seen_s
        ]

    async def acquire_lease(self, conn: Tables, name: str, owner: str, ttl_s: float, takeover: bool) -> int | None:
        held = conn.leases.get(name, ("", 0, 0.0))
        if held[2] > now() and not (takeover and held[0] == owner):
            return None
        conn.leases[name] = (owner, held[1] + 1, now() + ttl_s)
        return held[1] + 1

    async def renew_lease(self, conn: Tables, name: str, token: int, ttl_s: float) -> bool:
        owner, current, _ = conn.leases[name]
        if current == token:
            conn.leases[name] = (owner, token, now() + ttl_s)
        return current == token

    async def release_lease(self, conn: Tables, name: str, token: int) -> bool:
        return await self.renew_lease(conn, name, token, 0)

    async def hold_lease(self, conn: Tables, name: str, token: int) -> bool:
        return conn.leases[name][1] == token and conn.leases[name][2] > now()

    async def lock_inbox(self, conn: Tables, stream: str) -> InboxState | None:
        return conn.inbox_streams.get(stream)

    async def ensure_inbox(self, conn: Tables, stream: str, epoch: int, fence: int) -> None:
        conn.inbox_streams.setdefault(stream, InboxState(epoch, 0, fence))

    async def adopt_sender(self, conn: Tables, stream: str, epoch: int, fence: int) -> None:
        conn.inbox_streams[stream] = InboxState(epoch, conn.inbox_streams[stream].watermark, fence)

    async def advance_inbox(self, conn: Tables, stream: str, from_seq: int, to_seq: int) -> bool:
        state = conn.inbox_streams[stream]
        conn.inbox_streams[stream] = state._replace(watermark=to_seq)
        return state.watermark == from_seq

    async def record(self, conn: Tables, stream: str, arrivals: Sequence[Arrival]) -> set[str]:
        new = {came.event_id: came.seq for came in reversed(arrivals) if came.event_id not in conn.inbox}
        conn.inbox |= {event_id: (stream, seq) for event_id, seq in new.items()}
        return set(new)

    async def purge_inbox(self, conn: Tables, age_s: float, rows_max: int) -> int:
        return 0

    async def park(self, conn: Tables, stream: str, epoch: int, rows: Sequence[ParkedRow]) -> None:
        conn.parked += [(stream, row) for row in rows]

    async def parked_keys(self, conn: Tables, stream: str, keys: Sequence[str]) -> set[str]:
        return {row.key for at, row in conn.parked if at == stream and row.key in keys}

    async def parked_count(self, conn: Tables, stream: str) -> int:
        return len(conn.parked)

    async def audit(self, conn: Tables, actor: str, action: str, subject: str, detail: str) -> None:
        conn.audit.append((actor, action, subject, detail))

    async def backlog(self, conn: Tables, stream: str) -> Backlog:
        return Backlog(0, 0.0, 0, 0)

    @asynccontextmanager
    async def listening(self, pool: Any, stream: str, wake: Callable[[], None]) -> AsyncIterator[None]:
        yield

    def is_store_fault(self, error: Exception) -> bool:
        return False

    @staticmethod
    def _waiting(conn: Tables, family: str, slots: Sequence[int]) -> list[Row]:
        return [
            row
            for row in conn.outbox
            if row.seq is None and row.stream == family and zlib.crc32(row.staged.key.encode()) % SLOTS in slots
        ]

    @staticmethod
    def _stamped(conn: Tables, stream: str) -> list[Row]:
        return [row for row in conn.outbox if row.stream == stream and row.seq is not None]

    @staticmethod
    def _set(conn: Tables, stream: str, condition: bool, **fields: Any) -> bool:
        if condition:
            conn.streams[stream] = conn.streams[stream]._replace(**fields)
        return condition
