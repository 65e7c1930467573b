"""Refunds that wait for a worker, and whose turn it is.

Refunds of one payment go one after the other: what the provider says it has given back of the payment, less what those
that are over have brought, then says whether the one under way has been done. Its turn has the one that somebody
has begun (``attempts`` above 0; never two), else the oldest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from billing.store import book, refunds
from billing.store.refunds import REFUNDED, REQUESTED, Refund
from ticketflow.runtime.mariadb import execute, query

Conn = Any

# Of the refund r: none of the same payment goes before it.
_ITS_TURN = """
    NOT EXISTS (SELECT 1 FROM refunds e WHERE e.payment_id = r.payment_id AND e.state = 'REQUESTED'
                AND e.refund_id <> r.refund_id AND r.attempts = 0
                AND (e.attempts > 0 OR (e.requested_at, e.refund_id) < (r.requested_at, r.refund_id)))
"""


@dataclass(frozen=True)
class Taken:
    """A refund that is this worker's for now. ``carried_out_minor``: what all finished refunds of the payment have
    given back by the provider; ``asked_before``: whether the provider may have heard of this one."""

    refund: Refund
    provider: str
    authorization_id: str | None
    carried_out_minor: int
    asked_before: bool


async def due(conn: Conn, rows_max: int) -> list[tuple[str, str]]:
    """Refund and order. Those that somebody asked for one by one go first, so that nobody waits behind the many of a
    cancelled event; those of a cancellation that is paused rest. Read by the index refunds_job, without sorting."""
    found = await _due(conn, "r.job_id IS NULL", (), rows_max)
    if len(found) < rows_max:
        jobs = await query(
            conn,
            """
            SELECT job_id FROM cancellations c WHERE state <> 'PAUSED' AND EXISTS (
                SELECT 1 FROM refunds r WHERE r.job_id = c.job_id AND r.state = 'REQUESTED')
            """,
        )
        for job in jobs:
            found += await _due(conn, "r.job_id = %s", (job["job_id"],), rows_max - len(found))
    return found


async def _due(conn: Conn, whose: str, params: tuple[str, ...], rows_max: int) -> list[tuple[str, str]]:
    if rows_max <= 0:
        return []
    rows = await query(
        conn,
        f"""
        SELECT r.refund_id, r.order_id FROM refunds r FORCE INDEX (refunds_job)
        WHERE {whose} AND r.state = 'REQUESTED' AND r.due_at <= UTC_TIMESTAMP(6) AND {_ITS_TURN} LIMIT %s
        """,  # noqa: S608  constants only
        (*params, rows_max),
    )
    return [(row["refund_id"], row["order_id"]) for row in rows]


async def take(conn: Conn, refund_id: str, order_id: str, for_s: int) -> Taken | None:
    """Makes it this worker's for ``for_s``; None: another one was faster, or it is not its turn."""
    record = await book.lock(conn, order_id)
    if record is None:
        return None
    known = await refunds.of_order(conn, order_id)
    refund = next((one for one in known if one.refund_id == refund_id), None)
    if refund is None or not _has_its_turn(refund, known):
        return None
    taken = await execute(
        conn,
        """
        UPDATE refunds SET due_at = UTC_TIMESTAMP(6) + INTERVAL %s SECOND, attempts = attempts + 1
        WHERE refund_id = %s AND state = 'REQUESTED' AND due_at <= UTC_TIMESTAMP(6)
        """,
        (for_s, refund_id),
    )
    if taken != 1:
        return None
    await refunds.touch_order(conn, record)
    provider, authorization_id = await provider_of(conn, refund.payment_id)
    return Taken(
        replace(refund, attempts=refund.attempts + 1),
        provider,
        authorization_id,
        carried_out_minor=carried_out_by_card(known, refund.payment_id),
        asked_before=refund.attempts > 0 or refund.detail is not None,
    )


async def provider_of(conn: Conn, payment_id: str) -> tuple[str, str | None]:
    """Who has taken the card's part of a payment, and what it is called there."""
    rows = await query(conn, "SELECT provider, authorization_id FROM payments WHERE payment_id = %s", (payment_id,))
    return rows[0]["provider"], rows[0]["authorization_id"]


def carried_out_by_card(known: Sequence[Refund], payment_id: str) -> int:
    """What the finished refunds of a payment have given back by its provider."""
    return sum(one.card_minor for one in known if one.payment_id == payment_id and one.state == REFUNDED)


def undisturbed(known: Sequence[Refund], payment_id: str, expected_minor: int) -> bool:
    """Whether nobody gives back money of this payment right now, or has since that was what had been given back."""
    under_way = any(one.payment_id == payment_id and one.state == REQUESTED and one.attempts > 0 for one in known)
    return not under_way and carried_out_by_card(known, payment_id) == expected_minor


def _has_its_turn(refund: Refund, known: Sequence[Refund]) -> bool:
    waiting = [one for one in known if one.payment_id == refund.payment_id and one.state == REQUESTED]
    begun = [one for one in waiting if one.attempts > 0]
    return refund in (begun or waiting)[:1]


async def waiting(conn: Conn) -> dict[str, tuple[int, float]]:
    """For metrics: how many refunds are REQUESTED and REFUSED, and for how long the oldest of each has been (s)."""
    rows = await query(
        conn,
        """
        SELECT state, COUNT(*) AS n, TIMESTAMPDIFF(MICROSECOND, MIN(changed_at), UTC_TIMESTAMP(6)) / 1000000 AS age_s
        FROM refunds WHERE state IN ('REQUESTED', 'REFUSED') GROUP BY state
        """,
    )
    return {row["state"]: (row["n"], float(row["age_s"])) for row in rows}


async def postpone(conn: Conn, refund: Refund, delay_s: float, detail: str) -> None:
    """Looked at again after ``delay_s``, unless somebody else has gone on with it meanwhile."""
    await execute(
        conn,
        """
        UPDATE refunds SET due_at = UTC_TIMESTAMP(6) + INTERVAL %s SECOND, detail = %s
        WHERE refund_id = %s AND state = 'REQUESTED' AND attempts = %s
        """,
        (delay_s, detail[: refunds.DETAIL_CHARS_MAX], refund.refund_id, refund.attempts),
    )
