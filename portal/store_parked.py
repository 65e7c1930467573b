"""The SQL of the commands on parked messages. Every function uses the caller's connection; nothing here commits."""

import asyncpg

from ticketflow.delivery.parking_dialect import ParkedCount, ParkedEvent, Wanted
from ticketflow.runtime.postgres import Connection

# The id is the beginning of the body's hash: 48 bits, of a table that holds a handful.
_ID = "left(encode(body_sha256, 'hex'), 12)"
_COLUMNS = f"""
    {_ID} AS id, event_id::text, event_key, kind, reason, detail, attempts,
    CASE WHEN headers ->> 'epoch' ~ '^[0-9]{{1,18}}$' THEN (headers ->> 'epoch')::bigint END AS epoch,
    CASE WHEN headers ->> 'seq' ~ '^[0-9]{{1,18}}$' THEN (headers ->> 'seq')::bigint END AS seq,
    extract(epoch FROM clock_timestamp() - parked_at)::float8 AS age_s"""


async def look(conn: Connection, wanted: Wanted, *, stream: str) -> list[ParkedEvent]:
    """Without bodies, in order of parking. ``stream``: what all of them came by."""
    if wanted.stream not in (None, stream):
        return []
    rows = await conn.fetch(
        f"""
        SELECT {_COLUMNS}, ''::bytea AS body FROM portal_parked
        WHERE ($1::text IS NULL OR event_key = $1) AND ($2::text IS NULL OR reason = $2)
        ORDER BY parked_at, body_sha256 LIMIT $3
        """,  # noqa: S608 - constants
        wanted.key,
        wanted.reason,
        wanted.rows_max,
    )
    return [_event(row, stream) for row in rows]


async def find(conn: Connection, target: str, *, stream: str) -> ParkedEvent | None:
    """The first whose id, event id or key is ``target``."""
    row = await conn.fetchrow(
        f"""
        SELECT {_COLUMNS}, body FROM portal_parked
        WHERE {_ID} = $1 OR event_id::text = $1 OR (event_key = $1 AND $1 <> '')
        ORDER BY {_ID} = $1 DESC, coalesce(event_id::text = $1, false) DESC, parked_at, body_sha256 LIMIT 1
        """,  # noqa: S608 - constants
        target,
    )
    return None if row is None else _event(row, stream)


async def locked(conn: Connection, parked_id: str, *, stream: str) -> ParkedEvent | None:
    """The row, locked until the transaction ends; None when it is gone."""
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS}, body FROM portal_parked WHERE {_ID} = $1 FOR UPDATE",  # noqa: S608 - constants
        parked_id,
    )
    return None if row is None else _event(row, stream)


async def unpark(conn: Connection, parked_id: str) -> None:
    await conn.execute(f"DELETE FROM portal_parked WHERE {_ID} = $1", parked_id)  # noqa: S608 - constants


async def note(conn: Connection, event: ParkedEvent) -> None:
    """Reason, detail and attempts, as ``event`` has them."""
    await conn.execute(
        f"UPDATE portal_parked SET reason = $2, detail = $3, attempts = $4 WHERE {_ID} = $1",  # noqa: S608 - constants
        event.id,
        event.reason,
        event.detail,
        event.attempts,
    )


async def counts(conn: Connection, *, stream: str) -> list[ParkedCount]:
    """By reason."""
    rows = await conn.fetch(
        """
        SELECT reason, count(*), extract(epoch FROM clock_timestamp() - min(parked_at))::float8
        FROM portal_parked GROUP BY reason
        """
    )
    return [ParkedCount(stream, *row) for row in rows]


def _event(row: asyncpg.Record, stream: str) -> ParkedEvent:
    return ParkedEvent(**dict(row), stream=stream, behind=0)
