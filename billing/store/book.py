"""The order book: one order with its payments, read under its lock and written back with guards."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.ledger.causes import Purchase
from billing.orders.rules import Code, Decision, Fact, Order, Payment
from billing.orders.states import OrderState, PaymentState
from billing.store.times import of_us, to_us
from ticketflow.events import HoldLine, HoldPlaced, Ticket, new_id
from ticketflow.runtime.errors import Retryable
from ticketflow.runtime.mariadb import execute, query

Conn = Any  # aiomysql has no types

# When a worker must look at a payment that has just come into a state. STARTED: the web process has 5 s for the
# provider and then asks for an earlier look itself; after twice that it is not coming back.
# AUTHORIZED waits for reservation's word, which comes within seconds; after that somebody asks again.
DUE_S = {
    PaymentState.STARTED: 10.0,
    PaymentState.AUTHORIZED: 60.0,
    PaymentState.SETTLED: 0.0,
    PaymentState.VOIDING: 0.0,
}

REDIRECT = "redirect"  # the method of a payment on a page of the provider's
RECHECK_S = 60.0  # a request that the provider had not seen when we asked may still reach it


@dataclass(frozen=True)
class Record:
    """An order under lock. ``now`` was read after the lock was got."""

    order_id: str
    event_id: str
    buyer_id: str
    currency: str
    version: int
    order: Order
    started_at_us: dict[str, int]
    providers: dict[str, str]
    expires_at: datetime
    now: datetime

    @property
    def in_time(self) -> bool:
        """Whether the hold's time is not over."""
        return self.now < self.expires_at

    @property
    def purchase(self) -> Purchase:
        return Purchase(self.order_id, self.event_id, self.buyer_id, self.currency)


async def insert_order(conn: Conn, placed: HoldPlaced, correlation_id: str) -> bool:
    """False when the order is there already."""
    if await query(conn, "SELECT 1 FROM orders WHERE order_id = %s", (placed.hold_id,)):
        return False
    await execute(
        conn,
        """
        INSERT INTO orders
            (order_id, event_id, event_name, buyer_id, total_minor, currency, placed_at, expires_at, correlation_id)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            placed.hold_id,
            placed.event_id,
            placed.event_name,
            placed.buyer_id,
            placed.total_minor,
            placed.currency,
            of_us(placed.placed_at_us),
            of_us(placed.expires_at_us),
            correlation_id,
        ),
    )
    await _insert_lines(conn, placed.hold_id, placed.lines)
    await write_history(conn, placed.hold_id, [Fact(Code.ORDER_PENDING)])
    return True


async def lock(conn: Conn, order_id: str) -> Record | None:
    """The order and its payments; its row stays locked until the transaction ends. None: there is no such order."""
    rows = await query(
        conn,
        """
        SELECT order_id, event_id, buyer_id, total_minor, currency, state, closing, version, expires_at
        FROM orders WHERE order_id = %s FOR UPDATE
        """,
        (order_id,),
    )
    if not rows:
        return None
    payments = await query(
        conn,
        """
        SELECT payment_id, state, amount_minor, credits_minor, method, provider, started_at, UTC_TIMESTAMP(6) AS now
        FROM payments WHERE order_id = %s ORDER BY started_at
        """,
        (order_id,),
    )
    now = payments[0]["now"] if payments else (await query(conn, "SELECT UTC_TIMESTAMP(6) AS now", ()))[0]["now"]
    row = rows[0]
    return Record(
        order_id=row["order_id"],
        event_id=row["event_id"],
        buyer_id=row["buyer_id"],
        currency=row["currency"],
        version=row["version"],
        order=Order(
            total_minor=row["total_minor"],
            state=OrderState(row["state"]),
            closing=row["closing"],
            payments=tuple(
                Payment(
                    payment["payment_id"],
                    PaymentState(payment["state"]),
                    payment["amount_minor"],
                    payment["credits_minor"],
                    payment["method"] == REDIRECT,
                )
                for payment in payments
            ),
        ),
        started_at_us={payment["payment_id"]: to_us(payment["started_at"]) for payment in payments},
        providers={payment["payment_id"]: payment["provider"] for payment in payments},
        expires_at=row["expires_at"],
        now=now,
    )


async def total_minor(conn: Conn, order_id: str) -> int | None:
    """None: there is no such order."""
    rows = await query(conn, "SELECT total_minor FROM orders WHERE order_id = %s", (order_id,))
    return rows[0]["total_minor"] if rows else None


async def insert_payment(
    conn: Conn,
    record: Record,
    payment: Payment,
    *,
    method: str,
    provider: str,
    correlation_id: str,
    traceparent: str | None,
) -> None:
    """A payment that begins at ``record.now``. The unique index refuses a second live one."""
    await execute(
        conn,
        """
        INSERT INTO payments (payment_id, order_id, state, amount_minor, credits_minor, currency, method, provider,
                              started_at, changed_at, due_at, correlation_id, traceparent)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s + INTERVAL %s SECOND, %s, %s)
        """,
        (
            payment.payment_id,
            record.order_id,
            payment.state,
            payment.amount_minor,
            payment.credits_minor,
            record.currency,
            method,
            provider,
            record.now,
            record.now,
            record.now,
            DUE_S[payment.state],
            correlation_id,
            traceparent,
        ),
    )


async def save(conn: Conn, record: Record, decision: Decision, *, authorization_id: str | None, recheck: bool) -> None:
    """Writes what has changed since ``lock``, and its history. ``recheck``: a failed or voided payment may yet turn
    up at the provider. Raises Retryable when a guard does not hold, which only another node's writer can cause."""
    after = decision.order
    reasons = {fact.payment_id: fact.reason for fact in decision.facts if fact.reason is not None}
    for old in record.order.payments:
        new = after.payment(old.payment_id)
        if new is None or new.state is old.state:
            continue
        late = new.redirect and new.card_minor > 0  # its page may still take money
        due_s = RECHECK_S if (recheck or late) and not new.live else DUE_S.get(new.state)
        moved = await execute(
            conn,
            """
            UPDATE payments
            SET state = %s, reason = COALESCE(%s, reason), authorization_id = COALESCE(authorization_id, %s),
                changed_at = UTC_TIMESTAMP(6), due_at = UTC_TIMESTAMP(6) + INTERVAL %s SECOND, attempts = 0
            WHERE payment_id = %s AND state = %s
            """,
            (new.state, reasons.get(old.payment_id), authorization_id, due_s, old.payment_id, old.state),
        )
        _guard(moved, f"payment {old.payment_id} is no longer {old.state}")
    ended = after.state is not record.order.state
    moved = await execute(
        conn,
        """
        UPDATE orders
        SET state = %s, closing = %s, version = version + 1, ended_at = IF(%s, UTC_TIMESTAMP(6), ended_at)
        WHERE order_id = %s AND version = %s
        """,
        (after.state, after.closing, ended, record.order_id, record.version),
    )
    _guard(moved, f"order {record.order_id} is no longer at version {record.version}")
    await write_history(conn, record.order_id, decision.facts)


async def replace_lines(conn: Conn, record: Record, lines: Sequence[HoldLine]) -> None:
    """The order has other places now. Before its tickets are issued."""
    await execute(conn, "DELETE FROM order_lines WHERE order_id = %s", (record.order_id,))
    await _insert_lines(conn, record.order_id, lines)


async def note_redirect(conn: Conn, payment_id: str, url: str, until_us: int) -> None:
    """Where the buyer pays, and until when money may come by that page."""
    await execute(
        conn,
        "UPDATE payments SET redirect_url = %s, redirect_until = %s WHERE payment_id = %s",
        (url, of_us(until_us), payment_id),
    )


async def note_authorization(conn: Conn, payment_id: str, authorization_id: str) -> None:
    """Remembers what the provider calls it. Money set aside for a payment that is over is a worker's work at once."""
    await execute(
        conn,
        """
        UPDATE payments
        SET authorization_id = COALESCE(authorization_id, %s),
            due_at = IF(state IN ('FAILED', 'VOIDED'), UTC_TIMESTAMP(6), due_at)
        WHERE payment_id = %s
        """,
        (authorization_id, payment_id),
    )


async def issue_tickets(conn: Conn, record: Record) -> list[Ticket]:
    """One for each line. The unique key refuses a second one for the same line."""
    lines = await query(
        conn, "SELECT unit_id, tier, label FROM order_lines WHERE order_id = %s ORDER BY position", (record.order_id,)
    )
    tickets = [
        Ticket(ticket_id=new_id(), unit_id=line["unit_id"], tier=line["tier"], label=line["label"]) for line in lines
    ]
    if tickets:
        await _insert(
            conn,
            "tickets (ticket_id, order_id, unit_id, event_id, tier, label)",
            [(t.ticket_id, record.order_id, t.unit_id, record.event_id, t.tier, t.label) for t in tickets],
        )
    return tickets


async def write_history(conn: Conn, order_id: str, facts: Sequence[Fact]) -> None:
    if facts:
        rows = [(order_id, fact.code, fact.payment_id, fact.reason) for fact in facts]
        await _insert(conn, "order_history (order_id, code, payment_id, reason)", rows)


async def _insert_lines(conn: Conn, order_id: str, lines: Sequence[HoldLine]) -> None:
    rows = [
        (order_id, line.unit_id, position, line.tier, line.label, line.price_minor)
        for position, line in enumerate(lines)
    ]
    if rows:
        await _insert(conn, "order_lines (order_id, unit_id, position, tier, label, price_minor)", rows)


async def _insert(conn: Conn, into: str, rows: Sequence[tuple[Any, ...]]) -> None:
    values = "(" + ", ".join(["%s"] * len(rows[0])) + ")"
    statement = f"INSERT INTO {into} VALUES " + ", ".join([values] * len(rows))  # noqa: S608  constants only
    await execute(conn, statement, [field for row in rows for field in row])


def _guard(moved: int, message: str) -> None:
    if moved != 1:
        raise Retryable(message)
