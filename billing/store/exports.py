"""Reading all there is about an event, page by page.

Each page is a statement of its own, which begins after the last row of the page before: none runs for long, no
connection waits for whoever reads slowly, and a failover in between costs nothing. So an export is not of one moment: a
row is seen as it was when its page was read, and what is written meanwhile may be missing. Entries of the ledger do not
change and are seen whole: what is exported of it balances at any time.

``event_id >= x AND event_id <= x`` and ORDER BY both, with the index named: with ``=`` the optimizer may look up the
event alone, and pass over all pages before this one each time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ticketflow.runtime.mariadb import query

Conn = Any

PAGE = 500  # orders, or entries: some 150 KB of text; making it holds the loop up for some 10 ms


@dataclass(frozen=True)
class Page:
    """``last``: where the next page begins; None: there is none."""

    rows: list[tuple[Any, ...]]
    last: str | int | None


ORDERS: Sequence[str] = (
    "order_id", "event_id", "event_name", "buyer_id", "state", "reason", "places", "tickets", "voided",
    "total_minor", "refunds_minor", "currency",
    "placed_at", "expires_at", "created_at", "ended_at",
)  # fmt: skip
PAYMENTS: Sequence[str] = (
    "payment_id", "order_id", "event_id", "buyer_id", "state", "method", "amount_minor", "credits_minor", "currency",
    "provider", "authorization_id", "reason", "started_at", "changed_at",
)  # fmt: skip
REFUNDS: Sequence[str] = (
    "refund_id", "order_id", "payment_id", "event_id", "buyer_id", "state", "amount_minor", "card_minor",
    "credits_minor", "currency", "provider", "tickets", "seats_back", "reason", "job_id", "requested_at", "changed_at",
    "detail",
)  # fmt: skip
LEDGER: Sequence[str] = (
    "entry_id", "at", "cause", "cause_id", "order_id", "event_id", "line", "account", "amount_minor", "currency",
    "evidence", "note",
)  # fmt: skip


async def orders(conn: Conn, event_id: str, after: str | int | None) -> Page:
    """By order id."""
    rows = await query(
        conn,
        """
        SELECT o.order_id, o.event_id, o.event_name, o.buyer_id, o.state,
               IF(o.state = 'FAILED', o.closing, NULL) AS reason,
               (SELECT COUNT(*) FROM order_lines l WHERE l.order_id = o.order_id) AS places,
               (SELECT COUNT(*) FROM tickets t WHERE t.order_id = o.order_id) AS tickets,
               (SELECT COUNT(t.voided_at) FROM tickets t WHERE t.order_id = o.order_id) AS voided,
               o.total_minor, o.refunds_minor, o.currency, o.placed_at, o.expires_at, o.created_at, o.ended_at
        FROM orders o FORCE INDEX (orders_export)
        WHERE o.event_id >= %s AND o.event_id <= %s AND o.order_id > %s ORDER BY o.event_id, o.order_id LIMIT %s
        """,
        (event_id, event_id, after or "", PAGE),
    )
    return _page(rows, ORDERS, rows[-1]["order_id"] if len(rows) == PAGE else None)


async def payments(conn: Conn, event_id: str, after: str | int | None) -> Page:
    """By order id: a page is of the payments, few each, of so many orders."""
    ids, last = await _orders_of_page(conn, event_id, after)
    if not ids:
        return Page([], None)
    rows = await query(
        conn,
        """
        SELECT p.payment_id, p.order_id, o.event_id, o.buyer_id, p.state, p.method, p.amount_minor, p.credits_minor,
               p.currency, p.provider, p.authorization_id, p.reason, p.started_at, p.changed_at
        FROM payments p JOIN orders o USING (order_id) WHERE p.order_id IN %s ORDER BY p.order_id, p.payment_id
        """,
        (ids,),
    )
    return _page(rows, PAYMENTS, last)


async def refunds(conn: Conn, event_id: str, after: str | int | None) -> Page:
    """By order id, as the payments are. ``tickets``: how many it voided."""
    ids, last = await _orders_of_page(conn, event_id, after)
    if not ids:
        return Page([], None)
    rows = await query(
        conn,
        """
        SELECT r.refund_id, r.order_id, r.payment_id, o.event_id, o.buyer_id, r.state,
               r.card_minor + r.credits_minor AS amount_minor, r.card_minor, r.credits_minor, r.currency, p.provider,
               (SELECT COUNT(*) FROM tickets t WHERE t.refund_id = r.refund_id) AS tickets,
               r.seats_back, r.reason, r.job_id, r.requested_at, r.changed_at, r.detail
        FROM refunds r JOIN orders o USING (order_id) JOIN payments p USING (payment_id)
        WHERE r.order_id IN %s ORDER BY r.order_id, r.refund_id
        """,
        (ids,),
    )
    return _page(rows, REFUNDS, last)


async def ledger(conn: Conn, event_id: str | None, after: str | int | None) -> Page:
    """By entry, its lines together. ``event_id`` None: the whole ledger, with what belongs to no event."""
    entries = "ledger_entries WHERE entry_id > %(after)s ORDER BY entry_id"
    if event_id is not None:
        entries = """
            ledger_entries FORCE INDEX (ledger_entries_event)
            WHERE event_id >= %(event_id)s AND event_id <= %(event_id)s AND entry_id > %(after)s
            ORDER BY event_id, entry_id"""
    rows = await query(
        conn,
        f"""
        SELECT e.entry_id, e.at, e.cause, e.cause_id, e.order_id, e.event_id, p.line, p.account, p.amount_minor,
               e.currency, e.evidence, e.note
        FROM (SELECT * FROM {entries} LIMIT {PAGE}) e
        STRAIGHT_JOIN ledger_postings p USING (entry_id) ORDER BY e.entry_id, p.line
        """,  # noqa: S608  constants only
        {"event_id": event_id, "after": after or 0},
    )
    full = len({row["entry_id"] for row in rows}) == PAGE
    return _page(rows, LEDGER, rows[-1]["entry_id"] if full else None)


async def _orders_of_page(conn: Conn, event_id: str, after: str | int | None) -> tuple[list[str], str | None]:
    """Their ids, and where the next page begins."""
    rows = await query(
        conn,
        """
        SELECT order_id FROM orders FORCE INDEX (orders_export)
        WHERE event_id >= %s AND event_id <= %s AND order_id > %s ORDER BY event_id, order_id LIMIT %s
        """,
        (event_id, event_id, after or "", PAGE),
    )
    ids = [row["order_id"] for row in rows]
    return ids, ids[-1] if len(ids) == PAGE else None


def _page(rows: list[dict[str, Any]], columns: Sequence[str], last: str | int | None) -> Page:
    return Page([tuple(row[column] for column in columns) for row in rows], last)
