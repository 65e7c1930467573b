"""Reading orders for their buyers."""

from collections.abc import Sequence
from typing import Any

from ticketflow.runtime.mariadb import query

Conn = Any
Row = dict[str, Any]


async def order_exists(conn: Conn, order_id: str) -> bool:
    return bool(await query(conn, "SELECT 1 FROM orders WHERE order_id = %s", (order_id,)))


async def orders_there(conn: Conn, order_ids: Sequence[str]) -> list[str]:
    """Those of them that there are."""
    rows = await query(conn, "SELECT order_id FROM orders WHERE order_id IN %s", (list(order_ids),))
    return [row["order_id"] for row in rows]


async def order(conn: Conn, order_id: str) -> Row | None:
    rows = await query(
        conn,
        """
        SELECT order_id, state, closing, event_id, event_name, buyer_id, total_minor, currency, placed_at, expires_at
        FROM orders WHERE order_id = %s
        """,
        (order_id,),
    )
    return rows[0] if rows else None


async def lines(conn: Conn, order_id: str) -> list[Row]:
    return await query(
        conn,
        "SELECT unit_id, tier, label, price_minor FROM order_lines WHERE order_id = %s ORDER BY position",
        (order_id,),
    )


async def payment(conn: Conn, payment_id: str) -> Row | None:
    rows = await query(
        conn,
        """
        SELECT payment_id, order_id, state, method, amount_minor, credits_minor, currency, started_at, redirect_url,
               redirect_until
        FROM payments WHERE payment_id = %s
        """,
        (payment_id,),
    )
    return rows[0] if rows else None


async def payments(conn: Conn, order_id: str) -> list[Row]:
    return await query(
        conn,
        """
        SELECT payment_id, state, method, amount_minor, credits_minor, currency, reason, started_at, changed_at,
               redirect_url, redirect_until
        FROM payments WHERE order_id = %s ORDER BY started_at
        """,
        (order_id,),
    )


async def tickets(conn: Conn, order_id: str) -> list[Row]:
    return await query(
        conn,
        """
        SELECT t.ticket_id, t.unit_id, t.tier, t.label, t.voided_at, t.refund_id
        FROM tickets t JOIN order_lines l USING (order_id, unit_id)
        WHERE order_id = %s ORDER BY l.position
        """,
        (order_id,),
    )


async def history(conn: Conn, order_id: str) -> list[Row]:
    return await query(
        conn,
        "SELECT at, code, payment_id, reason FROM order_history WHERE order_id = %s ORDER BY position",
        (order_id,),
    )
