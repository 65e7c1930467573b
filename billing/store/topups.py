"""Credits that are being bought. A guarded UPDATE gives each top-up that is due to one worker."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from billing.store.times import of_us
from ticketflow.runtime.mariadb import execute, query

Conn = Any

State = Literal["STARTED", "CREDITED", "RETURNING", "RETURNED", "FAILED"]

_COLUMNS = """
    topup_id, buyer_id, state, amount_minor, currency, provider, authorization_id, redirect_url, redirect_until, reason,
    created_at, changed_at, attempts, due_at, correlation_id
"""


@dataclass(frozen=True)
class Topup:
    """``topup_id``: also our reference at the provider. ``authorization_id``: of the money that was credited, or that
    goes back."""

    topup_id: str
    buyer_id: str
    state: State
    amount_minor: int
    currency: str
    provider: str
    authorization_id: str | None
    redirect_url: str | None
    redirect_until: datetime | None
    reason: str | None
    created_at: datetime
    changed_at: datetime
    attempts: int
    due_at: datetime | None
    correlation_id: str


async def insert(
    conn: Conn,
    topup_id: str,
    buyer_id: str,
    *,
    amount_minor: int,
    currency: str,
    provider: str,
    due_s: float,
    correlation_id: str,
) -> None:
    await execute(
        conn,
        """
        INSERT INTO topups (topup_id, buyer_id, state, amount_minor, currency, provider, due_at, correlation_id)
        VALUES (%s, %s, 'STARTED', %s, %s, %s, UTC_TIMESTAMP(6) + INTERVAL %s SECOND, %s)
        """,
        (topup_id, buyer_id, amount_minor, currency, provider, due_s, correlation_id),
    )


async def open_ones(conn: Conn, buyer_id: str) -> int:
    """How many pages a buyer has on which nothing has been paid yet."""
    rows = await query(conn, "SELECT COUNT(*) AS n FROM topups WHERE buyer_id = %s AND state = 'STARTED'", (buyer_id,))
    return int(rows[0]["n"])


async def read(conn: Conn, topup_id: str) -> Topup | None:
    return await _one(conn, topup_id, "")


async def lock(conn: Conn, topup_id: str) -> Topup | None:
    """Its row stays locked until the transaction ends."""
    return await _one(conn, topup_id, "FOR UPDATE")


async def note_redirect(conn: Conn, topup_id: str, url: str, until_us: int, margin_s: float) -> bool:
    """Where the buyer pays; a worker looks ``margin_s`` after the page is over. False: it is no longer STARTED."""
    noted = await execute(
        conn,
        """
        UPDATE topups SET redirect_url = %s, redirect_until = %s, due_at = %s + INTERVAL %s SECOND
        WHERE topup_id = %s AND state = 'STARTED' AND redirect_url IS NULL
        """,
        (url, of_us(until_us), of_us(until_us), margin_s, topup_id),
    )
    return noted == 1


async def move(
    conn: Conn,
    old: Topup,
    state: State,
    *,
    reason: str | None = None,
    authorization_id: str | None = None,
    due_s: float | None = None,
) -> bool:
    """False: it is in another state by now."""
    moved = await execute(
        conn,
        """
        UPDATE topups
        SET state = %s, reason = COALESCE(%s, reason), authorization_id = COALESCE(%s, authorization_id),
            changed_at = UTC_TIMESTAMP(6), due_at = UTC_TIMESTAMP(6) + INTERVAL %s SECOND, attempts = 0
        WHERE topup_id = %s AND state = %s
        """,
        (state, reason, authorization_id, due_s, old.topup_id, old.state),
    )
    return moved == 1


async def due(conn: Conn, rows_max: int) -> list[Topup]:
    """The longest due first."""
    rows = await query(
        conn,
        f"""
        SELECT {_COLUMNS} FROM topups
        WHERE state IN ('STARTED', 'RETURNING') AND due_at <= UTC_TIMESTAMP(6) ORDER BY due_at LIMIT %s
        """,  # noqa: S608  a constant
        (rows_max,),
    )
    return [Topup(**row) for row in rows]


async def take(conn: Conn, one: Topup, for_s: float) -> bool:
    """Makes it this worker's for ``for_s``; False when another one was faster."""
    taken = await execute(
        conn,
        """
        UPDATE topups SET due_at = UTC_TIMESTAMP(6) + INTERVAL %s SECOND, attempts = attempts + 1
        WHERE topup_id = %s AND state = %s AND due_at <=> %s
        """,
        (for_s, one.topup_id, one.state, one.due_at),
    )
    return taken == 1


async def postpone(conn: Conn, one: Topup, delay_s: float) -> None:
    """Looked at again after ``delay_s``, if it still is in that state."""
    await execute(
        conn,
        "UPDATE topups SET due_at = UTC_TIMESTAMP(6) + INTERVAL %s SECOND WHERE topup_id = %s AND state = %s",
        (delay_s, one.topup_id, one.state),
    )


async def waiting(conn: Conn) -> dict[str, tuple[int, float]]:
    """For metrics: by state, how many wait for their buyer (STARTED) or for a worker (RETURNING), and since when the
    longest has been due (s; below zero: it is not yet)."""
    rows = await query(
        conn,
        """
        SELECT state, COUNT(*) AS n,
               TIMESTAMPDIFF(MICROSECOND, MIN(IF(state = 'RETURNING', changed_at, due_at)), UTC_TIMESTAMP(6)) / 1000000
                   AS late_s
        FROM topups WHERE state IN ('STARTED', 'RETURNING') GROUP BY state
        """,
    )
    return {row["state"]: (row["n"], float(row["late_s"])) for row in rows}


async def _one(conn: Conn, topup_id: str, how: str) -> Topup | None:
    rows = await query(conn, f"SELECT {_COLUMNS} FROM topups WHERE topup_id = %s {how}", (topup_id,))  # noqa: S608
    return Topup(**rows[0]) if rows else None
