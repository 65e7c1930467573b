"""The order book: one order with its payments, read under its lock and written back with guards."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.ledger.causes import Purchase
from billing.orders.rules import Decision, Order, Payment
from billing.orders.states import OrderState, PaymentState
from billing.store import keys
from billing.store.texts import by_id
from billing.store.times import of_us, to_us
from ticketflow.runtime.errors import Retryable
from ticketflow.runtime.mariadb import Check, Result, dicts, execute, query
from ticketflow.runtime.mariadb_text import filled

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
LOCK = """
    SELECT order_id, event_id, buyer_id, total_minor, currency, state, closing, version, expires_at
    FROM orders FORCE INDEX (PRIMARY) WHERE order_id IN %s ORDER BY order_id FOR UPDATE"""
PAYMENTS = """
    SELECT order_id, payment_id, state, amount_minor, credits_minor, method, provider, started_at
    FROM payments FORCE INDEX (payments_order) WHERE order_id IN %s ORDER BY order_id, started_at"""
NOW = "SELECT UTC_TIMESTAMP(6)"

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


async def lock(conn: Conn, order_id: str) -> Record | None:
    """The order and its payments; its row stays locked until the transaction ends. None: there is no such order."""
    return (await lock_all(conn, [order_id])).get(order_id)


async def lock_all(conn: Conn, order_ids: Collection[str], *, skip_locked: bool = False) -> dict[str, Record]:
    """The same for many orders, by id, locked in order of id; without those that there are not, nor, with
    ``skip_locked``, those that another transaction has locked."""
    if not order_ids:
        return {}
    ids = sorted(order_ids)
    # In one packet: the others are carried out when the first has its locks, and the clock is that moment's.
    lock = filled(LOCK, (ids,), conn.escape) + (" SKIP LOCKED" if skip_locked else "")
    return _records(*await conn.ask_all([lock, filled(PAYMENTS, (ids,), conn.escape), NOW]))


def _records(locked: Result, paid: Result, clock: Result) -> dict[str, Record]:
    payments: dict[str, list[dict[str, Any]]] = {}
    for row in dicts(paid):
        payments.setdefault(row["order_id"], []).append(row)
    now = clock.rows[0][0]
    return {row["order_id"]: _record(row, payments.get(row["order_id"], ()), now) for row in dicts(locked)}


def _record(row: Mapping[str, Any], payments: Sequence[Mapping[str, Any]], now: datetime) -> Record:
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


async def claim_and_lock(
    conn: Conn, order_id: str, *, scope: str, key: str, fingerprint: bytes, payment_id: str
) -> Record | None:
    """``keys.claim``, then ``lock``, in one packet. Raises KeyTaken."""
    claim = filled(keys.CLAIM, (scope, key, fingerprint, payment_id), conn.escape)
    locks = [filled(one, ([order_id],), conn.escape) for one in (LOCK, PAYMENTS)]
    with keys.claiming():
        _, locked, paid, clock = await conn.ask_all([claim, *locks, NOW])
    return _records(locked, paid, clock).get(order_id)


async def totals_minor(conn: Conn, order_ids: Collection[str]) -> dict[str, int]:
    """By order, without those that there are not."""
    if not order_ids:
        return {}
    rows = await query(conn, "SELECT order_id, total_minor FROM orders WHERE order_id IN %s", (sorted(order_ids),))
    return {row["order_id"]: row["total_minor"] for row in rows}


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


async def save(
    conn: Conn,
    made: Sequence[tuple[Record, Decision]],
    *,
    authorization_ids: Mapping[str, str] | None = None,
    recheck: Collection[str] = (),
) -> None:
    """Writes what has changed since ``lock``, of different orders; what changes alike in one statement.
    ``authorization_ids``: what the provider calls payments, by id. ``recheck``: orders of which a failed or voided
    payment may yet turn up at the provider. Raises Retryable when a guard does not hold, which only another node's
    writer can cause; with ``Together`` when that is sent."""
    known = authorization_ids or {}
    payments: dict[tuple[PaymentState, PaymentState, str | None, float | None], list[str]] = {}
    orders: dict[tuple[OrderState, str | None, bool, int], list[str]] = {}
    for record, decision in made:
        after = decision.order
        reasons = {fact.payment_id: fact.reason for fact in decision.facts if fact.reason is not None}
        for old in record.order.payments:
            new = after.payment(old.payment_id)
            if new is None or new.state is old.state:
                continue
            late = new.redirect and new.card_minor > 0  # its page may still take money
            again = late or record.order_id in recheck
            due_s = RECHECK_S if again and not new.live else DUE_S.get(new.state)
            move = (old.state, new.state, reasons.get(old.payment_id), due_s)
            payments.setdefault(move, []).append(old.payment_id)
        ended = after.state is not record.order.state
        orders.setdefault((after.state, after.closing, ended, record.version), []).append(record.order_id)
    for (before, state, reason, due_s), payment_ids in payments.items():
        told = {payment_id: known[payment_id] for payment_id in payment_ids if payment_id in known}
        learnt, values = by_id("payment_id", told)
        await conn.ask(
            f"""
            UPDATE payments
            SET state = %s, reason = COALESCE(%s, reason), authorization_id = COALESCE(authorization_id, {learnt}),
                changed_at = UTC_TIMESTAMP(6), due_at = UTC_TIMESTAMP(6) + INTERVAL %s SECOND, attempts = 0
            WHERE payment_id IN %s AND state = %s
            """,  # noqa: S608  place holders
            (state, reason, *values, due_s, payment_ids, before),
            check=_guard(payment_ids, f"is no longer {before}"),
        )
    for (order_state, closing, ended, version), order_ids in orders.items():
        await conn.ask(
            """
            UPDATE orders
            SET state = %s, closing = %s, version = version + 1, ended_at = IF(%s, UTC_TIMESTAMP(6), ended_at)
            WHERE order_id IN %s AND version = %s
            """,
            (order_state, closing, ended, order_ids, version),
            check=_guard(order_ids, f"is no longer at version {version}"),
        )


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


def _guard(ids: Sequence[str], message: str) -> Check:
    def check(result: Result) -> None:
        if result.affected != len(ids):
            raise Retryable(f"one of {len(ids)}, {ids[0]} the first, {message}")

    return check
