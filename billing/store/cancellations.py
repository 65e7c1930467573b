"""Whole events that are refunded: one row for each such job, and the pages of orders it goes through.

``event_id >= x AND event_id <= x`` with the index named: see store/exports.py.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pymysql.err

from ticketflow.runtime.mariadb import execute, query

Conn = Any

RUNNING, PAUSED, DONE = "RUNNING", "PAUSED", "DONE"

_DUPLICATE = 1062
_COLUMNS = """
    job_id, event_id, state, reason, seats_back, after_order, passes, pending, created_at, changed_at, due_at
"""


class AlreadyRunning(Exception):
    """The event has a job that is not done. The transaction must be rolled back."""


@dataclass(frozen=True)
class Job:
    job_id: str
    event_id: str
    state: str
    reason: str
    seats_back: bool
    after_order: str
    passes: int
    pending: int
    created_at: datetime
    changed_at: datetime
    due_at: datetime | None


@dataclass(frozen=True)
class Met:
    """An order of a page. ``good_ticket``: whether it has one; ``pending``: whether money may still come."""

    order_id: str
    pending: bool
    good_ticket: bool


@dataclass(frozen=True)
class Progress:
    orders: int
    seen: int
    pending: int
    requested: int
    refunded: int
    refused: int
    amount_minor: int
    refunded_minor: int
    currency: str | None
    refunded_last_minute: int


async def insert(conn: Conn, job_id: str, event_id: str, reason: str, seats_back: bool) -> None:
    """Raises AlreadyRunning."""
    try:
        await execute(
            conn,
            "INSERT INTO cancellations (job_id, event_id, reason, seats_back) VALUES (%s, %s, %s, %s)",
            (job_id, event_id, reason, seats_back),
        )
    except pymysql.err.IntegrityError as error:
        if error.args[0] == _DUPLICATE:
            raise AlreadyRunning from error
        raise


async def event_known(conn: Conn, event_id: str) -> bool:
    """Whether anybody has ever held a place of it."""
    return bool(await query(conn, "SELECT 1 FROM orders WHERE event_id = %s LIMIT 1", (event_id,)))


async def latest(conn: Conn, event_id: str) -> Job | None:
    rows = await query(
        conn,
        f"SELECT {_COLUMNS} FROM cancellations WHERE event_id = %s"  # noqa: S608  a constant
        " ORDER BY created_at DESC, job_id DESC LIMIT 1",
        (event_id,),
    )
    return _job(rows[0]) if rows else None


async def set_state(conn: Conn, job_id: str, before: str, after: str) -> None:
    """No change when it is not in the state ``before``. What runs again is due at once."""
    await execute(
        conn,
        "UPDATE cancellations SET state = %s, changed_at = UTC_TIMESTAMP(6), due_at = UTC_TIMESTAMP(6)"
        " WHERE job_id = %s AND state = %s",
        (after, job_id, before),
    )


async def due(conn: Conn, jobs_max: int) -> list[Job]:
    rows = await query(
        conn,
        f"""
        SELECT {_COLUMNS} FROM cancellations
        WHERE state = 'RUNNING' AND due_at <= UTC_TIMESTAMP(6) ORDER BY due_at LIMIT %s
        """,  # noqa: S608  a constant
        (jobs_max,),
    )
    return [_job(row) for row in rows]


async def take(conn: Conn, job: Job, for_s: int) -> bool:
    """Makes its next page this worker's for ``for_s``; False when another one was faster."""
    taken = await execute(
        conn,
        "UPDATE cancellations SET due_at = UTC_TIMESTAMP(6) + INTERVAL %s SECOND"
        " WHERE job_id = %s AND state = 'RUNNING' AND due_at <=> %s",
        (for_s, job.job_id, job.due_at),
    )
    return taken == 1


async def scan(conn: Conn, job: Job, orders_max: int) -> list[Met]:
    """The orders after those that have been looked at, by their ids."""
    rows = await query(
        conn,
        """
        SELECT o.order_id, o.state = 'PENDING' AS pending,
               EXISTS (SELECT 1 FROM tickets t WHERE t.order_id = o.order_id AND t.voided_at IS NULL) AS good_ticket
        FROM orders o FORCE INDEX (orders_export)
        WHERE o.event_id >= %s AND o.event_id <= %s AND o.order_id > %s ORDER BY o.event_id, o.order_id LIMIT %s
        """,
        (job.event_id, job.event_id, job.after_order, orders_max),
    )
    return [Met(row["order_id"], bool(row["pending"]), bool(row["good_ticket"])) for row in rows]


async def advance(conn: Conn, job: Job, after_order: str, pending: int) -> None:
    """A page has been looked at. No change when somebody else has moved the cursor meanwhile."""
    await execute(
        conn,
        """
        UPDATE cancellations SET after_order = %s, pending = pending + %s, due_at = UTC_TIMESTAMP(6)
        WHERE job_id = %s AND passes = %s AND after_order = %s AND state <> 'DONE'
        """,
        (after_order, pending, job.job_id, job.passes, job.after_order),
    )


async def end_pass(conn: Conn, job: Job, pause_s: int) -> None:
    """The last page has been looked at; the next pass begins after ``pause_s``. DONE in the same moment in which no
    order of the event is pending, no ticket is good, and no refund of the job is under way."""
    await execute(
        conn,
        """
        UPDATE cancellations
        SET passes = passes + 1, after_order = '', pending = 0, due_at = UTC_TIMESTAMP(6) + INTERVAL %s SECOND
        WHERE job_id = %s AND passes = %s AND after_order = %s AND state <> 'DONE'
        """,
        (pause_s, job.job_id, job.passes, job.after_order),
    )
    rows = await query(
        conn,
        """
        SELECT NOT EXISTS (SELECT 1 FROM orders WHERE event_id = %(event_id)s AND state = 'PENDING')
           AND NOT EXISTS (SELECT 1 FROM refunds WHERE job_id = %(job_id)s AND state = 'REQUESTED')
           AND NOT EXISTS (SELECT 1 FROM tickets WHERE event_id = %(event_id)s AND voided_at IS NULL) AS done
        """,
        {"job_id": job.job_id, "event_id": job.event_id},
    )
    if rows[0]["done"]:
        await execute(
            conn,
            "UPDATE cancellations SET state = 'DONE', changed_at = UTC_TIMESTAMP(6), due_at = NULL"
            " WHERE job_id = %s AND state = 'RUNNING'",
            (job.job_id,),
        )


async def progress(conn: Conn, job: Job) -> Progress:
    """As it stands now; counted, not kept."""
    orders = await query(
        conn,
        """
        SELECT COUNT(*) AS orders, CAST(COALESCE(SUM(order_id <= %s), 0) AS SIGNED) AS seen,
               CAST(COALESCE(SUM(state = 'PENDING'), 0) AS SIGNED) AS pending
        FROM orders WHERE event_id = %s
        """,
        (job.after_order, job.event_id),
    )
    by_state = {
        row["state"]: row
        for row in await query(
            conn,
            """
            SELECT state, COUNT(*) AS n, CAST(SUM(card_minor + credits_minor) AS SIGNED) AS amount_minor,
                   MAX(currency) AS currency,
                   CAST(SUM(changed_at > UTC_TIMESTAMP(6) - INTERVAL 60 SECOND) AS SIGNED) AS lately
            FROM refunds WHERE job_id = %s GROUP BY state
            """,
            (job.job_id,),
        )
    }
    counts = {state: row["n"] for state, row in by_state.items()}
    done = by_state.get("REFUNDED")
    return Progress(
        **orders[0],
        requested=counts.get("REQUESTED", 0),
        refunded=counts.get("REFUNDED", 0),
        refused=counts.get("REFUSED", 0),
        amount_minor=sum(row["amount_minor"] for row in by_state.values()),
        refunded_minor=done["amount_minor"] if done else 0,
        currency=next((row["currency"] for row in by_state.values()), None),
        refunded_last_minute=done["lately"] if done else 0,
    )


async def by_state(conn: Conn) -> dict[str, int]:
    """For metrics: how many jobs are not done."""
    rows = await query(conn, "SELECT state, COUNT(*) AS n FROM cancellations WHERE state <> 'DONE' GROUP BY state")
    return {row["state"]: row["n"] for row in rows}


def _job(row: dict[str, Any]) -> Job:
    return Job(**(row | {"seats_back": bool(row["seats_back"])}))
