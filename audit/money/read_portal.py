"""What the portal's store says: the sales as buyers see them. Postgres; reads only."""

from collections.abc import Sequence

from audit.money.sides import Sale, ShownTicket
from ticketflow.runtime.postgres import Connection


async def ids_after(conn: Connection, after: str | None, limit: int, event_id: str | None) -> list[str]:
    """Sales in the order of their ids."""
    rows = await conn.fetch(
        """
        SELECT order_id::text FROM sales
         WHERE ($1::uuid IS NULL OR order_id > $1) AND ($3::uuid IS NULL OR event_id = $3)
         ORDER BY sales.order_id LIMIT $2  -- not by the text above, which is in no index
        """,
        after,
        limit,
        event_id,
    )
    return [row[0] for row in rows]


async def knows_refunds(conn: Connection) -> bool:
    """Whether this portal keeps what was refunded, and which tickets are void: one from before does not."""
    return bool(
        await conn.fetchval(
            """
            SELECT to_regclass('sale_voided') IS NOT NULL AND EXISTS (
                SELECT FROM pg_attribute
                 WHERE attrelid = to_regclass('sales') AND attname = 'refunded_minor' AND NOT attisdropped)
            """
        )
    )


async def sales(conn: Connection, ids: Sequence[str], *, refunds: bool) -> dict[str, Sale]:
    """``refunds``: as ``knows_refunds`` said."""
    void = "EXISTS (SELECT FROM sale_voided AS v WHERE v.ticket_id = t.ticket_id)" if refunds else "false"
    tickets: dict[str, list[ShownTicket]] = {}
    for order_id, *ticket in await conn.fetch(
        f"""
        SELECT t.order_id::text, t.ticket_id::text, t.unit_id::text, {void}
          FROM sale_tickets AS t WHERE t.order_id = ANY ($1::uuid[]) ORDER BY 1, 2
        """,  # noqa: S608  constants
        ids,
    ):
        tickets.setdefault(order_id, []).append(ShownTicket(*ticket))
    rows = await conn.fetch(
        f"""
        SELECT order_id::text, event_id::text, buyer_id, state, total_minor,
               {"refunded_minor" if refunds else "NULL::bigint"},
               extract(epoch FROM clock_timestamp() - updated_at)::float8 AS age_s
          FROM sales WHERE order_id = ANY ($1::uuid[])
        """,  # noqa: S608  constants
        ids,
    )
    return {row[0]: Sale(*(*row, tuple(tickets.get(row[0], ())))) for row in rows}
