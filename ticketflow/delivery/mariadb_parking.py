"""The commands on parked events in MariaDB (aiomysql). See postgres_parking.py, method for method."""

from collections.abc import Sequence
from typing import Any

from ticketflow.delivery.dialect import ParkReason
from ticketflow.delivery.mariadb_driver import Connection, fetch, write
from ticketflow.delivery.parking_dialect import ParkedCount, ParkedEvent, Wanted

_COLUMNS = """
    CAST(position AS CHAR), stream, epoch, seq, event_id, event_key, kind, reason, detail, attempts,
    TIMESTAMPDIFF(MICROSECOND, parked_at, UTC_TIMESTAMP(6)) / 1000000"""
_BEHIND = """(
    SELECT COUNT(*) FROM delivery_parked AS b
    WHERE b.stream = p.stream AND b.event_key = p.event_key AND b.event_key <> '' AND b.position > p.position)"""
_ONE = f"SELECT {_COLUMNS}, {_BEHIND}, body FROM delivery_parked AS p"  # noqa: S608 - constants


class MariaDBParking:
    async def audit(self, conn: Connection, actor: str, action: str, subject: str, detail: str) -> None:
        await write(
            conn,
            "INSERT INTO delivery_audit (actor, action, subject, detail) VALUES (%s, %s, %s, %s)",
            (actor, action, subject, detail),
        )

    async def count_audits(self, conn: Connection, actions: Sequence[str]) -> dict[str, int]:
        rows = await fetch(
            conn,
            "SELECT action, COUNT(*) FROM delivery_audit WHERE action IN %s GROUP BY action",
            (list(actions),),
        )
        return {row[0]: int(row[1]) for row in rows}

    async def hold_parked(self, conn: Connection, stream: str) -> None:
        # A range of the key ("/" follows "."): another condition would lock, and wait for, the rows of other streams.
        rows = await fetch(
            conn,
            """
            SELECT stream FROM delivery_inbox_stream
            WHERE stream = %s OR (stream >= %s AND stream < %s) ORDER BY stream FOR UPDATE
            """,
            (stream, stream + ".", stream + "/"),
        )
        if rows:
            await write(
                conn,
                "UPDATE delivery_inbox_stream SET requeues = requeues + 1 WHERE stream IN %s",
                ([row[0] for row in rows],),
            )

    async def list_parked(self, conn: Connection, wanted: Wanted) -> list[ParkedEvent]:
        rows = await fetch(
            conn,
            f"""
            SELECT {_COLUMNS}, behind, '' FROM (
                SELECT *,
                       CASE WHEN event_key = '' THEN 0
                            ELSE COUNT(*) OVER whole - ROW_NUMBER() OVER in_order END AS behind,
                       CASE WHEN event_key = '' THEN 1 ELSE ROW_NUMBER() OVER in_order END AS place
                FROM delivery_parked
                WHERE (%s IS NULL OR stream = %s) AND (%s IS NULL OR event_key = %s)
                WINDOW whole AS (PARTITION BY stream, event_key),
                       in_order AS (PARTITION BY stream, event_key ORDER BY position)
            ) AS p
            WHERE (%s OR place = 1) AND (%s IS NULL OR reason = %s) ORDER BY p.position LIMIT %s
            """,  # noqa: S608 - constants
            (
                wanted.stream,
                wanted.stream,
                wanted.key,
                wanted.key,
                wanted.every,
                wanted.reason,
                wanted.reason,
                wanted.rows_max,
            ),
        )
        return [_event(row) for row in rows]

    async def find_parked(self, conn: Connection, target: str) -> ParkedEvent | None:
        rows = await fetch(
            conn,
            f"""
            {_ONE} WHERE CAST(position AS CHAR) = %s OR event_id = %s OR (event_key = %s AND %s <> '')
            ORDER BY CAST(position AS CHAR) = %s DESC, COALESCE(event_id = %s, 0) DESC, p.position LIMIT 1
            """,
            (target,) * 6,
        )
        return _event(rows[0]) if rows else None

    async def parked_event(self, conn: Connection, parked_id: str) -> ParkedEvent | None:
        rows = await fetch(conn, f"{_ONE} WHERE position = %s", (int(parked_id),))
        return _event(rows[0]) if rows else None

    async def first_parked(self, conn: Connection, stream: str, key: str) -> str | None:
        rows = await fetch(
            conn,
            "SELECT CAST(MIN(position) AS CHAR) FROM delivery_parked WHERE stream = %s AND event_key = %s",
            (stream, key),
        )
        return None if rows[0][0] is None else str(rows[0][0])

    async def unpark(self, conn: Connection, parked_id: str) -> bool:
        return await write(conn, "DELETE FROM delivery_parked WHERE position = %s", (int(parked_id),)) == 1

    async def identify_parked(self, conn: Connection, parked_id: str, event_id: str, key: str, kind: str) -> bool:
        done = await write(
            conn,
            "UPDATE delivery_parked SET event_id = %s, event_key = %s, kind = %s WHERE position = %s",
            (event_id, key, kind, int(parked_id)),
        )
        return done == 1

    async def note_parked(
        self, conn: Connection, parked_id: str, reason: ParkReason, detail: str, attempts: int
    ) -> bool:
        done = await write(
            conn,
            "UPDATE delivery_parked SET reason = %s, detail = %s, attempts = %s WHERE position = %s",
            (reason, detail, attempts, int(parked_id)),
        )
        return done == 1

    async def count_parked(self, conn: Connection) -> list[ParkedCount]:
        rows = await fetch(
            conn,
            """
            SELECT stream, reason, COUNT(*), TIMESTAMPDIFF(MICROSECOND, MIN(parked_at), UTC_TIMESTAMP(6)) / 1000000
            FROM delivery_parked GROUP BY stream, reason
            """,
        )
        return [ParkedCount(stream, reason, int(events), float(age_s)) for stream, reason, events, age_s in rows]


def _event(row: tuple[Any, ...]) -> ParkedEvent:
    """Decimals are numbers, and an empty body may come as text."""
    return ParkedEvent._make([*row[:10], float(row[10]), int(row[11]), bytes(row[12] or b"")])
