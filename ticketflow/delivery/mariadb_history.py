"""Forks, phantoms and holes in MariaDB (aiomysql). See postgres_history.py, method for method."""

from collections.abc import Sequence

from ticketflow.delivery.dialect_history import Finding, Hole, Phantom, Replay, Side, Span, What
from ticketflow.delivery.mariadb_driver import Connection, fetch, insert, write
from ticketflow.delivery.mariadb_outbox import FIRST_KEPT
from ticketflow.feed import FORKS_MAX

_NOW_US = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
_TABLES = {"fork": "delivery_fork", "phantom": "delivery_phantom", "hole": "delivery_hole"}
_SEQ_OF = {"fork": "after_seq", "phantom": "seq", "hole": "first_seq"}

COUNT: dict[Side, str] = {
    # Its index is unique.
    "out": "SELECT COUNT(*) FROM delivery_outbox FORCE INDEX (delivery_outbox_seq)"
    " WHERE stream = %s AND seq BETWEEN %s AND %s",
    "in": """
        SELECT (SELECT COUNT(DISTINCT seq) FROM delivery_inbox WHERE stream = %s AND seq BETWEEN %s AND %s)
             + (SELECT COUNT(*) FROM delivery_passed AS passed
                WHERE stream = %s AND seq BETWEEN %s AND %s AND NOT EXISTS (
                    SELECT 1 FROM delivery_inbox AS inbox
                    WHERE inbox.stream = passed.stream AND inbox.seq = passed.seq))
    """,
}


class MariaDBHistory:
    # -- forks, at the sending end

    async def stream_forks(self, conn: Connection, stream: str) -> list[tuple[int, int]]:
        rows = await fetch(
            conn,
            "SELECT epoch, after_seq FROM delivery_fork WHERE stream = %s ORDER BY epoch DESC LIMIT %s",
            (stream, FORKS_MAX),
        )
        return [(row[0], row[1]) for row in reversed(rows)]

    async def note_fork(
        self, conn: Connection, stream: str, epoch: int, after_seq: int, receiver_watermark: int | None, note: str
    ) -> None:
        await write(
            conn,
            "INSERT INTO delivery_fork (stream, epoch, after_seq, receiver_watermark, note) VALUES (%s, %s, %s, %s, %s)"
            " ON DUPLICATE KEY UPDATE after_seq = LEAST(delivery_fork.after_seq, VALUES(after_seq))",
            (stream, epoch, after_seq, receiver_watermark, note),
        )

    async def begin_epoch(self, conn: Connection, stream: str, above: int) -> int:
        await write(
            conn,
            f"UPDATE delivery_stream SET epoch = GREATEST(epoch + 1, %s + 1, {_NOW_US}) WHERE stream = %s",  # noqa: S608
            (above, stream),
        )
        return int((await fetch(conn, "SELECT epoch FROM delivery_stream WHERE stream = %s", (stream,)))[0][0])

    # -- forks and phantoms, at the receiving end

    async def inbox_forks(self, conn: Connection, stream: str) -> list[tuple[int, int]]:
        rows = await fetch(
            conn, "SELECT epoch, after_seq FROM delivery_inbox_fork WHERE stream = %s ORDER BY epoch", (stream,)
        )
        return [(row[0], row[1]) for row in rows]

    async def top_seq(self, conn: Connection, stream: str) -> int:
        rows = await fetch(
            conn,
            """
            SELECT GREATEST(
                COALESCE((SELECT MAX(seq) FROM delivery_inbox WHERE stream = %s), 0),
                COALESCE((SELECT MAX(seq) FROM delivery_passed WHERE stream = %s), 0),
                COALESCE((SELECT watermark FROM delivery_inbox_stream WHERE stream = %s), 0)
            )
            """,
            (stream, stream, stream),
        )
        return int(rows[0][0])

    async def quarantine(self, conn: Connection, stream: str, epoch: int, after_seq: int) -> int:
        phantoms = await write(
            conn,
            """
            INSERT INTO delivery_phantom (stream, epoch, seq, event_id, event_key, parked, received_at)
            SELECT stream, %s, seq, event_id, event_key, EXISTS (
                SELECT 1 FROM delivery_parked AS parked WHERE parked.event_id = inbox.event_id
            ), received_at
            FROM delivery_inbox AS inbox WHERE stream = %s AND seq > %s ORDER BY seq
            """,
            (epoch, stream, after_seq),
        )
        await write(conn, "UPDATE delivery_inbox SET seq = NULL WHERE stream = %s AND seq > %s", (stream, after_seq))
        await write(conn, "DELETE FROM delivery_passed WHERE stream = %s AND seq > %s", (stream, after_seq))
        await self.lower_inbox(conn, stream, after_seq)
        await write(
            conn,
            "UPDATE delivery_check SET checked_seq = LEAST(checked_seq, %s), floor_seq = LEAST(floor_seq, %s),"
            " resume_seq = LEAST(resume_seq, %s) WHERE side = 'in' AND stream = %s",
            (after_seq, after_seq, after_seq, stream),
        )
        await write(
            conn,
            "UPDATE delivery_hole SET filled_at = UTC_TIMESTAMP(6), note = 'of a history that was left'"
            " WHERE side = 'in' AND stream = %s AND first_seq > %s AND filled_at IS NULL",
            (stream, after_seq),
        )
        return phantoms

    async def follow(
        self, conn: Connection, stream: str, epoch: int, fence: int, forks: Sequence[tuple[int, int]]
    ) -> None:
        await write(
            conn, "UPDATE delivery_inbox_stream SET epoch = %s, fence = %s WHERE stream = %s", (epoch, fence, stream)
        )
        await write(conn, "DELETE FROM delivery_inbox_fork WHERE stream = %s", (stream,))
        if forks:
            await insert(
                conn,
                "INSERT INTO delivery_inbox_fork (stream, epoch, after_seq)",
                [(stream, *fork) for fork in forks],
            )

    async def pass_over(
        self, conn: Connection, stream: str, epoch: int, rows: Sequence[tuple[str | None, int]]
    ) -> set[int]:
        came = {seq: event_id for event_id, seq in rows}
        stand = await fetch(
            conn,
            "SELECT seq FROM delivery_inbox WHERE stream = %s AND seq IN %s"
            " UNION ALL SELECT seq FROM delivery_passed WHERE stream = %s AND seq IN %s",
            (stream, list(came), stream, list(came)),
        )
        new = came.keys() - {row[0] for row in stand}
        if new:
            await insert(
                conn,
                "INSERT INTO delivery_passed (stream, seq, event_id)",
                [(stream, seq, came[seq]) for seq in sorted(new)],
            )
        for event_id, seq in await self._phantoms_among(conn, stream, rows):
            await write(
                conn,
                "UPDATE delivery_phantom SET resolved_at = UTC_TIMESTAMP(6), note = %s"
                " WHERE event_id = %s AND stream = %s AND resolved_at IS NULL",
                (f"it came again, as {seq} of epoch {epoch}", event_id, stream),
            )
        return new

    async def _phantoms_among(
        self, conn: Connection, stream: str, rows: Sequence[tuple[str | None, int]]
    ) -> list[tuple[str, int]]:
        seqs = {event_id: seq for event_id, seq in rows if event_id is not None}
        if not seqs:
            return []
        found = await fetch(
            conn,
            "SELECT DISTINCT event_id FROM delivery_phantom"
            " WHERE event_id IN %s AND stream = %s AND resolved_at IS NULL",
            (list(seqs), stream),
        )
        return [(row[0], seqs[row[0]]) for row in found]

    # -- holes

    async def spans(self, conn: Connection) -> list[Span]:
        rows = await fetch(
            conn,
            """
            SELECT counted.side, counted.stream, ends.epoch, ends.upto_seq, counted.checked_seq, counted.floor_seq,
                   counted.resume_seq, counted.recount_at <= UTC_TIMESTAMP(6)
            FROM (
                SELECT 'out' AS side, stream, epoch, last_seq AS upto_seq FROM delivery_stream
                UNION ALL SELECT 'in', stream, epoch, watermark FROM delivery_inbox_stream
            ) AS ends
            JOIN delivery_check AS counted ON counted.side = ends.side AND counted.stream = ends.stream
            ORDER BY counted.side, counted.stream
            """,
        )
        return [Span._make((*row[:-1], bool(row[-1]))) for row in rows]

    async def ensure_checks(self, conn: Connection) -> None:
        missing = await fetch(
            conn,
            """
            SELECT ends.side, ends.stream FROM (
                SELECT 'out' AS side, stream FROM delivery_stream
                UNION ALL SELECT 'in', stream FROM delivery_inbox_stream
            ) AS ends LEFT JOIN delivery_check AS counted
                ON counted.side = ends.side AND counted.stream = ends.stream
            WHERE counted.stream IS NULL
            """,
        )
        if missing:
            await insert(conn, "INSERT IGNORE INTO delivery_check (side, stream)", missing)

    async def first_kept(self, conn: Connection, stream: str) -> int | None:
        rows = await fetch(conn, FIRST_KEPT, (stream,))
        return rows[0][0] if rows else None

    async def count_seqs(self, conn: Connection, side: Side, stream: str, first_seq: int, last_seq: int) -> int:
        span = (stream, first_seq, last_seq)
        return int((await fetch(conn, COUNT[side], span if side == "out" else (*span, *span)))[0][0])

    async def seqs(self, conn: Connection, side: Side, stream: str, first_seq: int, last_seq: int) -> list[int]:
        span = (stream, first_seq, last_seq)
        if side == "out":
            sql = "SELECT seq FROM delivery_outbox WHERE stream = %s AND seq BETWEEN %s AND %s"
            return [row[0] for row in await fetch(conn, sql, span)]
        sql = """
            SELECT seq FROM delivery_inbox WHERE stream = %s AND seq BETWEEN %s AND %s
            UNION ALL SELECT seq FROM delivery_passed WHERE stream = %s AND seq BETWEEN %s AND %s
            """
        return [row[0] for row in await fetch(conn, sql, (*span, *span))]

    async def floor_seq(self, conn: Connection, side: Side, stream: str) -> int:
        rows = await fetch(conn, "SELECT floor_seq FROM delivery_check WHERE side = %s AND stream = %s", (side, stream))
        return int(rows[0][0]) if rows else 0

    async def checked(self, conn: Connection, side: Side, stream: str, from_seq: int, to_seq: int) -> bool:
        return (
            await write(
                conn,
                "UPDATE delivery_check SET checked_seq = %s WHERE side = %s AND stream = %s AND checked_seq = %s",
                (to_seq, side, stream, from_seq),
            )
            == 1
        )

    async def recount(self, conn: Connection, side: Side, stream: str, every_s: float) -> None:
        await write(
            conn,
            "UPDATE delivery_check SET checked_seq = floor_seq, recount_at = UTC_TIMESTAMP(6) + INTERVAL %s SECOND"
            " WHERE side = %s AND stream = %s AND recount_at <= UTC_TIMESTAMP(6)",
            (every_s, side, stream),
        )

    async def open_holes(self, conn: Connection, side: Side, stream: str) -> list[Hole]:
        rows = await fetch(
            conn,
            "SELECT position, first_seq, last_seq FROM delivery_hole WHERE side = %s AND stream = %s"
            " AND filled_at IS NULL AND given_up_at IS NULL ORDER BY first_seq",
            (side, stream),
        )
        return [Hole(*row) for row in rows]

    async def known_holes(self, conn: Connection, side: Side, stream: str, first_seq: int, last_seq: int) -> list[Hole]:
        rows = await fetch(
            conn,
            "SELECT position, first_seq, last_seq FROM delivery_hole WHERE side = %s AND stream = %s"
            " AND first_seq <= %s AND last_seq >= %s AND filled_at IS NULL",
            (side, stream, last_seq, first_seq),
        )
        return [Hole(*row) for row in rows]

    async def note_hole(
        self,
        conn: Connection,
        side: Side,
        stream: str,
        epoch: int,
        first_seq: int,
        last_seq: int,
        given_up: bool,
        note: str,
    ) -> None:
        await write(
            conn,
            "INSERT INTO delivery_hole (side, stream, epoch, first_seq, last_seq, given_up_at, note)"
            " VALUES (%s, %s, %s, %s, %s, IF(%s, UTC_TIMESTAMP(6), NULL), %s)",
            (side, stream, epoch, first_seq, last_seq, given_up, note),
        )

    async def end_hole(self, conn: Connection, position: int, filled: bool, note: str) -> None:
        await write(
            conn,
            "UPDATE delivery_hole SET filled_at = IF(%s, UTC_TIMESTAMP(6), NULL),"
            " given_up_at = IF(%s, NULL, UTC_TIMESTAMP(6)), note = %s WHERE position = %s",
            (filled, filled, note, position),
        )

    async def received_within(self, conn: Connection, stream: str, after_seq: int, age_s: float) -> bool:
        rows = await fetch(
            conn,
            "SELECT received_at > UTC_TIMESTAMP(6) - INTERVAL %s SECOND FROM delivery_inbox"
            " WHERE stream = %s AND seq > %s ORDER BY seq LIMIT 1",
            (age_s, stream, after_seq),
        )
        return bool(rows and rows[0][0])

    async def replay(self, conn: Connection, stream: str) -> Replay:
        rows = await fetch(
            conn,
            "SELECT resume_seq, stuck_seq, tries FROM delivery_check WHERE side = 'in' AND stream = %s",
            (stream,),
        )
        return Replay(*rows[0]) if rows else Replay(0, -1, 0)

    async def set_replay(self, conn: Connection, stream: str, replay: Replay) -> None:
        await write(
            conn,
            "UPDATE delivery_check SET resume_seq = %s, stuck_seq = %s, tries = %s WHERE side = 'in' AND stream = %s",
            (*replay, stream),
        )

    async def lower_inbox(self, conn: Connection, stream: str, to_seq: int) -> bool:
        return (
            await write(
                conn,
                "UPDATE delivery_inbox_stream SET watermark = %s WHERE stream = %s AND watermark > %s",
                (to_seq, stream, to_seq),
            )
            == 1
        )

    # -- for people

    async def ends(self, conn: Connection) -> list[tuple[Side, str, int, int]]:
        rows = await fetch(
            conn,
            """
            SELECT 'out', stream, epoch, last_seq FROM delivery_stream
            UNION ALL SELECT 'in', stream, epoch, watermark FROM delivery_inbox_stream ORDER BY 2, 1
            """,
        )
        return [(row[0], row[1], row[2], row[3]) for row in rows]

    async def findings(self, conn: Connection, settled: bool = False) -> list[Finding]:
        rows = await fetch(
            conn,
            """
            SELECT 'fork' AS what, 'out' AS side, stream, epoch, after_seq + 1 AS first_seq,
                   COALESCE(receiver_watermark, after_seq),
                   GREATEST(COALESCE(receiver_watermark, after_seq) - after_seq, 0), found_at,
                   IF(resolved_at IS NULL, 'open', 'resolved'), note
            FROM delivery_fork WHERE %s OR resolved_at IS NULL
            UNION ALL
            SELECT 'phantom', 'in', stream, epoch, MIN(seq), MAX(seq), COUNT(*), MIN(found_at),
                   IF(resolved_at IS NULL, 'open', 'resolved'), MIN(note)
            FROM delivery_phantom WHERE %s OR resolved_at IS NULL GROUP BY stream, epoch, resolved_at IS NULL
            UNION ALL
            SELECT 'hole', side, stream, epoch, first_seq, last_seq, last_seq - first_seq + 1, found_at,
                   CASE WHEN resolved_at IS NOT NULL THEN 'resolved' WHEN filled_at IS NOT NULL THEN 'filled'
                        WHEN given_up_at IS NOT NULL THEN 'given up' ELSE 'being replayed' END, note
            FROM delivery_hole WHERE %s OR (resolved_at IS NULL AND filled_at IS NULL)
            ORDER BY what, stream, epoch, first_seq
            """,
            (settled, settled, settled),
        )
        return [Finding(*row) for row in rows]

    async def phantoms(self, conn: Connection, stream: str, rows_max: int) -> list[Phantom]:
        rows = await fetch(
            conn,
            """
            SELECT epoch, seq, event_id, event_key, parked, received_at FROM delivery_phantom
            WHERE stream = %s AND resolved_at IS NULL ORDER BY epoch, seq LIMIT %s
            """,
            (stream, rows_max),
        )
        return [Phantom(epoch, seq, str(event), key, bool(parked), at) for epoch, seq, event, key, parked, at in rows]

    async def unresolved(self, conn: Connection) -> dict[tuple[str, What], int]:
        rows = await fetch(
            conn,
            """
            SELECT stream, 'fork', COUNT(*) FROM delivery_fork WHERE resolved_at IS NULL GROUP BY stream
            UNION ALL
            SELECT stream, 'phantom', COUNT(*) FROM delivery_phantom WHERE resolved_at IS NULL GROUP BY stream
            UNION ALL
            SELECT stream, 'hole', COUNT(*) FROM delivery_hole
            WHERE resolved_at IS NULL AND filled_at IS NULL GROUP BY stream
            """,
        )
        return {(row[0], row[1]): row[2] for row in rows}

    async def resolve(
        self, conn: Connection, what: What, stream: str, epoch: int | None, seq: int | None, note: str
    ) -> int:
        return await write(
            conn,
            f"UPDATE {_TABLES[what]} SET resolved_at = UTC_TIMESTAMP(6), note = %s"  # noqa: S608
            f" WHERE stream = %s AND (%s IS NULL OR epoch = %s) AND (%s IS NULL OR {_SEQ_OF[what]} = %s)"
            " AND resolved_at IS NULL",
            (note, stream, epoch, epoch, seq, seq),
        )
