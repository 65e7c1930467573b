"""All of the portal's SQL. Every function uses the caller's connection; nothing here commits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Literal
from uuid import UUID

import asyncpg
import msgspec

from portal.projection import Entry, Sale, merge
from ticketflow.events import Ticket
from ticketflow.runtime.postgres import Connection

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DETAIL_CHARS_MAX = 500
HEADS = """
    SELECT order_id, state, buyer_id, event_id, event_name, currency, total_minor,
           expires_at, payment_id, reason, updated_at FROM sales"""

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


async def fold(conn: Connection, views: Mapping[str, Sale]) -> None:
    """Joins ``views``, by order id, into the stored sales. Locks their rows, in order of id."""
    orders = sorted(views)
    if not orders:
        return
    await conn.execute("INSERT INTO sales (order_id) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING", orders)
    rows = await conn.fetch(f"{HEADS} WHERE order_id = ANY($1::uuid[]) ORDER BY order_id FOR UPDATE", orders)
    await _write_heads(conn, [merge(_head(row), views[str(row["order_id"])]) for row in rows])
    await _add_tickets(conn, views.values())
    await _add_history(conn, views.values())


async def sales_of(conn: Connection, buyer_id: str, *, after: str | None, limit: int) -> list[Sale]:
    """A buyer's sales, newest first, those older than ``after``."""
    rows = await conn.fetch(
        f"{HEADS} WHERE buyer_id = $1 AND ($2::uuid IS NULL OR order_id < $2) ORDER BY order_id DESC LIMIT $3",
        buyer_id,
        after,
        limit,
    )
    return await _with_details(conn, [_head(row) for row in rows])


async def sale(conn: Connection, order_id: str) -> Sale | None:
    """One sale, with tickets and history."""
    row = await conn.fetchrow(f"{HEADS} WHERE order_id = $1", order_id)
    return None if row is None else (await _with_details(conn, [_head(row)]))[0]


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


async def _write_heads(conn: Connection, sales: Sequence[Sale]) -> None:
    await conn.execute(
        """
        UPDATE sales SET state = new.state, buyer_id = new.buyer_id, event_id = new.event_id,
            event_name = new.event_name, currency = new.currency, total_minor = new.total_minor,
            expires_at = new.expires_at, payment_id = new.payment_id, reason = new.reason, updated_at = new.updated_at
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::bigint[],
                    $8::timestamptz[], $9::uuid[], $10::text[], $11::timestamptz[])
            AS new (order_id, state, buyer_id, event_id, event_name, currency, total_minor,
                    expires_at, payment_id, reason, updated_at)
        WHERE sales.order_id = new.order_id
        """,
        [sale.order_id for sale in sales],
        [sale.state for sale in sales],
        [sale.buyer_id for sale in sales],
        [sale.event_id for sale in sales],
        [sale.event_name for sale in sales],
        [sale.currency for sale in sales],
        [sale.total_minor for sale in sales],
        [None if sale.expires_at_us is None else time_of(sale.expires_at_us) for sale in sales],
        [sale.payment_id for sale in sales],
        [sale.reason for sale in sales],
        [time_of(sale.updated_at_us) for sale in sales],
    )


async def _add_tickets(conn: Connection, views: Iterable[Sale]) -> None:
    rows = [
        (ticket.ticket_id, view.order_id, ticket.unit_id, ticket.tier, ticket.label)
        for view in views
        for ticket in view.tickets.values()
    ]
    if rows:
        await conn.execute(
            """
            INSERT INTO sale_tickets (ticket_id, order_id, unit_id, tier, label)
            SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[]) ON CONFLICT DO NOTHING
            """,
            *map(list, zip(*rows, strict=True)),
        )


async def _add_history(conn: Connection, views: Iterable[Sale]) -> None:
    rows = [
        (event_id, view.order_id, time_of(entry.at_us), entry.code, entry.reason)
        for view in views
        for event_id, entry in view.history.items()
    ]
    if rows:
        await conn.execute(
            """
            INSERT INTO sale_history (event_id, order_id, at, code, reason)
            SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::text[])
            ON CONFLICT DO NOTHING
            """,
            *map(list, zip(*rows, strict=True)),
        )


async def _with_details(conn: Connection, sales: Sequence[Sale]) -> list[Sale]:
    orders = [sale.order_id for sale in sales]
    tickets: dict[str, dict[str, Ticket]] = {order: {} for order in orders}
    history: dict[str, dict[str, Entry]] = {order: {} for order in orders}
    if orders:
        for row in await conn.fetch(
            """
            SELECT order_id, ticket_id, unit_id, tier, label FROM sale_tickets
            WHERE order_id = ANY($1::uuid[]) ORDER BY label, ticket_id
            """,
            orders,
        ):
            ticket = Ticket(
                ticket_id=str(row["ticket_id"]), unit_id=str(row["unit_id"]), tier=row["tier"], label=row["label"]
            )
            tickets[str(row["order_id"])][ticket.ticket_id] = ticket
        for row in await conn.fetch(
            """
            SELECT order_id, event_id, at, code, reason FROM sale_history
            WHERE order_id = ANY($1::uuid[]) ORDER BY at, event_id
            """,
            orders,
        ):
            history[str(row["order_id"])][str(row["event_id"])] = Entry(_us_of(row["at"]), row["code"], row["reason"])
    return [replace(sale, tickets=tickets[sale.order_id], history=history[sale.order_id]) for sale in sales]


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
        expires_at_us=None if row["expires_at"] is None else _us_of(row["expires_at"]),
        payment_id=_text(row["payment_id"]),
        reason=row["reason"],
        updated_at_us=_us_of(row["updated_at"]),
    )


def time_of(us: int) -> datetime:
    """Exact, unlike a float's. Raises OverflowError beyond the year 9999."""
    return EPOCH + timedelta(microseconds=us)


def _us_of(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1)


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)


def _clean(text: str) -> str:
    """Postgres stores no NUL and no half of a surrogate pair, and what is parked may hold anything."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
