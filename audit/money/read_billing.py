"""What billing's store says of orders: their lines, payments, tickets, refunds and entries. MariaDB; reads only."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from audit.money.judge_ledger import CORRECTION, correction_id
from audit.money.sides import Cause, Line, Order, Payment, Refund, Ticket
from ticketflow.runtime.mariadb import query

Conn = Any
Row = dict[str, Any]

OF_PAYMENTS = ("freeze", "unfreeze", "capture")
OF_REFUNDS = ("refund", "refund_credits")


async def ids_after(conn: Conn, after: str | None, limit: int, event_id: str | None) -> list[str]:
    """Orders in the order of their ids."""
    of_event = "AND event_id = %(event_id)s" if event_id is not None else ""
    rows = await query(
        conn,
        f"SELECT order_id FROM orders WHERE order_id > %(after)s {of_event} ORDER BY order_id LIMIT %(limit)s",  # noqa: S608
        {"after": after or "", "limit": limit, "event_id": event_id},
    )
    return [row["order_id"] for row in rows]


async def orders(conn: Conn, ids: Sequence[str]) -> dict[str, Order]:
    heads = await _of(conn, ids, ORDERS)
    lines = _grouped(await _of(conn, ids, LINES))
    payments = _grouped(await _of(conn, ids, PAYMENTS))
    tickets = _grouped(await _of(conn, ids, TICKETS))
    refunds = _grouped(await _of(conn, ids, REFUNDS))
    entries = await _entries(
        conn,
        [row["payment_id"] for rows in payments.values() for row in rows],
        [row["refund_id"] for rows in refunds.values() for row in rows],
    )
    return {
        head["order_id"]: _order(
            head,
            [_line(row) for row in lines.get(head["order_id"], ())],
            [_payment(row) for row in payments.get(head["order_id"], ())],
            [_ticket(row) for row in tickets.get(head["order_id"], ())],
            [_refund(row) for row in refunds.get(head["order_id"], ())],
            entries,
        )
        for head in heads
    }


ORDERS = """
    SELECT order_id, event_id, event_name, buyer_id, currency, total_minor, refunds_minor, state, closing, expires_at,
           TIMESTAMPDIFF(MICROSECOND, GREATEST(created_at, COALESCE(ended_at, created_at)), UTC_TIMESTAMP(6)) AS age_us
    FROM orders WHERE order_id IN %s
    """
LINES = """
    SELECT order_id, unit_id, tier, label, price_minor FROM order_lines WHERE order_id IN %s
    ORDER BY order_id, position
    """
PAYMENTS = """
    SELECT order_id, payment_id, state, amount_minor, credits_minor, provider, authorization_id, started_at,
           TIMESTAMPDIFF(MICROSECOND, changed_at, UTC_TIMESTAMP(6)) AS age_us,
           due_at > UTC_TIMESTAMP(6) - INTERVAL 60 SECOND AS watched,
           TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), redirect_until) AS page_left_us
    FROM payments WHERE order_id IN %s ORDER BY order_id, started_at
    """
TICKETS = """
    SELECT order_id, ticket_id, unit_id, voided_at IS NOT NULL AS void, refund_id FROM tickets WHERE order_id IN %s
    ORDER BY order_id, ticket_id
    """
REFUNDS = """
    SELECT order_id, refund_id, payment_id, state, card_minor, credits_minor, seats_back, reason,
           TIMESTAMPDIFF(MICROSECOND, changed_at, UTC_TIMESTAMP(6)) AS age_us
    FROM refunds WHERE order_id IN %s ORDER BY order_id, requested_at, refund_id
    """
ENTRIES = """
    SELECT e.cause, e.cause_id, p.account, p.amount_minor FROM ledger_entries e JOIN ledger_postings p USING (entry_id)
    WHERE e.cause IN %s AND e.cause_id IN %s
    """


async def _of(conn: Conn, ids: Sequence[str], statement: str) -> list[Row]:
    return await query(conn, statement, (list(ids),)) if ids else []


async def _entries(conn: Conn, payments: Sequence[str], refunds: Sequence[str]) -> dict[Cause, dict[str, int]]:
    corrections = [correction_id((cause, id_)) for causes, ids in ((OF_PAYMENTS, payments), (OF_REFUNDS, refunds))
                   for cause in causes for id_ in ids]  # fmt: skip
    found: dict[Cause, dict[str, int]] = {}
    for causes, ids in ((OF_PAYMENTS, payments), (OF_REFUNDS, refunds), ((CORRECTION,), corrections)):
        rows = await query(conn, ENTRIES, (list(causes), list(ids))) if ids else []
        for row in rows:
            lines = found.setdefault((row["cause"], row["cause_id"]), {})
            lines[row["account"]] = lines.get(row["account"], 0) + row["amount_minor"]
    return found


def _grouped(rows: Iterable[Row]) -> Mapping[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["order_id"], []).append(row)
    return found


def _order(
    head: Row,
    lines: list[Line],
    payments: list[Payment],
    tickets: list[Ticket],
    refunds: list[Refund],
    entries: Mapping[Cause, Mapping[str, int]],
) -> Order:
    ids = {payment.payment_id for payment in payments} | {refund.refund_id for refund in refunds}
    causes = [(c, id_) for id_ in ids for c in (*OF_PAYMENTS, *OF_REFUNDS)]
    wanted = [*causes, *((CORRECTION, correction_id(cause)) for cause in causes)]
    ages = [_s(head["age_us"]), *(payment.age_s for payment in payments), *(refund.age_s for refund in refunds)]
    return Order(
        order_id=head["order_id"],
        event_id=head["event_id"],
        event_name=head["event_name"],
        buyer_id=head["buyer_id"],
        currency=head["currency"],
        total_minor=head["total_minor"],
        refunds_minor=head["refunds_minor"],
        state=head["state"],
        closing=head["closing"],
        age_s=min(ages),
        expires_at_us=_us(head["expires_at"]),
        lines=tuple(lines),
        payments=tuple(payments),
        tickets=tuple(tickets),
        refunds=tuple(refunds),
        entries={cause: entries[cause] for cause in wanted if cause in entries},
    )


def _line(row: Row) -> Line:
    return Line(row["unit_id"], row["tier"], row["label"], row["price_minor"])


def _payment(row: Row) -> Payment:
    return Payment(
        payment_id=row["payment_id"],
        state=row["state"],
        amount_minor=row["amount_minor"],
        credits_minor=row["credits_minor"],
        provider=row["provider"],
        authorization_id=row["authorization_id"],
        age_s=_s(row["age_us"]),
        started_at_us=_us(row["started_at"]),
        watched=bool(row["watched"]),
        page_left_s=None if row["page_left_us"] is None else _s(row["page_left_us"]),
    )


def _ticket(row: Row) -> Ticket:
    return Ticket(row["ticket_id"], row["unit_id"], bool(row["void"]), row["refund_id"])


def _refund(row: Row) -> Refund:
    return Refund(
        refund_id=row["refund_id"],
        payment_id=row["payment_id"],
        state=row["state"],
        card_minor=row["card_minor"],
        credits_minor=row["credits_minor"],
        seats_back=bool(row["seats_back"]),
        reason=row["reason"],
        age_s=_s(row["age_us"]),
    )


def _s(us: int) -> float:
    return us / 1e6


def _us(at: datetime) -> int:
    """A DATETIME of this database is UTC."""
    since = at.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds
