"""The SQL about streams: positions, phantoms, holes. All of it uses the caller's connection; nothing here commits."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from portal.positions import Position, Range
from ticketflow.runtime.postgres import Connection


class Executes(Protocol):
    """A connection, or what takes statements to send them later."""

    async def execute(self, statement: str, /, *arguments: Any) -> str: ...


POSITION = "stream, epoch, watermark, ahead, highest, forks"


async def lock_positions(conn: Connection, streams: Sequence[str]) -> dict[str, Position]:
    """The positions of ``streams`` that are known, locked until the transaction ends."""
    rows = await conn.fetch(
        f"SELECT {POSITION} FROM portal_stream WHERE stream = ANY($1::text[]) ORDER BY stream FOR UPDATE",  # noqa: S608 - a constant
        streams,
    )
    return dict(map(position_of, rows))


async def position(conn: Connection, stream: str) -> Position | None:
    """One position, not locked."""
    row = await conn.fetchrow(f"SELECT {POSITION} FROM portal_stream WHERE stream = $1", stream)  # noqa: S608 - a constant
    return None if row is None else position_of(row)[1]


async def save_position(conn: Executes, stream: str, position: Position) -> None:
    await conn.execute(
        """
        INSERT INTO portal_stream (stream, epoch, watermark, ahead, highest, forks) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (stream) DO UPDATE SET epoch = excluded.epoch, watermark = excluded.watermark,
            ahead = excluded.ahead, highest = excluded.highest, forks = excluded.forks
        """,
        stream,
        position.epoch,
        position.watermark,
        [seq for span in position.ahead for seq in span],
        position.highest,
        [number for fork in position.forks for number in fork],
    )


async def others_at(conn: Connection, stream: str, current: Mapping[int, str]) -> dict[str, int]:
    """What was applied under the seqs of ``current`` and is not the event named there: seqs by event id."""
    rows = await conn.fetch(
        """
        SELECT event_id::text, seq
        FROM delivery_inbox JOIN unnest($2::bigint[], $3::uuid[]) AS now (seq, id) USING (seq)
        WHERE stream = $1 AND event_id <> now.id
        """,
        stream,
        list(current),
        list(current.values()),
    )
    return {row["event_id"]: row["seq"] for row in rows}


async def quarantine(conn: Connection, stream: str, lost: Sequence[tuple[str, int, int]], note: str) -> int:
    """Notes events, given as (event_id, epoch, seq), as phantoms; how many. Their dedup keys stay, without a seq."""
    ids = [event_id for event_id, _, _ in lost]
    rows = await conn.fetch(
        """
        INSERT INTO delivery_phantom (stream, epoch, seq, event_id, event_key, parked, received_at, note)
        SELECT $1, lost.epoch, lost.seq, event_id, event_key, false, received_at, $5
        FROM delivery_inbox
            JOIN unnest($2::uuid[], $3::bigint[], $4::bigint[]) AS lost (event_id, epoch, seq) USING (event_id)
        RETURNING 1
        """,
        stream,
        ids,
        [epoch for _, epoch, _ in lost],
        [seq for _, _, seq in lost],
        note,
    )
    await conn.execute("UPDATE delivery_inbox SET seq = NULL WHERE event_id = ANY($1::uuid[])", ids)
    return len(rows)


async def returned(conn: Connection, stream: str, epoch: int, seqs: Mapping[str, int]) -> None:
    """Known events have come in the sender's present history: those of them that were taken for phantoms are none."""
    await conn.execute(
        """
        WITH returned AS (
            UPDATE delivery_phantom SET resolved_at = clock_timestamp(),
                   note = 'it came again, as ' || came.seq || ' of epoch ' || $2::bigint
            FROM unnest($3::uuid[], $4::bigint[]) AS came (event_id, seq)
            WHERE delivery_phantom.event_id = came.event_id AND stream = $1 AND resolved_at IS NULL
            RETURNING came.event_id, came.seq
        )
        UPDATE delivery_inbox SET seq = returned.seq FROM returned WHERE delivery_inbox.event_id = returned.event_id
        """,
        stream,
        epoch,
        list(seqs),
        list(seqs.values()),
    )


async def after(conn: Connection, stream: str, seq: int, present: Collection[str]) -> dict[str, int]:
    """What came under seqs beyond ``seq``, save ``present``: seqs by event id."""
    rows = await conn.fetch(
        """
        SELECT event_id::text, seq FROM delivery_inbox
        WHERE stream = $1 AND seq > $2 AND event_id <> ALL($3::uuid[]) ORDER BY seq
        """,
        stream,
        seq,
        list(present),
    )
    return {row["event_id"]: row["seq"] for row in rows}


async def note_hole(conn: Connection, stream: str, epoch: int, hole: Range, note: str) -> None:
    """Notes that these events will not come."""
    await conn.execute(
        """
        INSERT INTO delivery_hole (side, stream, epoch, first_seq, last_seq, given_up_at, note)
        VALUES ('in', $1, $2, $3, $4, clock_timestamp(), $5)
        """,
        stream,
        epoch,
        *hole,
        note,
    )


def position_of(row: Iterable[Any]) -> tuple[str, Position]:
    """The stream and its position, from the values of POSITION."""
    stream, epoch, watermark, ahead, highest, forks = row
    return stream, Position(epoch, watermark, _pairs(ahead), highest, _pairs(forks))


def _pairs(numbers: Sequence[int]) -> tuple[tuple[int, int], ...]:
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))
