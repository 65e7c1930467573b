"""The receiving end in MariaDB (aiomysql): inbox, parked. See postgres_inbox.py, method for method."""

from collections.abc import Sequence

import pymysql.err

from ticketflow.delivery.dialect import Arrival, InboxState, ParkedRow
from ticketflow.delivery.mariadb_driver import Connection, fetch, insert, write
from ticketflow.runtime.errors import Retryable

RECORD = "INSERT INTO delivery_inbox (event_id, stream, seq, event_key)"
FEW_PARKED = 32  # keys


class MariaDBInbox:
    # -- inbox

    async def lock_inbox(self, conn: Connection, stream: str) -> InboxState | None:
        rows = await fetch(
            conn, "SELECT epoch, watermark, fence FROM delivery_inbox_stream WHERE stream = %s FOR UPDATE", (stream,)
        )
        return InboxState(*rows[0]) if rows else None

    async def ensure_inbox(self, conn: Connection, stream: str, epoch: int, fence: int) -> None:
        await write(
            conn,
            "INSERT INTO delivery_inbox_stream (stream, epoch, fence) VALUES (%s, %s, %s)"
            " ON DUPLICATE KEY UPDATE stream = delivery_inbox_stream.stream",
            (stream, epoch, fence),
        )

    async def adopt_sender(self, conn: Connection, stream: str, epoch: int, fence: int) -> None:
        await write(
            conn, "UPDATE delivery_inbox_stream SET epoch = %s, fence = %s WHERE stream = %s", (epoch, fence, stream)
        )

    async def advance_inbox(self, conn: Connection, stream: str, from_seq: int, to_seq: int) -> bool:
        return (
            await write(
                conn,
                "UPDATE delivery_inbox_stream SET watermark = %s WHERE stream = %s AND watermark = %s",
                (to_seq, stream, from_seq),
            )
            == 1
        )

    async def record(self, conn: Connection, stream: str, arrivals: Sequence[Arrival]) -> set[str]:
        first = {arrival.event_id: arrival for arrival in reversed(arrivals)}  # of an id that comes twice, the first
        if not first:
            return set()
        all_new = [(came.event_id, stream, came.seq, came.key) for came in first.values()]
        try:  # as it nearly always is; a duplicate undoes the statement and nothing else
            await insert(conn, RECORD, all_new)
            return set(first)
        except pymysql.err.IntegrityError:
            pass
        known = {
            row[0]
            for row in await fetch(conn, "SELECT event_id FROM delivery_inbox WHERE event_id IN %s", (list(first),))
        }
        new = [(came.event_id, stream, came.seq, came.key) for came in first.values() if came.event_id not in known]
        if new:
            try:
                await insert(conn, RECORD, new)
            except pymysql.err.IntegrityError as error:
                raise Retryable("another transaction recorded one of these events") from error
        return {row[0] for row in new}

    async def purge_inbox(self, conn: Connection, age_s: float, rows_max: int) -> int:
        gone = await fetch(
            conn,
            "DELETE FROM delivery_inbox WHERE received_at < UTC_TIMESTAMP(6) - INTERVAL %s SECOND"
            " AND NOT EXISTS (SELECT 1 FROM delivery_parked WHERE delivery_parked.event_id = delivery_inbox.event_id)"
            " ORDER BY received_at LIMIT %s RETURNING stream, seq",
            (age_s, rows_max),
        )
        floors: dict[str, int] = {}
        for stream, seq in gone:
            if seq is not None:
                floors[stream] = max(seq, floors.get(stream, 0))
        for stream, seq in sorted(floors.items()):
            await write(
                conn,
                "INSERT INTO delivery_check (side, stream, floor_seq) VALUES ('in', %s, %s)"
                " ON DUPLICATE KEY UPDATE floor_seq = GREATEST(delivery_check.floor_seq, VALUES(floor_seq))",
                (stream, seq),
            )
            await write(conn, "DELETE FROM delivery_passed WHERE stream = %s AND seq <= %s", (stream, seq))
        return len(gone)

    # -- parked

    async def park(self, conn: Connection, stream: str, epoch: int, rows: Sequence[ParkedRow]) -> None:
        if rows:
            await insert(
                conn,
                "INSERT INTO delivery_parked"
                " (stream, epoch, seq, event_id, event_key, kind, body, reason, detail, attempts)",
                [(stream, epoch, *row) for row in rows],
            )

    async def parked_keys(self, conn: Connection, stream: str, keys: Sequence[str]) -> set[str]:
        if not keys:
            return set()
        if len(keys) > FEW_PARKED:  # to ask for so many costs more than to be told what there is, which is little
            rows = await fetch(
                conn,
                "SELECT DISTINCT event_key FROM delivery_parked WHERE stream = %s LIMIT %s",
                (stream, FEW_PARKED + 1),
            )
            if len(rows) <= FEW_PARKED:
                return {row[0] for row in rows}.intersection(keys)
        rows = await fetch(
            conn,
            "SELECT DISTINCT event_key FROM delivery_parked WHERE stream = %s AND event_key IN %s",
            (stream, list(keys)),
        )
        return {row[0] for row in rows}

    async def parked_count(self, conn: Connection, stream: str) -> int:
        return int((await fetch(conn, "SELECT COUNT(*) FROM delivery_parked WHERE stream = %s", (stream,)))[0][0])
