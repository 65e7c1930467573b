"""Payments that wait for a worker. Any number of workers may look; a guarded UPDATE gives each payment to one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.states import PaymentState
from ticketflow.runtime.mariadb import execute, query

Conn = Any


@dataclass(frozen=True)
class Work:
    """A payment that is due. ``age_s``: since it was begun, by the database's clock."""

    payment_id: str
    order_id: str
    state: PaymentState
    amount_minor: int
    authorization_id: str | None
    attempts: int
    age_s: float
    due_at: datetime
    correlation_id: str
    traceparent: str | None


async def due(conn: Conn, state: PaymentState, rows_max: int) -> list[Work]:
    """The longest due first."""
    rows = await query(
        conn,
        """
        SELECT payment_id, order_id, state, amount_minor, authorization_id, attempts,
               TIMESTAMPDIFF(MICROSECOND, started_at, UTC_TIMESTAMP(6)) / 1000000 AS age_s,
               due_at, correlation_id, traceparent
        FROM payments WHERE state = %s AND due_at <= UTC_TIMESTAMP(6) ORDER BY due_at LIMIT %s
        """,
        (state, rows_max),
    )
    return [Work(**(row | {"state": PaymentState(row["state"]), "age_s": float(row["age_s"])})) for row in rows]


async def take(conn: Conn, work: Work, for_s: float) -> bool:
    """Makes it this worker's for ``for_s``; False when another one was faster."""
    taken = await execute(
        conn,
        """
        UPDATE payments SET due_at = UTC_TIMESTAMP(6) + INTERVAL %s SECOND, attempts = attempts + 1
        WHERE payment_id = %s AND state = %s AND due_at = %s
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
    """For metrics: of each state that is not final, how many payments stand in it, and the age of the oldest (s)."""
    rows = await query(
        conn,
        """
        SELECT state, COUNT(*) AS n, TIMESTAMPDIFF(MICROSECOND, MIN(changed_at), UTC_TIMESTAMP(6)) / 1000000 AS age_s
        FROM payments WHERE state IN ('STARTED', 'AUTHORIZED', 'SETTLED', 'VOIDING') GROUP BY state
        """,
        (),
    )
    return {row["state"]: (row["n"], float(row["age_s"])) for row in rows}
