"""The receiving end in MariaDB (aiomysql): inbox, parked. See postgres_inbox.py, method for method."""

from collections.abc import Collection, Sequence
from typing import Any

import pymysql.err

from ticketflow.delivery.dialect import Arrival, InboxState, ParkedRow, Taken
from ticketflow.delivery.mariadb_driver import Connection, fetch, insert, write
from ticketflow.runtime.errors import Retryable
from ticketflow.runtime.mariadb_rows import values
from ticketflow.runtime.mariadb_text import filled

LOCK = "SELECT epoch, watermark, fence FROM delivery_inbox_stream WHERE stream = %s FOR UPDATE"
RECORD = "INSERT INTO delivery_inbox (event_id, stream, seq, event_key)"
FEW_PARKED = 32  # keys
PARKED_OF = "SELECT DISTINCT event_key FROM delivery_parked WHERE stream = %s AND event_key IN %s"
PARKED = "SELECT DISTINCT event_key FROM delivery_parked WHERE stream = %s LIMIT %s"


class MariaDBInbox:
    # -- inbox

    async def lock_inbox(self, conn: Connection, stream: str) -> InboxState | None:
        rows = await fetch(conn, LOCK, (stream,))
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
        first = _first(arrivals)
        if not first:
            return set()
        try:  # as it nearly always is; a duplicate undoes the statement and nothing else
            await insert(conn, RECORD, [_row(stream, came) for came in first.values()])
            return set(first)
        except pymysql.err.IntegrityError:
            pass
        known = {
            row[0]
            for row in await fetch(conn, "SELECT event_id FROM delivery_inbox WHERE event_id IN %s", (list(first),))
        }
        new = [_row(stream, came) for came in first.values() if came.event_id not in known]
        if new:
            try:
                await insert(conn, RECORD, new)
            except pymysql.err.IntegrityError as error:
                raise Retryable("another transaction recorded one of these events") from error
        return {row[0] for row in new}

    async def take(self, conn: Connection, stream: str, family: str, arrivals: Sequence[Arrival]) -> Taken | None:
        # In one packet: each is carried out when the one before it has been, and what is parked is looked up under the
        # lock. The keys are one statement, however many they are: what ends it has recorded none of them.
        first = _first(arrivals)
        keys = {came.key for came in first.values()}
        recording = f"{RECORD} VALUES {values([_row(stream, came) for came in first.values()], conn.escape).text}"
        try:
            position, _, parked = await conn.ask_all(
                [filled(LOCK, (stream,), conn.escape), recording, filled(*_parked(family, keys), conn.escape)]
            )
        except pymysql.err.IntegrityError:  # of the only one of them that writes
            return None
        state = InboxState(*position.rows[0]) if position.rows else None
        return Taken(state, set(first), await self._parked_of(conn, family, keys, parked.rows))

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
        return await self._parked_of(conn, stream, keys, await fetch(conn, *_parked(stream, keys)))

    async def _parked_of(
        self, conn: Connection, stream: str, keys: Collection[str], rows: Sequence[tuple[Any, ...]]
    ) -> set[str]:
        """Which of ``keys`` have events parked, when ``rows`` is the answer to ``_parked``."""
        if len(keys) > FEW_PARKED and len(rows) > FEW_PARKED:
            rows = await fetch(conn, PARKED_OF, (stream, sorted(keys)))
        return {row[0] for row in rows}.intersection(keys)

    async def parked_count(self, conn: Connection, stream: str) -> int:
        return int((await fetch(conn, "SELECT COUNT(*) FROM delivery_parked WHERE stream = %s", (stream,)))[0][0])

    # -- what handlers have asked

    async def settle(self, conn: Connection) -> None:
        await conn.settle()


def _first(arrivals: Sequence[Arrival]) -> dict[str, Arrival]:
    """By id; of one that comes twice, the first."""
    return {arrival.event_id: arrival for arrival in reversed(arrivals)}


def _row(stream: str, came: Arrival) -> tuple[Any, ...]:
    return came.event_id, stream, came.seq, came.key


def _parked(stream: str, keys: Collection[str]) -> tuple[str, tuple[Any, ...]]:
    """To ask for many keys costs more than to be told what there is, which is little, or more than FEW_PARKED."""
    if len(keys) > FEW_PARKED:
        return PARKED, (stream, FEW_PARKED + 1)
    return PARKED_OF, (stream, sorted(keys))
