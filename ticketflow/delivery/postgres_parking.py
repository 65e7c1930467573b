"""The commands on parked events in Postgres (asyncpg). See mariadb_parking.py, method for method."""

from collections.abc import Sequence

from ticketflow.delivery.dialect import ParkReason
from ticketflow.delivery.parking_dialect import ParkedCount, ParkedEvent, Wanted
from ticketflow.delivery.postgres_driver import Connection, count

_COLUMNS = """
    position::text, stream, epoch, seq, event_id::text, event_key, kind, reason, detail, attempts,
    extract(epoch FROM clock_timestamp() - parked_at)::float8"""
_BEHIND = """(
    SELECT count(*) FROM delivery_parked AS b
    WHERE b.stream = p.stream AND b.event_key = p.event_key AND b.event_key <> '' AND b.position > p.position)"""
_ONE = f"SELECT {_COLUMNS}, {_BEHIND}, body FROM delivery_parked AS p"  # noqa: S608 - constants


class PostgresParking:
    async def audit(self, conn: Connection, actor: str, action: str, subject: str, detail: str) -> None:
        await conn.execute(
            "INSERT INTO delivery_audit (actor, action, subject, detail) VALUES ($1, $2, $3, $4)",
            actor,
            action,
            subject,
            detail,
        )

    async def count_audits(self, conn: Connection, actions: Sequence[str]) -> dict[str, int]:
        rows = await conn.fetch(
            "SELECT action, count(*) FROM delivery_audit WHERE action = ANY($1::text[]) GROUP BY action", actions
        )
        return {row[0]: row[1] for row in rows}

    async def hold_parked(self, conn: Connection, stream: str) -> None:
        rows = await conn.fetch(
            """
            SELECT stream FROM delivery_inbox_stream
            WHERE stream = $1 OR starts_with(stream, $1 || '.') ORDER BY stream FOR UPDATE
            """,
            stream,
        )
        await conn.execute(
            "UPDATE delivery_inbox_stream SET requeues = requeues + 1 WHERE stream = ANY($1::text[])",
            [row[0] for row in rows],
        )

    async def list_parked(self, conn: Connection, wanted: Wanted) -> list[ParkedEvent]:
        rows = await conn.fetch(
            f"""
            SELECT {_COLUMNS}, behind, ''::bytea FROM (
                SELECT *,
                       CASE WHEN event_key = '' THEN 0
                            ELSE count(*) OVER whole - row_number() OVER in_order END AS behind,
                       CASE WHEN event_key = '' THEN 1 ELSE row_number() OVER in_order END AS place
                FROM delivery_parked
                WHERE ($1::text IS NULL OR stream = $1) AND ($2::text IS NULL OR event_key = $2)
                WINDOW whole AS (PARTITION BY stream, event_key),
                       in_order AS (PARTITION BY stream, event_key ORDER BY position)
            ) AS p
            WHERE ($3 OR place = 1) AND ($4::text IS NULL OR reason = $4) ORDER BY p.position LIMIT $5
            """,  # noqa: S608 - constants
            wanted.stream,
            wanted.key,
            wanted.every,
            wanted.reason,
            wanted.rows_max,
        )
        return [ParkedEvent(*row) for row in rows]

    async def find_parked(self, conn: Connection, target: str) -> ParkedEvent | None:
        row = await conn.fetchrow(
            f"""
            {_ONE} WHERE position::text = $1 OR event_id::text = $1 OR (event_key = $1 AND $1 <> '')
            ORDER BY position::text = $1 DESC, coalesce(event_id::text = $1, false) DESC, p.position LIMIT 1
            """,
            target,
        )
        return None if row is None else ParkedEvent(*row)

    async def parked_event(self, conn: Connection, parked_id: str) -> ParkedEvent | None:
        row = await conn.fetchrow(f"{_ONE} WHERE position = $1", int(parked_id))
        return None if row is None else ParkedEvent(*row)

    async def first_parked(self, conn: Connection, stream: str, key: str) -> str | None:
        row = await conn.fetchrow(
            "SELECT min(position)::text FROM delivery_parked WHERE stream = $1 AND event_key = $2", stream, key
        )
        return None if row is None or row[0] is None else str(row[0])

    async def unpark(self, conn: Connection, parked_id: str) -> bool:
        return count(await conn.execute("DELETE FROM delivery_parked WHERE position = $1", int(parked_id))) == 1

    async def identify_parked(self, conn: Connection, parked_id: str, event_id: str, key: str, kind: str) -> bool:
        done = await conn.execute(
            "UPDATE delivery_parked SET event_id = $2, event_key = $3, kind = $4 WHERE position = $1",
            int(parked_id),
            event_id,
            key,
            kind,
        )
        return count(done) == 1

    async def note_parked(
        self, conn: Connection, parked_id: str, reason: ParkReason, detail: str, attempts: int
    ) -> bool:
        done = await conn.execute(
            "UPDATE delivery_parked SET reason = $2, detail = $3, attempts = $4 WHERE position = $1",
            int(parked_id),
            reason,
            detail,
            attempts,
        )
        return count(done) == 1

    async def count_parked(self, conn: Connection) -> list[ParkedCount]:
        rows = await conn.fetch(
            """
            SELECT stream, reason, count(*), extract(epoch FROM clock_timestamp() - min(parked_at))::float8
            FROM delivery_parked GROUP BY stream, reason
            """
        )
        return [ParkedCount(*row) for row in rows]
