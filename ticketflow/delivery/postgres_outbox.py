"""The sending end in Postgres (asyncpg): outbox, stream, lease. See mariadb_outbox.py, method for method.

How rows are stamped, and how that is planned, stands in schema/postgres/0005_stamping.sql.
"""

from collections.abc import Sequence
from typing import Any

from ticketflow.delivery.dialect import OutboxRow, StagedRow, StreamState
from ticketflow.delivery.postgres_driver import Connection, count

_STATE = "SELECT epoch, last_seq, acked_seq, lanes, barrier_seq, barrier_due FROM delivery_stream"


def stamped(rows: Sequence[Any]) -> list[OutboxRow] | None:
    """What a statement that stamps returns: seq, body, whether last_seq was moved."""
    if rows and not rows[0][2]:
        return None
    return [OutboxRow(row[0], row[1]) for row in rows]


class PostgresOutbox:
    # -- outbox

    async def stage(self, conn: Connection, stream: str, rows: Sequence[StagedRow]) -> None:
        await conn.execute(
            """
            INSERT INTO delivery_outbox (stream, event_id, event_key, kind, body)
            SELECT $1, event_id, event_key, kind, body
            FROM unnest($2::uuid[], $3::text[], $4::text[], $5::bytea[])
                WITH ORDINALITY AS rows (event_id, event_key, kind, body, n)
            ORDER BY n
            """,
            stream,
            [row.event_id for row in rows],
            [row.key for row in rows],
            [row.kind for row in rows],
            [row.body for row in rows],
        )

    async def has_unstamped(self, conn: Connection, stream: str) -> bool:
        return bool(
            await conn.fetchval(
                "SELECT EXISTS (SELECT 1 FROM delivery_outbox WHERE stream = $1 AND seq IS NULL)", stream
            )
        )

    async def stamp(self, conn: Connection, stream: str, after_seq: int, rows_max: int) -> list[OutboxRow] | None:
        return stamped(await conn.fetch("SELECT * FROM delivery_stamp($1, $2, $3)", stream, after_seq, rows_max))

    async def stamp_at_once(
        self, conn: Connection, lease: str, token: int, stream: str, seen: StreamState, rows_max: int
    ) -> list[OutboxRow] | None:
        rows = await conn.fetch(
            "SELECT * FROM delivery_stamp_at_once($1, $2, $3, $4, $5, $6)",
            lease,
            token,
            stream,
            seen.epoch,
            seen.last_seq,
            rows_max,
        )
        if rows[0][0] is None:
            return [] if rows[0][3] else None
        return stamped(rows)

    async def read(self, conn: Connection, stream: str, after_seq: int, upto_seq: int) -> list[OutboxRow]:
        rows = await conn.fetch(
            "SELECT seq, body FROM delivery_outbox WHERE stream = $1 AND seq > $2 AND seq <= $3 ORDER BY seq",
            stream,
            after_seq,
            upto_seq,
        )
        return [OutboxRow(row[0], row[1]) for row in rows]

    async def oldest_rows(self, conn: Connection, stream: str, age_s: float, rows_max: int) -> list[tuple[int, bool]]:
        rows = await conn.fetch(
            """
            SELECT kept.seq, kept.created_at < clock_timestamp() - make_interval(secs => $2)
            FROM delivery_outbox AS kept, (
                SELECT min(seq) AS seq FROM delivery_outbox WHERE stream = $1 AND seq IS NOT NULL
            ) AS first
            WHERE kept.stream = $1 AND kept.seq BETWEEN first.seq AND first.seq + $3::integer - 1
            ORDER BY kept.seq
            """,
            stream,
            age_s,
            rows_max,
        )
        return [(row[0], row[1]) for row in rows]

    async def purge_outbox(self, conn: Connection, stream: str, upto_seq: int) -> int:
        return count(
            await conn.execute(
                """
                DELETE FROM delivery_outbox WHERE stream = $1 AND seq <= $2 AND seq >= (
                    SELECT min(seq) FROM delivery_outbox WHERE stream = $1 AND seq IS NOT NULL
                )
                """,
                stream,
                upto_seq,
            )
        )

    # -- stream, sending end

    async def ensure_stream(self, conn: Connection, stream: str) -> None:
        await conn.execute(
            """
            INSERT INTO delivery_stream (stream, epoch)
            VALUES ($1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
            ON CONFLICT (stream) DO NOTHING
            """,
            stream,
        )

    async def stream_state(self, conn: Connection, stream: str) -> StreamState | None:
        row = await conn.fetchrow(
            "SELECT epoch, last_seq, acked_seq, lanes, barrier_seq, barrier_due FROM delivery_stream WHERE stream = $1",
            stream,
        )
        return None if row is None else StreamState(*row)

    async def lock_stream(self, conn: Connection, stream: str) -> StreamState:
        row = await conn.fetchrow(f"{_STATE} WHERE stream = $1 FOR UPDATE", stream)
        if row is None:
            raise LookupError(f"stream {stream!r} has no row in delivery_stream")
        return StreamState(*row)

    async def hold_stream(self, conn: Connection, lease: str, token: int, stream: str) -> StreamState | None:
        # They are locked in the order in which FOR UPDATE names them.
        row = await conn.fetchrow(
            """
            SELECT s.epoch, s.last_seq, s.acked_seq, s.lanes, s.barrier_seq, s.barrier_due
            FROM delivery_lease AS l, delivery_stream AS s
            WHERE l.name = $1 AND l.token = $2 AND l.expires_at > clock_timestamp() AND s.stream = $3
            FOR UPDATE OF l, s
            """,
            lease,
            token,
            stream,
        )
        return None if row is None else StreamState(*row)

    async def advance_stream(self, conn: Connection, stream: str, from_seq: int, to_seq: int) -> bool:
        return (
            count(
                await conn.execute(
                    "UPDATE delivery_stream SET last_seq = $3 WHERE stream = $1 AND last_seq = $2",
                    stream,
                    from_seq,
                    to_seq,
                )
            )
            == 1
        )

    async def ack_stream(self, conn: Connection, stream: str, seq: int) -> bool:
        return (
            count(
                await conn.execute(
                    "UPDATE delivery_stream SET acked_seq = $2 WHERE stream = $1 AND acked_seq < $2 AND $2 <= last_seq",
                    stream,
                    seq,
                )
            )
            == 1
        )

    async def rewind_stream(self, conn: Connection, stream: str, seq: int) -> bool:
        return (
            count(
                await conn.execute(
                    "UPDATE delivery_stream SET acked_seq = $2 WHERE stream = $1 AND acked_seq > $2", stream, seq
                )
            )
            == 1
        )

    # -- lease

    async def acquire_lease(self, conn: Connection, name: str, owner: str, ttl_s: float, takeover: bool) -> int | None:
        token: int | None = await conn.fetchval(
            """
            INSERT INTO delivery_lease AS held (name, owner, token, expires_at)
            VALUES ($1, $2, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
                    clock_timestamp() + make_interval(secs => $3))
            ON CONFLICT (name) DO UPDATE
            SET owner = excluded.owner, token = greatest(held.token + 1, excluded.token),
                expires_at = excluded.expires_at
            WHERE held.expires_at <= clock_timestamp() OR ($4 AND held.owner = excluded.owner)
            RETURNING token
            """,
            name,
            owner,
            ttl_s,
            takeover,
        )
        return token

    async def lease_left(self, conn: Connection, name: str) -> float | None:
        left_s: float | None = await conn.fetchval(
            "SELECT extract(epoch FROM expires_at - clock_timestamp())::float8 FROM delivery_lease WHERE name = $1",
            name,
        )
        return left_s

    async def renew_lease(self, conn: Connection, name: str, token: int, ttl_s: float) -> bool:
        return (
            count(
                await conn.execute(
                    """
                UPDATE delivery_lease SET expires_at = clock_timestamp() + make_interval(secs => $3)
                WHERE name = $1 AND token = $2
                """,
                    name,
                    token,
                    ttl_s,
                )
            )
            == 1
        )

    async def release_lease(self, conn: Connection, name: str, token: int) -> bool:
        return (
            count(
                await conn.execute(
                    """
                UPDATE delivery_lease SET token = token + 1, expires_at = clock_timestamp()
                WHERE name = $1 AND token = $2
                """,
                    name,
                    token,
                )
            )
            == 1
        )

    async def hold_lease(self, conn: Connection, name: str, token: int) -> bool:
        held = await conn.fetchval(
            "SELECT 1 FROM delivery_lease WHERE name = $1 AND token = $2 AND expires_at > clock_timestamp() FOR UPDATE",
            name,
            token,
        )
        return held is not None
