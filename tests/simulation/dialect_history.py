"""Forks, phantoms and holes over the database in memory. See ticketflow's postgres_history.py."""

from collections.abc import Iterator, Sequence
from typing import Any

from tests.simulation.clocks import clock_of, clock_us
from tests.simulation.rows import CheckEntry, ForkEntry, HoleEntry, PassedEntry, PhantomEntry
from tests.simulation.session import Session
from ticketflow.delivery.dialect_history import Hole, Replay, Side, Span, What
from ticketflow.feed import FORKS_MAX

RECOUNT_FIRST_S = 5.0  # a day in the real ones


async def _write(conn: Session, table: str, pk: Any, row: Any) -> None:
    await conn.lock(table, pk)
    conn.put(table, pk, row)


class MemoryForks:
    async def stream_forks(self, conn: Session, stream: str) -> list[tuple[int, int]]:
        await conn.statement()
        forks = sorted((epoch, row.after_seq) for (of, epoch), row in conn.rows("fork") if of == stream)
        return forks[-FORKS_MAX:]

    async def note_fork(
        self, conn: Session, stream: str, epoch: int, after_seq: int, receiver_watermark: int | None, note: str
    ) -> None:
        await conn.statement()
        await conn.lock("fork", (stream, epoch))
        noted = conn.get("fork", (stream, epoch)) or ForkEntry(after_seq, note)
        conn.put("fork", (stream, epoch), noted._replace(after_seq=min(noted.after_seq, after_seq)))

    async def begin_epoch(self, conn: Session, stream: str, above: int) -> int:
        await conn.statement()
        await conn.lock("stream", stream)
        row = conn.get("stream", stream)
        epoch: int = max(row.epoch + 1, above + 1, clock_us(conn))
        conn.put("stream", stream, row._replace(epoch=epoch))
        return epoch

    async def inbox_forks(self, conn: Session, stream: str) -> list[tuple[int, int]]:
        await conn.statement()
        return list(conn.get("inbox_fork", stream) or ())

    async def top_seq(self, conn: Session, stream: str) -> int:
        await conn.statement()
        position = conn.get("position", stream)
        return max([0 if position is None else position.watermark, *(seq for seq, _ in _arrived(conn, stream))])

    async def quarantine(self, conn: Session, stream: str, epoch: int, after_seq: int) -> int:
        await conn.statement()
        phantoms = sorted(
            (row.seq, event_id)
            for event_id, row in conn.rows("inbox")
            if row.stream == stream and row.seq is not None and row.seq > after_seq
        )
        for seq, event_id in phantoms:
            conn.put("phantom", conn.database.next_position(), PhantomEntry(stream, epoch, seq, event_id))
            await _write(conn, "inbox", event_id, conn.get("inbox", event_id)._replace(seq=None))
        await conn.statement()
        for of, seq in [pk for pk, _ in conn.rows("passed") if pk[0] == stream and pk[1] > after_seq]:
            await _write(conn, "passed", (of, seq), None)
        await conn.statement()
        position = conn.get("position", stream)
        await _write(conn, "position", stream, position._replace(watermark=min(position.watermark, after_seq)))
        if (counted := conn.get("check", ("in", stream))) is not None:
            lowered = {name: min(getattr(counted, name), after_seq) for name in ("checked", "floor", "resume")}
            await _write(conn, "check", ("in", stream), counted._replace(**lowered))
        for at, hole in list(conn.rows("hole")):
            if hole.side == "in" and hole.stream == stream and hole.first_seq > after_seq and not hole.filled:
                await _write(conn, "hole", at, hole._replace(filled=True))
        return len(phantoms)

    async def follow(
        self, conn: Session, stream: str, epoch: int, fence: int, forks: Sequence[tuple[int, int]]
    ) -> None:
        await conn.statement()
        await _write(conn, "position", stream, conn.get("position", stream)._replace(epoch=epoch, fence=fence))
        await conn.statement()
        await _write(conn, "inbox_fork", stream, tuple(forks))

    async def pass_over(
        self, conn: Session, stream: str, epoch: int, rows: Sequence[tuple[str | None, int]]
    ) -> set[int]:
        await conn.statement()
        known = {row.seq for _, row in conn.rows("inbox") if row.stream == stream}
        new: set[int] = set()
        for event_id, seq in rows:
            await conn.lock("passed", (stream, seq))
            if seq not in known and conn.get("passed", (stream, seq)) is None:
                conn.put("passed", (stream, seq), PassedEntry(event_id))
                new.add(seq)
        ids = {event_id for event_id, _ in rows}
        for at, phantom in list(conn.rows("phantom")):
            if phantom.event_id in ids and not phantom.resolved:
                await _write(conn, "phantom", at, phantom._replace(resolved=True))
        return new

    async def audit(self, conn: Session, actor: str, action: str, subject: str, detail: str) -> None:
        await conn.statement()
        conn.put("audit", conn.database.next_position(), (actor, action, subject, detail))


class MemoryHoles:
    async def spans(self, conn: Session) -> list[Span]:
        await conn.statement()
        ends = [("out", stream, row.epoch, row.last_seq) for stream, row in conn.rows("stream")]
        ends += [("in", stream, row.epoch, row.watermark) for stream, row in conn.rows("position")]
        found = []
        for side, stream, epoch, upto in ends:
            if (row := conn.get("check", (side, stream))) is not None:
                due = row.recount_at <= clock_of(conn)
                found.append(Span(side, stream, epoch, upto, row.checked, row.floor, row.resume, due))  # type: ignore[arg-type]
        return found

    async def ensure_checks(self, conn: Session) -> None:
        await conn.statement()
        sides = [("out", stream) for stream, _ in conn.rows("stream")]
        sides += [("in", stream) for stream, _ in conn.rows("position")]
        for side in sides:
            if conn.get("check", side) is None:
                await conn.lock("check", side)
                if conn.get("check", side) is None:
                    conn.put("check", side, CheckEntry(recount_at=clock_of(conn) + RECOUNT_FIRST_S))

    async def first_kept(self, conn: Session, stream: str) -> int | None:
        await conn.statement()
        return min(
            (row.seq for _, row in conn.rows("outbox") if row.stream == stream and row.seq is not None), default=None
        )

    async def count_seqs(self, conn: Session, side: Side, stream: str, first_seq: int, last_seq: int) -> int:
        return len(set(await self.seqs(conn, side, stream, first_seq, last_seq)))

    async def seqs(self, conn: Session, side: Side, stream: str, first_seq: int, last_seq: int) -> list[int]:
        await conn.statement()
        there = _arrived(conn, stream) if side == "in" else _stamped(conn, stream)
        return [seq for seq, _ in there if first_seq <= seq <= last_seq]

    async def floor_seq(self, conn: Session, side: Side, stream: str) -> int:
        await conn.statement()
        row = conn.get("check", (side, stream))
        return 0 if row is None else int(row.floor)

    async def checked(self, conn: Session, side: Side, stream: str, from_seq: int, to_seq: int) -> bool:
        await conn.statement()
        await conn.lock("check", (side, stream))
        row = conn.get("check", (side, stream))
        if moves := row is not None and row.checked == from_seq:
            conn.put("check", (side, stream), row._replace(checked=to_seq))
        return moves

    async def recount(self, conn: Session, side: Side, stream: str, every_s: float) -> None:
        await conn.statement()
        await conn.lock("check", (side, stream))
        row = conn.get("check", (side, stream))
        if row is not None and row.recount_at <= clock_of(conn):
            again = row._replace(checked=row.floor, recount_at=clock_of(conn) + every_s)
            conn.put("check", (side, stream), again)

    async def open_holes(self, conn: Session, side: Side, stream: str) -> list[Hole]:
        await conn.statement()
        return [
            Hole(at, row.first_seq, row.last_seq)
            for at, row in conn.rows("hole")
            if (row.side, row.stream) == (side, stream) and not row.filled and not row.given_up
        ]

    async def known_holes(self, conn: Session, side: Side, stream: str, first_seq: int, last_seq: int) -> list[Hole]:
        await conn.statement()
        return [
            Hole(at, row.first_seq, row.last_seq)
            for at, row in conn.rows("hole")
            if (row.side, row.stream) == (side, stream)
            and row.first_seq <= last_seq
            and row.last_seq >= first_seq
            and not row.filled
        ]

    async def note_hole(
        self,
        conn: Session,
        side: Side,
        stream: str,
        epoch: int,
        first_seq: int,
        last_seq: int,
        given_up: bool,
        note: str,
    ) -> None:
        await conn.statement()
        hole = HoleEntry(side, stream, epoch, first_seq, last_seq, filled=False, given_up=given_up)
        conn.put("hole", conn.database.next_position(), hole)

    async def end_hole(self, conn: Session, position: int, filled: bool, note: str) -> None:
        await conn.statement()
        await conn.lock("hole", position)
        hole = conn.get("hole", position)
        conn.put("hole", position, hole._replace(filled=filled, given_up=not filled))

    async def received_within(self, conn: Session, stream: str, after_seq: int, age_s: float) -> bool:
        await conn.statement()
        later = sorted(
            (row.seq, row.received_at)
            for _, row in conn.rows("inbox")
            if row.stream == stream and row.seq is not None and row.seq > after_seq
        )
        return bool(later) and later[0][1] > clock_of(conn) - age_s

    async def replay(self, conn: Session, stream: str) -> Replay:
        await conn.statement()
        row = conn.get("check", ("in", stream))
        return Replay(0, -1, 0) if row is None else Replay(row.resume, row.stuck, row.tries)

    async def set_replay(self, conn: Session, stream: str, replay: Replay) -> None:
        await conn.statement()
        await conn.lock("check", ("in", stream))
        if (row := conn.get("check", ("in", stream))) is not None:
            resume, stuck, tries = replay
            conn.put("check", ("in", stream), row._replace(resume=resume, stuck=stuck, tries=tries))

    async def lower_inbox(self, conn: Session, stream: str, to_seq: int) -> bool:
        await conn.statement()
        await conn.lock("position", stream)
        row = conn.get("position", stream)
        if lowers := row is not None and row.watermark > to_seq:
            conn.put("position", stream, row._replace(watermark=to_seq))
        return lowers

    async def unresolved(self, conn: Session) -> dict[tuple[str, What], int]:
        await conn.statement()
        return {}


def _arrived(conn: Session, stream: str) -> Iterator[tuple[int, str | None]]:
    """What stands for a seq in the inbox."""
    for event_id, row in conn.rows("inbox"):
        if row.stream == stream and row.seq is not None:
            yield row.seq, event_id
    for (of, seq), row in conn.rows("passed"):
        if of == stream:
            yield seq, row.event_id


def _stamped(conn: Session, stream: str) -> Iterator[tuple[int, str | None]]:
    for _, row in conn.rows("outbox"):
        if row.stream == stream and row.seq is not None:
            yield row.seq, row.event_id
