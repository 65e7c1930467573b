"""The receiving end in Postgres (asyncpg): inbox, parked. See mariadb_inbox.py, method for method."""

from collections.abc import Sequence
from typing import cast

from ticketflow.delivery.dialect import Arrival, InboxState, ParkedRow, Taken
from ticketflow.delivery.postgres_driver import Connection, count


class PostgresInbox:
    # -- inbox

    async def lock_inbox(self, conn: Connection, stream: str) -> InboxState | None:
        row = await conn.fetchrow(
            "SELECT epoch, watermark, fence FROM delivery_inbox_stream WHERE stream = $1 FOR UPDATE", stream
        )
        return None if row is None else InboxState(*row)

    async def ensure_inbox(self, conn: Connection, stream: str, epoch: int, fence: int) -> None:
        await conn.execute(
            "INSERT INTO delivery_inbox_stream (stream, epoch, fence) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            stream,
            epoch,
            fence,
        )

    async def adopt_sender(self, conn: Connection, stream: str, epoch: int, fence: int) -> None:
        await conn.execute(
            "UPDATE delivery_inbox_stream SET epoch = $2, fence = $3 WHERE stream = $1", stream, epoch, fence
        )

    async def advance_inbox(self, conn: Connection, stream: str, from_seq: int, to_seq: int) -> bool:
        return (
            count(
                await conn.execute(
                    "UPDATE delivery_inbox_stream SET watermark = $3 WHERE stream = $1 AND watermark = $2",
                    stream,
                    from_seq,
                    to_seq,
                )
            )
            == 1
        )

    async def record(self, conn: Connection, stream: str, arrivals: Sequence[Arrival]) -> set[str]:
        rows = await conn.fetch(
            """
            INSERT INTO delivery_inbox (event_id, stream, seq, event_key)
            SELECT event_id, $1, seq, event_key
            FROM unnest($2::uuid[], $3::bigint[], $4::text[]) AS rows (event_id, seq, event_key)
            ON CONFLICT (event_id) DO NOTHING RETURNING event_id::text
            """,
            stream,
            [arrival.event_id for arrival in arrivals],
            [arrival.seq for arrival in arrivals],
            [arrival.key for arrival in arrivals],
        )
        return {row[0] for row in rows}

    async def take(self, conn: Connection, stream: str, family: str, arrivals: Sequence[Arrival]) -> Taken | None:
        # Three statements: one would look for what is parked as of before it had waited for its lock.
        state = await self.lock_inbox(conn, stream)
        new = await self.record(conn, stream, arrivals)
        return Taken(state, new, await self.parked_keys(conn, family, list({came.key for came in arrivals})))

    async def purge_inbox(self, conn: Connection, age_s: float, rows_max: int) -> int:
        purged: int = await conn.fetchval(
            """
            WITH gone AS (
                DELETE FROM delivery_inbox WHERE event_id IN (
                    SELECT event_id FROM delivery_inbox
                    WHERE received_at < clock_timestamp() - make_interval(secs => $1)
                      AND NOT EXISTS (
                          SELECT 1 FROM delivery_parked WHERE delivery_parked.event_id = delivery_inbox.event_id)
                    ORDER BY received_at LIMIT $2
                ) RETURNING stream, seq
            ), floors AS (
                INSERT INTO delivery_check AS counted (side, stream, floor_seq)
                SELECT 'in', stream, max(seq) FROM gone WHERE seq IS NOT NULL GROUP BY stream
                ON CONFLICT (side, stream) DO UPDATE SET floor_seq = greatest(counted.floor_seq, excluded.floor_seq)
            )
            SELECT count(*) FROM gone
            """,
            age_s,
            rows_max,
        )
        if purged:
            await conn.execute(
                "DELETE FROM delivery_passed USING delivery_check AS counted WHERE counted.side = 'in'"
                " AND counted.stream = delivery_passed.stream AND delivery_passed.seq <= counted.floor_seq"
            )
        return purged

    # -- parked

    async def park(self, conn: Connection, stream: str, epoch: int, rows: Sequence[ParkedRow]) -> None:
        await conn.executemany(
            """
            INSERT INTO delivery_parked
                (stream, epoch, seq, event_id, event_key, kind, body, reason, detail, attempts)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            """,
            [(stream, epoch, *row) for row in rows],
        )

    async def parked_keys(self, conn: Connection, stream: str, keys: Sequence[str]) -> set[str]:
        rows = await conn.fetch(
            "SELECT DISTINCT event_key FROM delivery_parked WHERE stream = $1 AND event_key = ANY($2::text[])",
            stream,
            keys,
        )
        return {row[0] for row in rows}

    async def parked_count(self, conn: Connection, stream: str) -> int:
        return cast(int, await conn.fetchval("SELECT count(*) FROM delivery_parked WHERE stream = $1", stream))

    # -- what handlers have asked

    async def settle(self, conn: Connection) -> None:
        """Whoever asks asyncpg waits for the answer."""
