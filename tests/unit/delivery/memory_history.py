"""Forks, phantoms and holes in memory. Same promises as the real dialects, in the plainest form."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ticketflow.delivery.dialect_history import Finding, Hole, Phantom, Replay, Side, Span, What


@dataclass
class Counting:
    checked_seq: int = 0
    floor_seq: int = 0
    replay: Replay = field(default_factory=lambda: Replay(0, -1, 0))


@dataclass
class HoleRow:
    side: Side
    stream: str
    first_seq: int
    last_seq: int
    filled: bool = False
    given_up: bool = False


@dataclass
class HistoryTables:
    forks: dict[tuple[str, int], int] = field(default_factory=dict)  # (stream, epoch): after_seq
    inbox_forks: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    phantoms: list[tuple[str, int, int, str]] = field(default_factory=list)  # stream, epoch, seq, event_id
    passed: dict[tuple[str, int], str | None] = field(default_factory=dict)
    counting: dict[tuple[Side, str], Counting] = field(default_factory=dict)
    holes: list[HoleRow] = field(default_factory=list)


class MemoryHistory:
    """Over Tables that have a ``history``. Time stands still here: nothing is due again, and nothing is old."""

    async def stream_forks(self, conn: Any, stream: str) -> list[tuple[int, int]]:
        return sorted((epoch, after) for (of, epoch), after in conn.history.forks.items() if of == stream)[-16:]

    async def note_fork(
        self, conn: Any, stream: str, epoch: int, after_seq: int, receiver_watermark: int | None, note: str
    ) -> None:
        before = conn.history.forks.get((stream, epoch), after_seq)
        conn.history.forks[stream, epoch] = min(before, after_seq)

    async def begin_epoch(self, conn: Any, stream: str, above: int) -> int:
        state = conn.streams[stream]
        epoch: int = max(state.epoch, above) + 1
        conn.streams[stream] = state._replace(epoch=epoch)
        return epoch

    async def inbox_forks(self, conn: Any, stream: str) -> list[tuple[int, int]]:
        return list(conn.history.inbox_forks.get(stream, []))

    async def top_seq(self, conn: Any, stream: str) -> int:
        seqs = [seq or 0 for of, seq in conn.inbox.values() if of == stream]
        passed = [seq for of, seq in conn.history.passed if of == stream]
        top: int = max([*seqs, *passed, conn.inbox_streams[stream].watermark])
        return top

    async def quarantine(self, conn: Any, stream: str, epoch: int, after_seq: int) -> int:
        found = [
            (event_id, seq)
            for event_id, (of, seq) in conn.inbox.items()
            if of == stream and seq is not None and seq > after_seq
        ]
        for event_id, seq in found:
            conn.history.phantoms.append((stream, epoch, seq, event_id))
            conn.inbox[event_id] = (stream, None)
        conn.history.passed = {
            key: event_id for key, event_id in conn.history.passed.items() if key[0] != stream or key[1] <= after_seq
        }
        await self.lower_inbox(conn, stream, after_seq)
        counted = self._counting(conn, "in", stream)
        counted.checked_seq = min(counted.checked_seq, after_seq)
        counted.floor_seq = min(counted.floor_seq, after_seq)
        counted.replay = counted.replay._replace(resume_seq=min(counted.replay.resume_seq, after_seq))
        for hole in conn.history.holes:
            hole.filled = hole.filled or ((hole.side, hole.stream) == ("in", stream) and hole.first_seq > after_seq)
        return len(found)

    async def follow(self, conn: Any, stream: str, epoch: int, fence: int, forks: Sequence[tuple[int, int]]) -> None:
        conn.inbox_streams[stream] = conn.inbox_streams[stream]._replace(epoch=epoch, fence=fence)
        conn.history.inbox_forks[stream] = list(forks)

    async def pass_over(self, conn: Any, stream: str, epoch: int, rows: Sequence[tuple[str | None, int]]) -> set[int]:
        stand = {seq for of, seq in conn.inbox.values() if of == stream}
        new = {seq: event_id for event_id, seq in rows if seq not in stand and (stream, seq) not in conn.history.passed}
        conn.history.passed |= {(stream, seq): event_id for seq, event_id in new.items()}
        again = {event_id for event_id, _ in rows}
        conn.history.phantoms = [row for row in conn.history.phantoms if row[3] not in again]
        return set(new)

    async def spans(self, conn: Any) -> list[Span]:
        ends: list[tuple[Side, str, int, int]] = await self.ends(conn)
        return [
            Span(side, stream, epoch, upto, counted.checked_seq, counted.floor_seq, counted.replay.resume_seq, False)
            for side, stream, epoch, upto in ends
            for counted in [self._counting(conn, side, stream)]
        ]

    async def ensure_checks(self, conn: Any) -> None:
        """They are made when they are needed."""

    async def first_kept(self, conn: Any, stream: str) -> int | None:
        return min(self._outbox_seqs(conn, stream), default=None)

    async def count_seqs(self, conn: Any, side: Side, stream: str, first_seq: int, last_seq: int) -> int:
        return len(set(await self.seqs(conn, side, stream, first_seq, last_seq)))

    async def seqs(self, conn: Any, side: Side, stream: str, first_seq: int, last_seq: int) -> list[int]:
        if side == "out":
            seqs = self._outbox_seqs(conn, stream)
        else:
            seqs = [seq or 0 for of, seq in conn.inbox.values() if of == stream]
            seqs += [seq for of, seq in conn.history.passed if of == stream]
        return [seq for seq in seqs if first_seq <= seq <= last_seq]

    async def floor_seq(self, conn: Any, side: Side, stream: str) -> int:
        return self._counting(conn, side, stream).floor_seq

    async def checked(self, conn: Any, side: Side, stream: str, from_seq: int, to_seq: int) -> bool:
        counted = self._counting(conn, side, stream)
        if counted.checked_seq != from_seq:
            return False
        counted.checked_seq = to_seq
        return True

    async def recount(self, conn: Any, side: Side, stream: str, every_s: float) -> None:
        counted = self._counting(conn, side, stream)
        counted.checked_seq = counted.floor_seq

    async def open_holes(self, conn: Any, side: Side, stream: str) -> list[Hole]:
        return [
            Hole(position, hole.first_seq, hole.last_seq)
            for position, hole in enumerate(conn.history.holes)
            if (hole.side, hole.stream, hole.filled, hole.given_up) == (side, stream, False, False)
        ]

    async def known_holes(self, conn: Any, side: Side, stream: str, first_seq: int, last_seq: int) -> list[Hole]:
        return [
            Hole(position, hole.first_seq, hole.last_seq)
            for position, hole in enumerate(conn.history.holes)
            if (hole.side, hole.stream, hole.filled) == (side, stream, False)
            and hole.first_seq <= last_seq
            and hole.last_seq >= first_seq
        ]

    async def note_hole(
        self,
        conn: Any,
        side: Side,
        stream: str,
        epoch: int,
        first_seq: int,
        last_seq: int,
        given_up: bool,
        note: str,
    ) -> None:
        conn.history.holes.append(HoleRow(side, stream, first_seq, last_seq, given_up=given_up))

    async def end_hole(self, conn: Any, position: int, filled: bool, note: str) -> None:
        hole = conn.history.holes[position]
        hole.filled, hole.given_up = filled, not filled

    async def received_within(self, conn: Any, stream: str, after_seq: int, age_s: float) -> bool:
        return True

    async def replay(self, conn: Any, stream: str) -> Replay:
        return self._counting(conn, "in", stream).replay

    async def set_replay(self, conn: Any, stream: str, replay: Replay) -> None:
        self._counting(conn, "in", stream).replay = replay

    async def lower_inbox(self, conn: Any, stream: str, to_seq: int) -> bool:
        state = conn.inbox_streams[stream]
        conn.inbox_streams[stream] = state._replace(watermark=min(state.watermark, to_seq))
        return bool(state.watermark > to_seq)

    async def ends(self, conn: Any) -> list[tuple[Side, str, int, int]]:
        out: list[tuple[Side, str, int, int]] = [
            ("out", stream, state.epoch, state.last_seq) for stream, state in conn.streams.items()
        ]
        return [*out, *(("in", stream, state.epoch, state.watermark) for stream, state in conn.inbox_streams.items())]

    async def findings(self, conn: Any, settled: bool = False) -> list[Finding]:
        return []

    async def phantoms(self, conn: Any, stream: str, rows_max: int) -> list[Phantom]:
        return []

    async def unresolved(self, conn: Any) -> dict[tuple[str, What], int]:
        return {}

    async def resolve(self, conn: Any, what: What, stream: str, epoch: int | None, seq: int | None, note: str) -> int:
        return 0

    @staticmethod
    def _counting(conn: Any, side: Side, stream: str) -> Counting:
        counted: Counting = conn.history.counting.setdefault((side, stream), Counting())
        return counted

    @staticmethod
    def _outbox_seqs(conn: Any, stream: str) -> list[int]:
        return [row.seq for row in conn.outbox if row.stream == stream and row.seq is not None]
