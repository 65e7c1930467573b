"""Lanes in Postgres (asyncpg). See mariadb_lanes.py, method for method."""

from collections.abc import Sequence

from ticketflow.delivery.dialect import OutboxRow, StagedRow, StreamState
from ticketflow.delivery.lanes import LaneState, numbered, streams_of
from ticketflow.delivery.postgres_driver import Connection, count
from ticketflow.delivery.postgres_outbox import stamped

_SLOT = "(get_byte(decode(md5(event_key), 'hex'), 0) & 63)"  # as in the index delivery_outbox_slot
# A look into the index for each slot: other lanes' rows, however many, are not passed over one by one.
_WAITING = f"""
    SELECT position FROM unnest($2::integer[]) AS mine (slot), LATERAL (
        SELECT position FROM delivery_outbox
        WHERE stream = $1 AND seq IS NULL AND {_SLOT} = mine.slot
        ORDER BY position LIMIT $3
    ) AS waiting ORDER BY position LIMIT $3
"""  # noqa: S608


_STAMP = f"""
    WITH stamped AS (
        UPDATE delivery_outbox AS o SET seq = $4::bigint + batch.n, stream = $5
        FROM unnest(ARRAY({_WAITING})) WITH ORDINALITY AS batch (position, n)
        WHERE o.position = batch.position AND o.seq IS NULL RETURNING o.seq, o.body
    ), moved AS (
        UPDATE delivery_stream SET last_seq = (SELECT max(seq) FROM stamped)
        WHERE stream = $5 AND last_seq = $4 AND EXISTS (SELECT FROM stamped) RETURNING last_seq
    )
    SELECT seq, body, EXISTS (SELECT FROM moved) FROM stamped ORDER BY seq
"""  # noqa: S608


class PostgresLanes:
    async def lane_has_unstamped(self, conn: Connection, family: str, slots: Sequence[int]) -> bool:
        return await conn.fetchval(_WAITING, family, slots, 1) is not None

    async def stamp_lane(
        self, conn: Connection, family: str, stream: str, slots: Sequence[int], after_seq: int, rows_max: int
    ) -> list[OutboxRow] | None:
        return stamped(await conn.fetch(_STAMP, family, slots, rows_max, after_seq, stream))

    async def lane_states(self, conn: Connection, family: str) -> list[LaneState]:
        rows = await conn.fetch(
            """
            SELECT stream, lanes, last_seq, acked_seq, EXISTS (
                SELECT 1 FROM delivery_outbox AS o WHERE o.stream = s.stream AND seq IS NOT NULL
            )
            FROM delivery_stream AS s WHERE stream = ANY ($1::text[])
            """,
            streams_of(family),
        )
        found = {row[0]: row for row in rows}
        return [LaneState(lane, *found[lane.stream][1:]) for lane in numbered(family, list(found))]

    async def lock_lanes(self, conn: Connection, family: str) -> dict[str, StreamState]:
        rows = await conn.fetch(
            """
            SELECT s.stream, epoch, last_seq, acked_seq, lanes, barrier_seq, barrier_due
            FROM unnest($1::text[]) WITH ORDINALITY AS names (stream, n) JOIN delivery_stream AS s USING (stream)
            ORDER BY n FOR UPDATE OF s
            """,
            streams_of(family),
        )
        return {row[0]: StreamState(*row[1:]) for row in rows}

    async def set_lanes(self, conn: Connection, stream: str, lanes: int, last_seq: int, barrier_due: str) -> bool:
        return (
            count(
                await conn.execute(
                    "UPDATE delivery_stream SET lanes = $2, barrier_due = $4 WHERE stream = $1 AND last_seq = $3",
                    stream,
                    lanes,
                    last_seq,
                    barrier_due,
                )
            )
            == 1
        )

    async def stage_barrier(self, conn: Connection, stream: str, seq: int, row: StagedRow, requires: str) -> None:
        await conn.execute(
            """
            INSERT INTO delivery_outbox (stream, event_id, event_key, kind, body, seq) VALUES ($1, $2, $3, $4, $5, $6)
            """,
            stream,
            *row,
            seq,
        )
        await conn.execute(
            "INSERT INTO delivery_lane_barrier (stream, seq, requires) VALUES ($1, $2, $3)", stream, seq, requires
        )
        await conn.execute(
            "UPDATE delivery_stream SET barrier_seq = $2, barrier_due = '' WHERE stream = $1", stream, seq
        )

    async def next_barrier(self, conn: Connection, stream: str, after_seq: int) -> tuple[int, str] | None:
        row = await conn.fetchrow(
            "SELECT seq, requires FROM delivery_lane_barrier WHERE stream = $1 AND seq > $2 ORDER BY seq LIMIT 1",
            stream,
            after_seq,
        )
        return None if row is None else (row[0], row[1])

    async def purge_barriers(self, conn: Connection, stream: str, upto_seq: int) -> None:
        await conn.execute("DELETE FROM delivery_lane_barrier WHERE stream = $1 AND seq <= $2", stream, upto_seq)

    async def acked_seqs(self, conn: Connection, streams: Sequence[str]) -> dict[str, int]:
        rows = await conn.fetch("SELECT stream, acked_seq FROM delivery_stream WHERE stream = ANY ($1)", streams)
        return {row[0]: row[1] for row in rows}

    async def watermarks(self, conn: Connection, streams: Sequence[str]) -> dict[str, int]:
        rows = await conn.fetch("SELECT stream, watermark FROM delivery_inbox_stream WHERE stream = ANY ($1)", streams)
        return {row[0]: row[1] for row in rows}

    async def hand_lease_on(self, conn: Connection, name: str, to: str, blocker: str) -> None:
        token: int = await conn.fetchval(
            """
            INSERT INTO delivery_lease AS held (name, owner, token, expires_at)
            VALUES ($1, $2, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, '9999-01-01')
            ON CONFLICT (name) DO UPDATE SET owner = $2, token = held.token + 1, expires_at = '9999-01-01'
            RETURNING token
            """,
            name,
            blocker,
        )
        await conn.execute(
            """
            INSERT INTO delivery_lease AS held (name, owner, token, expires_at) VALUES ($1, '', $2, clock_timestamp())
            ON CONFLICT (name) DO UPDATE
            SET owner = '', token = greatest(held.token, $2), expires_at = clock_timestamp()
            """,
            to,
            token,
        )

    async def meet_replicas(
        self, conn: Connection, family: str, owner: str, held: int, seen_s: float
    ) -> list[tuple[str, int]]:
        await conn.execute(
            """
            INSERT INTO delivery_replica (stream, owner, held, seen_at) VALUES ($1, $2, $3, clock_timestamp())
            ON CONFLICT (stream, owner) DO UPDATE SET held = excluded.held, seen_at = excluded.seen_at
            """,
            family,
            owner,
            held,
        )
        await conn.execute(
            "DELETE FROM delivery_replica WHERE stream = $1 AND seen_at < clock_timestamp() - interval '1 hour'", family
        )
        rows = await conn.fetch(
            """
            SELECT owner, held FROM delivery_replica
            WHERE stream = $1 AND seen_at > clock_timestamp() - make_interval(secs => $2) ORDER BY owner
            """,
            family,
            seen_s,
        )
        return [(row[0], row[1]) for row in rows]
