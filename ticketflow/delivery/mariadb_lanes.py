"""Lanes in MariaDB (aiomysql). See postgres_lanes.py, method for method."""

from collections.abc import Sequence

from ticketflow.delivery.dialect import OutboxRow, StagedRow, StreamState
from ticketflow.delivery.lanes import LaneState, numbered, streams_of
from ticketflow.delivery.mariadb_driver import Connection, fetch, insert, write
from ticketflow.delivery.mariadb_outbox import stamped

_NOW_US = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
# The slot stands in the index that is read: other lanes' rows are passed over without a look at the table.
_WAITING = (
    "SELECT position, body FROM delivery_outbox FORCE INDEX (delivery_outbox_waiting)"
    " WHERE stream = %s AND seq IS NULL AND slot IN %s ORDER BY position LIMIT %s"
)


class MariaDBLanes:
    async def lane_has_unstamped(self, conn: Connection, family: str, slots: Sequence[int]) -> bool:
        return bool(await fetch(conn, _WAITING, (family, list(slots), 1)))

    async def stamp_lane(
        self, conn: Connection, family: str, stream: str, slots: Sequence[int], after_seq: int, rows_max: int
    ) -> list[OutboxRow] | None:
        # As in ``stamp``: a plain read, then the rows by their primary key.
        waiting = await fetch(conn, _WAITING, (family, list(slots), rows_max))
        if not waiting:
            return []
        return await stamped(conn, stream, after_seq, waiting)

    async def lane_states(self, conn: Connection, family: str) -> list[LaneState]:
        rows = await fetch(
            conn,
            "SELECT stream, lanes, last_seq, acked_seq, EXISTS ("
            "SELECT 1 FROM delivery_outbox AS o WHERE o.stream = s.stream AND seq IS NOT NULL"
            ") FROM delivery_stream AS s WHERE stream IN %s",
            (streams_of(family),),
        )
        found = {stream: (lanes, last_seq, acked_seq, bool(kept)) for stream, lanes, last_seq, acked_seq, kept in rows}
        return [LaneState(lane, *found[lane.stream]) for lane in numbered(family, list(found))]

    async def lock_lanes(self, conn: Connection, family: str) -> dict[str, StreamState]:
        rows = await fetch(
            conn,
            "SELECT stream, epoch, last_seq, acked_seq, lanes, barrier_seq, barrier_due FROM delivery_stream"
            " WHERE stream IN %s ORDER BY stream FOR UPDATE",
            (streams_of(family),),
        )
        found = {row[0]: StreamState(*row[1:]) for row in rows}
        return {lane.stream: found[lane.stream] for lane in numbered(family, list(found))}

    async def set_lanes(self, conn: Connection, stream: str, lanes: int, last_seq: int, barrier_due: str) -> bool:
        return (
            await write(
                conn,
                "UPDATE delivery_stream SET lanes = %s, barrier_due = %s WHERE stream = %s AND last_seq = %s",
                (lanes, barrier_due, stream, last_seq),
            )
            == 1
        )

    async def stage_barrier(self, conn: Connection, stream: str, seq: int, row: StagedRow, requires: str) -> None:
        await insert(
            conn,
            "INSERT INTO delivery_outbox (stream, event_id, event_key, kind, body, seq)",
            [(stream, *row, seq)],
        )
        await insert(conn, "INSERT INTO delivery_lane_barrier (stream, seq, requires)", [(stream, seq, requires)])
        await write(
            conn, "UPDATE delivery_stream SET barrier_seq = %s, barrier_due = '' WHERE stream = %s", (seq, stream)
        )

    async def next_barrier(self, conn: Connection, stream: str, after_seq: int) -> tuple[int, str] | None:
        rows = await fetch(
            conn,
            "SELECT seq, requires FROM delivery_lane_barrier WHERE stream = %s AND seq > %s ORDER BY seq LIMIT 1",
            (stream, after_seq),
        )
        return (rows[0][0], rows[0][1]) if rows else None

    async def purge_barriers(self, conn: Connection, stream: str, upto_seq: int) -> None:
        await write(conn, "DELETE FROM delivery_lane_barrier WHERE stream = %s AND seq <= %s", (stream, upto_seq))

    async def acked_seqs(self, conn: Connection, streams: Sequence[str]) -> dict[str, int]:
        rows = await fetch(conn, "SELECT stream, acked_seq FROM delivery_stream WHERE stream IN %s", (list(streams),))
        return {row[0]: row[1] for row in rows}

    async def watermarks(self, conn: Connection, streams: Sequence[str]) -> dict[str, int]:
        rows = await fetch(
            conn, "SELECT stream, watermark FROM delivery_inbox_stream WHERE stream IN %s", (list(streams),)
        )
        return {row[0]: row[1] for row in rows}

    async def hand_lease_on(self, conn: Connection, name: str, to: str, blocker: str) -> None:
        await write(
            conn,
            f"INSERT INTO delivery_lease (name, owner, token, expires_at) VALUES (%s, %s, {_NOW_US}, '9999-01-01')"  # noqa: S608
            " ON DUPLICATE KEY UPDATE owner = VALUES(owner), token = token + 1, expires_at = VALUES(expires_at)",
            (name, blocker),
        )
        token: int = (await fetch(conn, "SELECT token FROM delivery_lease WHERE name = %s", (name,)))[0][0]
        await write(
            conn,
            "INSERT INTO delivery_lease (name, owner, token, expires_at) VALUES (%s, '', %s, UTC_TIMESTAMP(6))"
            " ON DUPLICATE KEY UPDATE owner = '', token = GREATEST(token, VALUES(token)),"
            " expires_at = UTC_TIMESTAMP(6)",
            (to, token),
        )

    async def meet_replicas(
        self, conn: Connection, family: str, owner: str, held: int, seen_s: float
    ) -> list[tuple[str, int]]:
        await write(
            conn,
            "INSERT INTO delivery_replica (stream, owner, held, seen_at) VALUES (%s, %s, %s, UTC_TIMESTAMP(6))"
            " ON DUPLICATE KEY UPDATE held = VALUES(held), seen_at = VALUES(seen_at)",
            (family, owner, held),
        )
        await write(
            conn,
            "DELETE FROM delivery_replica WHERE stream = %s AND seen_at < UTC_TIMESTAMP(6) - INTERVAL 1 HOUR",
            (family,),
        )
        rows = await fetch(
            conn,
            "SELECT owner, held FROM delivery_replica"
            " WHERE stream = %s AND seen_at > UTC_TIMESTAMP(6) - INTERVAL %s SECOND ORDER BY owner",
            (family, seen_s),
        )
        return [(row[0], row[1]) for row in rows]
