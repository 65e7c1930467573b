"""Forks, phantoms and holes in Postgres (asyncpg). See mariadb_history.py, method for method."""

from collections.abc import Sequence
from typing import cast

from ticketflow.delivery.dialect_history import Finding, Hole, Phantom, Replay, Side, Span, What
from ticketflow.delivery.postgres_driver import Connection, count
from ticketflow.feed import FORKS_MAX

_TABLES = {"fork": "delivery_fork", "phantom": "delivery_phantom", "hole": "delivery_hole"}
_SEQ_OF = {"fork": "after_seq", "phantom": "seq", "hole": "first_seq"}

COUNT: dict[Side, str] = {
    "out": "SELECT count(*) FROM delivery_outbox WHERE stream = $1 AND seq BETWEEN $2 AND $3",  # its index is unique
    "in": """
        SELECT (SELECT count(DISTINCT seq) FROM delivery_inbox WHERE stream = $1 AND seq BETWEEN $2 AND $3)
             + (SELECT count(*) FROM delivery_passed AS passed
                WHERE stream = $1 AND seq BETWEEN $2 AND $3 AND NOT EXISTS (
                    SELECT 1 FROM delivery_inbox AS inbox
                    WHERE inbox.stream = passed.stream AND inbox.seq = passed.seq))
    """,
}


class PostgresHistory:
    # -- forks, at the sending end

    async def stream_forks(self, conn: Connection, stream: str) -> list[tuple[int, int]]:
        rows = await conn.fetch(
            "SELECT epoch, after_seq FROM delivery_fork WHERE stream = $1 ORDER BY epoch DESC LIMIT $2",
            stream,
            FORKS_MAX,
        )
        return [(row[0], row[1]) for row in reversed(rows)]

    async def note_fork(
        self, conn: Connection, stream: str, epoch: int, after_seq: int, receiver_watermark: int | None, note: str
    ) -> None:
        await conn.execute(
            """
            INSERT INTO delivery_fork AS noted (stream, epoch, after_seq, receiver_watermark, note)
            VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (stream, epoch) DO UPDATE SET after_seq = least(noted.after_seq, excluded.after_seq)
            """,
            stream,
            epoch,
            after_seq,
            receiver_watermark,
            note,
        )

    async def begin_epoch(self, conn: Connection, stream: str, above: int) -> int:
        return cast(
            int,
            await conn.fetchval(
                """
                UPDATE delivery_stream SET epoch = greatest(
                    epoch + 1, $2::bigint + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
                ) WHERE stream = $1 RETURNING epoch
                """,
                stream,
                above,
            ),
        )

    # -- forks and phantoms, at the receiving end

    async def inbox_forks(self, conn: Connection, stream: str) -> list[tuple[int, int]]:
        rows = await conn.fetch(
            "SELECT epoch, after_seq FROM delivery_inbox_fork WHERE stream = $1 ORDER BY epoch", stream
        )
        return [(row[0], row[1]) for row in rows]

    async def top_seq(self, conn: Connection, stream: str) -> int:
        return cast(
            int,
            await conn.fetchval(
                """
                SELECT coalesce(greatest(
                    (SELECT max(seq) FROM delivery_inbox WHERE stream = $1 AND seq IS NOT NULL),
                    (SELECT max(seq) FROM delivery_passed WHERE stream = $1),
                    (SELECT watermark FROM delivery_inbox_stream WHERE stream = $1)
                ), 0)
                """,
                stream,
            ),
        )

    async def quarantine(self, conn: Connection, stream: str, epoch: int, after_seq: int) -> int:
        phantoms = await conn.execute(
            """
            INSERT INTO delivery_phantom (stream, epoch, seq, event_id, event_key, parked, received_at)
            SELECT stream, $2, seq, event_id, event_key, EXISTS (
                SELECT 1 FROM delivery_parked AS parked WHERE parked.event_id = inbox.event_id
            ), received_at
            FROM delivery_inbox AS inbox WHERE stream = $1 AND seq > $3 ORDER BY seq
            """,
            stream,
            epoch,
            after_seq,
        )
        for statement in (
            "UPDATE delivery_inbox SET seq = NULL WHERE stream = $1 AND seq > $2",
            "DELETE FROM delivery_passed WHERE stream = $1 AND seq > $2",
            "UPDATE delivery_inbox_stream SET watermark = $2 WHERE stream = $1 AND watermark > $2",
            """
            UPDATE delivery_check SET checked_seq = least(checked_seq, $2), floor_seq = least(floor_seq, $2),
                   resume_seq = least(resume_seq, $2)
            WHERE side = 'in' AND stream = $1
            """,
            """
            UPDATE delivery_hole SET filled_at = clock_timestamp(), note = 'of a history that was left'
            WHERE side = 'in' AND stream = $1 AND first_seq > $2 AND filled_at IS NULL
            """,
        ):
            await conn.execute(statement, stream, after_seq)
        return count(phantoms)

    async def follow(
        self, conn: Connection, stream: str, epoch: int, fence: int, forks: Sequence[tuple[int, int]]
    ) -> None:
        await conn.execute(
            "UPDATE delivery_inbox_stream SET epoch = $2, fence = $3 WHERE stream = $1", stream, epoch, fence
        )
        await conn.execute("DELETE FROM delivery_inbox_fork WHERE stream = $1", stream)
        await conn.executemany(
            "INSERT INTO delivery_inbox_fork (stream, epoch, after_seq) VALUES ($1, $2, $3)",
            [(stream, *fork) for fork in forks],
        )

    async def pass_over(
        self, conn: Connection, stream: str, epoch: int, rows: Sequence[tuple[str | None, int]]
    ) -> set[int]:
        ids, seqs = [event_id for event_id, _ in rows], [seq for _, seq in rows]
        new = await conn.fetch(
            """
            INSERT INTO delivery_passed (stream, seq, event_id)
            SELECT $1, seq, event_id FROM unnest($2::uuid[], $3::bigint[]) AS rows (event_id, seq)
            WHERE NOT EXISTS (
                SELECT 1 FROM delivery_inbox AS inbox WHERE inbox.stream = $1 AND inbox.seq = rows.seq
            )
            ON CONFLICT DO NOTHING RETURNING seq
            """,
            stream,
            ids,
            seqs,
        )
        await conn.execute(
            """
            UPDATE delivery_phantom SET resolved_at = clock_timestamp(),
                   note = 'it came again, as ' || rows.seq || ' of epoch ' || $4::bigint
            FROM unnest($2::uuid[], $3::bigint[]) AS rows (event_id, seq)
            WHERE delivery_phantom.event_id = rows.event_id AND stream = $1 AND resolved_at IS NULL
            """,
            stream,
            ids,
            seqs,
            epoch,
        )
        return {row[0] for row in new}

    # -- holes

    async def spans(self, conn: Connection) -> list[Span]:
        rows = await conn.fetch(
            """
            SELECT ends.side, ends.stream, ends.epoch, ends.upto_seq, counted.checked_seq, counted.floor_seq,
                   counted.resume_seq, counted.recount_at <= clock_timestamp()
            FROM (
                SELECT 'out' AS side, stream, epoch, last_seq AS upto_seq FROM delivery_stream
                UNION ALL SELECT 'in', stream, epoch, watermark FROM delivery_inbox_stream
            ) AS ends JOIN delivery_check AS counted USING (side, stream) ORDER BY 1, 2
            """
        )
        return [Span(*row) for row in rows]

    async def ensure_checks(self, conn: Connection) -> None:
        await conn.execute(
            """
            INSERT INTO delivery_check (side, stream)
            SELECT side, stream FROM (
                SELECT 'out' AS side, stream FROM delivery_stream
                UNION ALL SELECT 'in', stream FROM delivery_inbox_stream
            ) AS ends
            WHERE NOT EXISTS (
                SELECT 1 FROM delivery_check AS counted
                WHERE counted.side = ends.side AND counted.stream = ends.stream
            )
            ON CONFLICT DO NOTHING
            """
        )

    async def first_kept(self, conn: Connection, stream: str) -> int | None:
        return cast(
            int | None,
            await conn.fetchval("SELECT min(seq) FROM delivery_outbox WHERE stream = $1 AND seq IS NOT NULL", stream),
        )

    async def count_seqs(self, conn: Connection, side: Side, stream: str, first_seq: int, last_seq: int) -> int:
        return cast(int, await conn.fetchval(COUNT[side], stream, first_seq, last_seq))

    async def seqs(self, conn: Connection, side: Side, stream: str, first_seq: int, last_seq: int) -> list[int]:
        if side == "out":
            sql = "SELECT seq FROM delivery_outbox WHERE stream = $1 AND seq BETWEEN $2 AND $3"
        else:
            sql = """
                SELECT seq FROM delivery_inbox WHERE stream = $1 AND seq BETWEEN $2 AND $3
                UNION ALL SELECT seq FROM delivery_passed WHERE stream = $1 AND seq BETWEEN $2 AND $3
                """
        return [row[0] for row in await conn.fetch(sql, stream, first_seq, last_seq)]

    async def floor_seq(self, conn: Connection, side: Side, stream: str) -> int:
        floor = await conn.fetchval(
            "SELECT floor_seq FROM delivery_check WHERE side = $1 AND stream = $2", side, stream
        )
        return cast(int, floor or 0)

    async def checked(self, conn: Connection, side: Side, stream: str, from_seq: int, to_seq: int) -> bool:
        return (
            count(
                await conn.execute(
                    "UPDATE delivery_check SET checked_seq = $4 WHERE side = $1 AND stream = $2 AND checked_seq = $3",
                    side,
                    stream,
                    from_seq,
                    to_seq,
                )
            )
            == 1
        )

    async def recount(self, conn: Connection, side: Side, stream: str, every_s: float) -> None:
        await conn.execute(
            """
            UPDATE delivery_check SET checked_seq = floor_seq,
                   recount_at = clock_timestamp() + make_interval(secs => $3)
            WHERE side = $1 AND stream = $2 AND recount_at <= clock_timestamp()
            """,
            side,
            stream,
            every_s,
        )

    async def open_holes(self, conn: Connection, side: Side, stream: str) -> list[Hole]:
        rows = await conn.fetch(
            """
            SELECT position, first_seq, last_seq FROM delivery_hole
            WHERE side = $1 AND stream = $2 AND filled_at IS NULL AND given_up_at IS NULL ORDER BY first_seq
            """,
            side,
            stream,
        )
        return [Hole(*row) for row in rows]

    async def known_holes(self, conn: Connection, side: Side, stream: str, first_seq: int, last_seq: int) -> list[Hole]:
        rows = await conn.fetch(
            """
            SELECT position, first_seq, last_seq FROM delivery_hole
            WHERE side = $1 AND stream = $2 AND first_seq <= $4 AND last_seq >= $3 AND filled_at IS NULL
            """,
            side,
            stream,
            first_seq,
            last_seq,
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
        await conn.execute(
            """
            INSERT INTO delivery_hole (side, stream, epoch, first_seq, last_seq, given_up_at, note)
            VALUES ($1, $2, $3, $4, $5, CASE WHEN $6 THEN clock_timestamp() END, $7)
            """,
            side,
            stream,
            epoch,
            first_seq,
            last_seq,
            given_up,
            note,
        )

    async def end_hole(self, conn: Connection, position: int, filled: bool, note: str) -> None:
        await conn.execute(
            """
            UPDATE delivery_hole SET filled_at = CASE WHEN $2 THEN clock_timestamp() END,
                   given_up_at = CASE WHEN NOT $2 THEN clock_timestamp() END, note = $3
            WHERE position = $1
            """,
            position,
            filled,
            note,
        )

    async def received_within(self, conn: Connection, stream: str, after_seq: int, age_s: float) -> bool:
        return bool(
            await conn.fetchval(
                """
                SELECT received_at > clock_timestamp() - make_interval(secs => $3) FROM delivery_inbox
                WHERE stream = $1 AND seq > $2 ORDER BY seq LIMIT 1
                """,
                stream,
                after_seq,
                age_s,
            )
        )

    async def replay(self, conn: Connection, stream: str) -> Replay:
        row = await conn.fetchrow(
            "SELECT resume_seq, stuck_seq, tries FROM delivery_check WHERE side = 'in' AND stream = $1", stream
        )
        return Replay(0, -1, 0) if row is None else Replay(*row)

    async def set_replay(self, conn: Connection, stream: str, replay: Replay) -> None:
        await conn.execute(
            """
            UPDATE delivery_check SET resume_seq = $2, stuck_seq = $3, tries = $4
            WHERE side = 'in' AND stream = $1
            """,
            stream,
            *replay,
        )

    async def lower_inbox(self, conn: Connection, stream: str, to_seq: int) -> bool:
        return (
            count(
                await conn.execute(
                    "UPDATE delivery_inbox_stream SET watermark = $2 WHERE stream = $1 AND watermark > $2",
                    stream,
                    to_seq,
                )
            )
            == 1
        )

    # -- for people

    async def ends(self, conn: Connection) -> list[tuple[Side, str, int, int]]:
        rows = await conn.fetch(
            """
            SELECT 'out', stream, epoch, last_seq FROM delivery_stream
            UNION ALL SELECT 'in', stream, epoch, watermark FROM delivery_inbox_stream ORDER BY 2, 1
            """
        )
        return [(row[0], row[1], row[2], row[3]) for row in rows]

    async def findings(self, conn: Connection, settled: bool = False) -> list[Finding]:
        rows = await conn.fetch(
            """
            SELECT 'fork', 'out', stream, epoch, after_seq + 1, coalesce(receiver_watermark, after_seq),
                   greatest(coalesce(receiver_watermark, after_seq) - after_seq, 0), found_at,
                   CASE WHEN resolved_at IS NULL THEN 'open' ELSE 'resolved' END, note
            FROM delivery_fork WHERE $1 OR resolved_at IS NULL
            UNION ALL
            SELECT 'phantom', 'in', stream, epoch, min(seq), max(seq), count(*), min(found_at),
                   CASE WHEN resolved_at IS NULL THEN 'open' ELSE 'resolved' END, min(note)
            FROM delivery_phantom WHERE $1 OR resolved_at IS NULL GROUP BY stream, epoch, resolved_at IS NULL
            UNION ALL
            SELECT 'hole', side, stream, epoch, first_seq, last_seq, last_seq - first_seq + 1, found_at,
                   CASE WHEN resolved_at IS NOT NULL THEN 'resolved' WHEN filled_at IS NOT NULL THEN 'filled'
                        WHEN given_up_at IS NOT NULL THEN 'given up' ELSE 'being replayed' END, note
            FROM delivery_hole WHERE $1 OR (resolved_at IS NULL AND filled_at IS NULL)
            ORDER BY 1, 3, 4, 5
            """,
            settled,
        )
        return [Finding(*row) for row in rows]

    async def phantoms(self, conn: Connection, stream: str, rows_max: int) -> list[Phantom]:
        rows = await conn.fetch(
            """
            SELECT epoch, seq, event_id::text, event_key, parked, received_at FROM delivery_phantom
            WHERE stream = $1 AND resolved_at IS NULL ORDER BY epoch, seq LIMIT $2
            """,
            stream,
            rows_max,
        )
        return [Phantom(*row) for row in rows]

    async def unresolved(self, conn: Connection) -> dict[tuple[str, What], int]:
        rows = await conn.fetch(
            """
            SELECT stream, 'fork', count(*) FROM delivery_fork WHERE resolved_at IS NULL GROUP BY stream
            UNION ALL
            SELECT stream, 'phantom', count(*) FROM delivery_phantom WHERE resolved_at IS NULL GROUP BY stream
            UNION ALL
            SELECT stream, 'hole', count(*) FROM delivery_hole
            WHERE resolved_at IS NULL AND filled_at IS NULL GROUP BY stream
            """
        )
        return {(row[0], row[1]): row[2] for row in rows}

    async def resolve(
        self, conn: Connection, what: What, stream: str, epoch: int | None, seq: int | None, note: str
    ) -> int:
        return count(
            await conn.execute(
                f"""
                UPDATE {_TABLES[what]} SET resolved_at = clock_timestamp(), note = $4
                WHERE stream = $1 AND ($2::bigint IS NULL OR epoch = $2)
                  AND ($3::bigint IS NULL OR {_SEQ_OF[what]} = $3) AND resolved_at IS NULL
                """,  # noqa: S608
                stream,
                epoch,
                seq,
                note,
            )
        )
