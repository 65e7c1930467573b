"""Refunds: what is given back, of which payment, for which tickets.

Writers lock the order first (book.lock) and write its version: two nodes of a Galera cluster collide there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.orders.rules import Payment
from billing.orders.states import PaymentState
from billing.refunds.rules import PaidOrder, PaidTicket
from billing.refunds.split import NOTHING, Parts
from billing.store import book
from ticketflow.runtime.errors import Retryable
from ticketflow.runtime.mariadb import execute, query

Conn = Any

REQUESTED, REFUNDED, REFUSED = "REQUESTED", "REFUNDED", "REFUSED"

DETAIL_CHARS_MAX = 255

_COLUMNS = """
    refund_id, order_id, payment_id, state, card_minor, credits_minor, currency, reason, seats_back, job_id,
    requested_at, changed_at, attempts, detail, correlation_id
"""


@dataclass(frozen=True)
class Refund:
    """A row. ``attempts``: how often workers have taken it since it was requested, or a person had it tried again;
    ``detail``: what the provider said last, if it ever refused or could not be asked."""

    refund_id: str
    order_id: str
    payment_id: str
    state: str
    card_minor: int
    credits_minor: int
    currency: str
    reason: str
    seats_back: bool
    job_id: str | None
    requested_at: datetime
    changed_at: datetime
    attempts: int
    detail: str | None
    correlation_id: str

    @property
    def parts(self) -> Parts:
        return Parts(self.card_minor, self.credits_minor)

    @property
    def amount_minor(self) -> int:
        return self.card_minor + self.credits_minor


async def paid_order(conn: Conn, record: book.Record) -> tuple[PaidOrder, Payment | None]:
    """What the rules need to know of an order under lock, and the payment that was captured for it."""
    payment = next((p for p in record.order.payments if p.state is PaymentState.CAPTURED), None)
    captured = NOTHING if payment is None else Parts(payment.card_minor, payment.credits_minor)
    tickets = await query(
        conn,
        """
        SELECT t.ticket_id, t.unit_id, l.price_minor, t.voided_at IS NOT NULL AS voided
        FROM tickets t JOIN order_lines l USING (order_id, unit_id) WHERE order_id = %s ORDER BY l.position
        """,
        (record.order_id,),
    )
    known = tuple(
        PaidTicket(row["ticket_id"], row["unit_id"], row["price_minor"], bool(row["voided"])) for row in tickets
    )
    requested = sum((refund.parts for refund in await of_order(conn, record.order_id)), NOTHING)
    return PaidOrder(record.order.state, captured, known, requested), payment


async def insert(
    conn: Conn,
    record: book.Record,
    refund_id: str,
    payment_id: str,
    parts: Parts,
    *,
    reason: str,
    seats_back: bool,
    job_id: str | None,
    correlation_id: str,
) -> None:
    """It is due at once. ``orders.refunds_minor`` grows with it, and its CHECK refuses more than the order's total."""
    await execute(
        conn,
        """
        INSERT INTO refunds (refund_id, order_id, payment_id, state, card_minor, credits_minor, currency, reason,
                             seats_back, job_id, due_at, correlation_id)
        VALUES (%s, %s, %s, 'REQUESTED', %s, %s, %s, %s, %s, %s, UTC_TIMESTAMP(6), %s)
        """,
        (
            refund_id,
            record.order_id,
            payment_id,
            parts.card_minor,
            parts.credits_minor,
            record.currency,
            reason,
            seats_back,
            job_id,
            correlation_id,
        ),
    )
    changed = await execute(
        conn,
        "UPDATE orders SET refunds_minor = refunds_minor + %s, version = version + 1"
        " WHERE order_id = %s AND version = %s",
        (parts.total_minor, record.order_id, record.version),
    )
    _guard(changed, record)


async def void_tickets(conn: Conn, refund_id: str, ticket_ids: Sequence[str]) -> None:
    """Raises Retryable when one of them is not good, which only another node's writer can cause."""
    voided = await execute(
        conn,
        "UPDATE tickets SET voided_at = UTC_TIMESTAMP(6), refund_id = %s WHERE ticket_id IN %s AND voided_at IS NULL",
        (refund_id, list(ticket_ids)),
    )
    if voided != len(ticket_ids):
        raise Retryable("one of these tickets is void already")


async def save_order(conn: Conn, record: book.Record, state: str) -> None:
    """The order's state after a refund has been carried out."""
    changed = await execute(
        conn,
        "UPDATE orders SET state = %s, version = version + 1 WHERE order_id = %s AND version = %s",
        (state, record.order_id, record.version),
    )
    _guard(changed, record)


async def touch_order(conn: Conn, record: book.Record) -> None:
    """Nothing of the order changes; whoever else decides about its refunds at this moment has to begin anew."""
    await save_order(conn, record, record.order.state)


async def finish(conn: Conn, refund: Refund, parts: Parts) -> bool:
    """It has been carried out, by these parts. False: it was over already, or is not what it was."""
    changed = await execute(
        conn,
        """
        UPDATE refunds
        SET state = 'REFUNDED', card_minor = %s, credits_minor = %s, changed_at = UTC_TIMESTAMP(6), due_at = NULL
        WHERE refund_id = %s AND state = %s
        """,
        (parts.card_minor, parts.credits_minor, refund.refund_id, refund.state),
    )
    return changed == 1


async def refuse(conn: Conn, refund: Refund, detail: str) -> bool:
    """The provider will not; a person decides. False: somebody else has gone on with it meanwhile."""
    changed = await execute(
        conn,
        """
        UPDATE refunds SET state = 'REFUSED', changed_at = UTC_TIMESTAMP(6), due_at = NULL, detail = %s
        WHERE refund_id = %s AND state = 'REQUESTED' AND attempts = %s
        """,
        (detail[:DETAIL_CHARS_MAX], refund.refund_id, refund.attempts),
    )
    return changed == 1


async def try_again(conn: Conn, refund_id: str) -> bool:
    """A refused one is due again. Its ``detail`` stays: it has been tried."""
    changed = await execute(
        conn,
        """
        UPDATE refunds
        SET state = 'REQUESTED', changed_at = UTC_TIMESTAMP(6), due_at = UTC_TIMESTAMP(6), attempts = 0
        WHERE refund_id = %s AND state = 'REFUSED'
        """,
        (refund_id,),
    )
    return changed == 1


async def of_order(conn: Conn, order_id: str) -> list[Refund]:
    """The oldest first."""
    rows = await query(
        conn,
        f"SELECT {_COLUMNS} FROM refunds WHERE order_id = %s ORDER BY requested_at, refund_id",  # noqa: S608  a constant
        (order_id,),
    )
    return [_refund(row) for row in rows]


async def read(conn: Conn, refund_id: str) -> Refund | None:
    rows = await query(conn, f"SELECT {_COLUMNS} FROM refunds WHERE refund_id = %s", (refund_id,))  # noqa: S608
    return _refund(rows[0]) if rows else None


async def voided_by_refund(conn: Conn, order_id: str) -> dict[str, list[str]]:
    """The tickets of an order that each refund has voided, by refund."""
    rows = await query(
        conn,
        """
        SELECT t.refund_id, t.ticket_id FROM tickets t JOIN order_lines l USING (order_id, unit_id)
        WHERE order_id = %s AND t.refund_id IS NOT NULL ORDER BY l.position
        """,
        (order_id,),
    )
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["refund_id"], []).append(row["ticket_id"])
    return found


async def good_ticket_left(conn: Conn, order_id: str) -> bool:
    return bool(
        await query(conn, "SELECT 1 FROM tickets WHERE order_id = %s AND voided_at IS NULL LIMIT 1", (order_id,))
    )


async def order_known(conn: Conn, order_id: str) -> bool:
    return bool(await query(conn, "SELECT 1 FROM orders WHERE order_id = %s", (order_id,)))


def _refund(row: dict[str, Any]) -> Refund:
    return Refund(**(row | {"seats_back": bool(row["seats_back"])}))


def _guard(changed: int, record: book.Record) -> None:
    if changed != 1:
        raise Retryable(f"order {record.order_id} is no longer at version {record.version}")
