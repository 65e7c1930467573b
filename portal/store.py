"""All of the portal's SQL. Every function uses the caller's connection; nothing here commits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID

import asyncpg
import msgspec

from portal import store_details
from portal.projection import merge
from portal.sale import Place, Sale
from portal.times import at, time_of, us_of
from ticketflow.runtime.postgres import Connection

DETAIL_CHARS_MAX = 500
_COLUMNS = """order_id, state, buyer_id, event_id, event_name, currency, total_minor, expires_at, payment_id, reason,
    authorized_at, refunded_minor, held, moved_to, updated_at"""
HEADS = f"SELECT {_COLUMNS} FROM sales"  # noqa: S608 - a constant
# Row by row, in the order of the array: a plan for an array, made while the table is empty, walks over it for ever.
LOCKED = f"""SELECT found.* FROM unnest($1::uuid[]) AS wanted (order_id) CROSS JOIN LATERAL (
        SELECT {_COLUMNS} FROM sales WHERE sales.order_id = wanted.order_id OFFSET 0 FOR UPDATE
    ) AS found"""  # noqa: S608 - a constant
# As many rows as the arrays are long, in their order; see _arrays.
_NEW = f"""unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::bigint[],
        $8::timestamptz[], $9::uuid[], $10::text[], $11::timestamptz[], $12::bigint[],
        $13::jsonb[], $14::jsonb[], $15::timestamptz[]) AS new ({_COLUMNS})"""

_decoder = msgspec.json.Decoder(tuple[Place, ...])

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


async def fold(conn: Connection, views: Mapping[str, Sale]) -> list[Sale]:
    """Joins ``views``, by order id, into the stored sales. The sales as they are then, without their details.

    Locks those that are known first, in order of id, and makes the others after that, in the same order: so two at once
    cannot wait for each other. What somebody else makes meanwhile is waited for, and is known the second time.
    """
    left, sales = sorted(views), list[Sale]()
    while left:
        rows = await conn.fetch(LOCKED, left)
        known = [merge(_head(row), views[str(row["order_id"])]) for row in rows]
        if known:
            await _write_heads(conn, known)
        before = {sale.order_id for sale in known}
        made = await _make(conn, [views[order_id] for order_id in left if order_id not in before])
        sales += known + [views[order_id] for order_id in made]
        left = [order_id for order_id in left if order_id not in before and order_id not in made]
    await store_details.add(conn, views.values())
    return sales


async def sales_of(conn: Connection, buyer_id: str, *, after: str | None, limit: int) -> list[Sale]:
    """A buyer's sales, newest first, those older than ``after``."""
    rows = await conn.fetch(
        f"{HEADS} WHERE buyer_id = $1 AND ($2::uuid IS NULL OR order_id < $2) ORDER BY order_id DESC LIMIT $3",
        buyer_id,
        after,
        limit,
    )
    return await store_details.added_to(conn, [_head(row) for row in rows])


async def sale(conn: Connection, order_id: str) -> Sale | None:
    """One sale, with its details."""
    row = await conn.fetchrow(f"{HEADS} WHERE order_id = $1", order_id)
    return None if row is None else (await store_details.added_to(conn, [_head(row)]))[0]


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


async def _make(conn: Connection, sales: Sequence[Sale]) -> set[str]:
    """The ids of those that were not there."""
    if not sales:
        return set()
    rows = await conn.fetch(
        f"""
        INSERT INTO sales ({_COLUMNS}) SELECT * FROM {_NEW} ON CONFLICT DO NOTHING RETURNING order_id::text
        """,  # noqa: S608 - constants
        *_arrays(sales),
    )
    return {row[0] for row in rows}


async def _write_heads(conn: Connection, sales: Sequence[Sale]) -> None:
    await conn.execute(
        f"""
        UPDATE sales SET state = new.state, buyer_id = new.buyer_id, event_id = new.event_id,
            event_name = new.event_name, currency = new.currency, total_minor = new.total_minor,
            expires_at = new.expires_at, payment_id = new.payment_id, reason = new.reason,
            authorized_at = new.authorized_at, refunded_minor = new.refunded_minor,
            held = new.held, moved_to = new.moved_to, updated_at = new.updated_at
        FROM {_NEW} CROSS JOIN LATERAL (SELECT ctid FROM sales WHERE order_id = new.order_id OFFSET 0) AS found
        WHERE sales.ctid = found.ctid
        """,  # noqa: S608 - constants; locked before, so that no row moves
        *_arrays(sales),
    )


def _arrays(sales: Sequence[Sale]) -> list[list[Any]]:
    """One for each of _COLUMNS."""
    return [
        [sale.order_id for sale in sales],
        [sale.state for sale in sales],
        [sale.buyer_id for sale in sales],
        [sale.event_id for sale in sales],
        [sale.event_name for sale in sales],
        [sale.currency for sale in sales],
        [sale.total_minor for sale in sales],
        [at(sale.expires_at_us) for sale in sales],
        [sale.payment_id for sale in sales],
        [sale.reason for sale in sales],
        [at(sale.authorized_at_us) for sale in sales],
        [sale.refunded_minor for sale in sales],
        [_json(sale.held) for sale in sales],
        [_json(sale.moved_to) for sale in sales],
        [time_of(sale.updated_at_us) for sale in sales],
    ]


def _head(row: asyncpg.Record) -> Sale:
    """The sale without its tickets and history."""
    return Sale(
        order_id=str(row["order_id"]),
        state=row["state"],
        buyer_id=row["buyer_id"],
        event_id=_text(row["event_id"]),
        event_name=row["event_name"],
        currency=row["currency"],
        total_minor=row["total_minor"],
        expires_at_us=us_of(row["expires_at"]),
        payment_id=_text(row["payment_id"]),
        reason=row["reason"],
        authorized_at_us=us_of(row["authorized_at"]),
        refunded_minor=row["refunded_minor"],
        held=_places(row["held"]),
        moved_to=_places(row["moved_to"]),
        updated_at_us=us_of(row["updated_at"]),
    )


def _json(places: tuple[Place, ...] | None) -> str | None:
    return None if places is None else msgspec.json.encode(places).decode()


def _places(text: str | None) -> tuple[Place, ...] | None:
    return None if text is None else _decoder.decode(text)


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)


def _clean(text: str) -> str:
    """Postgres stores no NUL and no half of a surrogate pair, and what is parked may hold anything."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
