"""Payments that wait for a worker. Any number of workers may look; a row lock gives each payment to one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.orders.states import PaymentState
from ticketflow.runtime.mariadb import execute, query

Conn = Any

WAITING_FOR_BUYER = "waiting_for_buyer"
REDIRECT_MARGIN_S = 300.0  # what was paid in the page's last second is known by then

COLUMNS = """
    payment_id, order_id, state, amount_minor, credits_minor, provider, authorization_id, attempts,
    TIMESTAMPDIFF(MICROSECOND, started_at, UTC_TIMESTAMP(6)) / 1000000 AS age_s,
    TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), redirect_until) / 1000000 AS redirect_left_s,
    due_at, correlation_id, traceparent
"""


@dataclass(frozen=True)
class Work:
    """A payment that is due. ``age_s``: since it was begun, by the database's clock. ``redirect_left_s``: how long
    money may still come by the provider's page, below zero when no longer; None: there is no page."""

    payment_id: str
    order_id: str
    state: PaymentState
    amount_minor: int
    credits_minor: int
    provider: str
    authorization_id: str | None
    redirect_left_s: float | None
    attempts: int
    age_s: float
    due_at: datetime | None
    correlation_id: str
    traceparent: str | None

    @property
    def card_minor(self) -> int:
        """What the provider takes."""
        return self.amount_minor - self.credits_minor


async def take(conn: Conn, state: PaymentState, rows_max: int, for_s: float) -> list[Work]:
    """Makes those that are due this worker's for ``for_s``, the longest due first, and gives them as they were. What
    another one is just taking is passed over."""
    rows = await query(
        conn,
        f"""
        SELECT {COLUMNS} FROM payments WHERE state = %s AND due_at <= UTC_TIMESTAMP(6)
        ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED
        """,  # noqa: S608  a constant
        (state, rows_max),
    )
    if rows:
        await execute(
            conn,
            """
            UPDATE payments SET due_at = UTC_TIMESTAMP(6) + INTERVAL %s SECOND, attempts = attempts + 1
            WHERE payment_id IN %s
            """,
            (for_s, [row["payment_id"] for row in rows]),
        )
    return [_work(row) for row in rows]


async def of_payment(conn: Conn, payment_id: str) -> Work | None:
    """The payment, due or not. None: there is no such payment."""
    rows = await query(conn, f"SELECT {COLUMNS} FROM payments WHERE payment_id = %s", (payment_id,))  # noqa: S608
    return _work(rows[0]) if rows else None


async def take_one(conn: Conn, work: Work, for_s: float) -> bool:
    """Makes it this worker's for ``for_s``, due or not; False when another one was faster."""
    taken = await execute(
        conn,
        """
        UPDATE payments SET due_at = UTC_TIMESTAMP(6) + INTERVAL %s SECOND, attempts = attempts + 1
        WHERE payment_id = %s AND state = %s AND due_at <=> %s
        """,
        (for_s, work.payment_id, work.state, work.due_at),
    )
    return taken == 1


async def postpone(conn: Conn, payment_id: str, state: PaymentState, delay_s: float | None) -> None:
    """Looked at again after ``delay_s``, if it still is in that state; None: never again."""
    await execute(
        conn,
        "UPDATE payments SET due_at = UTC_TIMESTAMP(6) + INTERVAL %s SECOND WHERE payment_id = %s AND state = %s",
        (delay_s, payment_id, state),
    )


async def waiting(conn: Conn) -> dict[str, tuple[int, float]]:
    """For metrics: of each state that is not final, how many payments stand in it, and the age of the oldest (s).
    STARTED ones whose buyer may still pay on the provider's page are apart (WAITING_FOR_BUYER); after that their age
    counts from its end, and REDIRECT_MARGIN_S that the provider has to tell us."""
    rows = await query(
        conn,
        """
        SELECT IF(state = 'STARTED' AND redirect_until + INTERVAL %(margin_s)s SECOND > UTC_TIMESTAMP(6),
                  %(waiting)s, state) AS standing,
               COUNT(*) AS n,
               TIMESTAMPDIFF(MICROSECOND,
                   MIN(IF(state = 'STARTED' AND redirect_until IS NOT NULL,
                          redirect_until + INTERVAL %(margin_s)s SECOND, changed_at)),
                   UTC_TIMESTAMP(6)) / 1000000 AS age_s
        FROM payments WHERE state IN ('STARTED', 'AUTHORIZED', 'SETTLED', 'VOIDING') GROUP BY standing
        """,
        {"margin_s": REDIRECT_MARGIN_S, "waiting": WAITING_FOR_BUYER},
    )
    return {row["standing"]: (row["n"], float(row["age_s"])) for row in rows}


def _work(row: dict[str, Any]) -> Work:
    left_s = row["redirect_left_s"]
    known = {
        "state": PaymentState(row["state"]),
        "age_s": float(row["age_s"]),
        "redirect_left_s": None if left_s is None else float(left_s),
    }
    return Work(**(row | known))
