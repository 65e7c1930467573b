"""The SQL that reads sales and sets messages aside. All of it uses the caller's connection; nothing here commits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import msgspec

from portal import store_details
from portal.sale import Sale
from portal.store_heads import COLUMNS, head_of
from ticketflow.runtime.postgres import Connection

DETAIL_CHARS_MAX = 500
HEADS = f"SELECT {COLUMNS} FROM sales"  # noqa: S608 - a constant

ParkReason = Literal["undecodable", "poison", "failed"]


@dataclass(frozen=True)
class Parked:
    """A message that is set aside. ``event_id`` is None when the body is no event."""

    body: bytes
    event_id: str | None
    key: str
    kind: str
    headers: Mapping[str, object]
    reason: ParkReason
    detail: str
    attempts: int


async def sales_of(conn: Connection, buyer_id: str, *, after: str | None, limit: int) -> list[Sale]:
    """A buyer's sales, newest first, those older than ``after``."""
    rows = await conn.fetch(
        f"{HEADS} WHERE buyer_id = $1 AND ($2::uuid IS NULL OR order_id < $2) ORDER BY order_id DESC LIMIT $3",
        buyer_id,
        after,
        limit,
    )
    return await store_details.added_to(conn, [head_of(row) for row in rows])


async def sale(conn: Connection, order_id: str) -> Sale | None:
    """One sale, with its details."""
    row = await conn.fetchrow(f"{HEADS} WHERE order_id = $1", order_id)
    return None if row is None else (await store_details.added_to(conn, [head_of(row)]))[0]


async def park(conn: Connection, rows: Sequence[Parked]) -> None:
    """Sets messages aside. One that is parked already stays as it is; one that has been applied or discarded meanwhile
    is not parked again."""
    await conn.executemany(
        """
        INSERT INTO portal_parked (body_sha256, event_id, event_key, kind, headers, body, reason, detail, attempts)
        SELECT $1::bytea, $2::uuid, $3::text, $4::text, $5::jsonb, $6::bytea, $7::text, $8::text, $9::integer
        WHERE $2::uuid IS NULL OR NOT EXISTS (SELECT 1 FROM delivery_inbox WHERE event_id = $2::uuid)
        ON CONFLICT DO NOTHING
        """,
        [
            (
                sha256(row.body).digest(),
                row.event_id,
                _clean(row.key),
                _clean(row.kind),
                _clean(msgspec.json.encode(dict(row.headers), enc_hook=repr).decode().replace("\\u0000", "")),
                row.body,
                row.reason,
                _clean(row.detail)[:DETAIL_CHARS_MAX],
                row.attempts,
            )
            for row in rows
        ],
    )


async def parked_count(conn: Connection) -> int:
    count = await conn.fetchval("SELECT count(*) FROM portal_parked")
    assert isinstance(count, int)
    return count


def _clean(text: str) -> str:
    """Postgres stores no NUL and no half of a surrogate pair, and what is parked may hold anything."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
