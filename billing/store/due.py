"""When the workers have something to do next: the soonest of every kind of row that waits for one, in one look."""

from typing import Any

from ticketflow.runtime.mariadb import query

Conn = Any

# By worker: the table, and the states whose rows wait for it. Each is the first entry of an index (state, due_at).
WAITING = {
    "resolver": ("payments", ("STARTED",)),
    "nudge": ("payments", ("AUTHORIZED",)),
    "capture": ("payments", ("SETTLED",)),
    "void": ("payments", ("VOIDING",)),
    "recheck-failed": ("payments", ("FAILED",)),
    "recheck-voided": ("payments", ("VOIDED",)),
    "refunds": ("refunds", ("REQUESTED",)),
    "cancellations": ("cancellations", ("RUNNING",)),
    "webhooks": ("webhooks", ("RECEIVED", "UNMATCHED")),
    "topups": ("topups", ("STARTED", "RETURNING")),
}
_SOONEST = " UNION ALL ".join(
    f"SELECT '{worker}' AS worker, (SELECT MIN(due_at) FROM {table} WHERE state = '{state}') AS due_at"  # noqa: S608
    for worker, (table, states) in WAITING.items()
    for state in states
)
LOOK = (
    "SELECT worker, TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), MIN(due_at)) / 1000000 AS in_s"  # noqa: S608
    f" FROM ({_SOONEST}) AS soonest WHERE due_at IS NOT NULL GROUP BY worker"
)


async def soonest(conn: Conn) -> dict[str, float]:
    """In how many seconds the first row of each worker is due, below 0 for how long it has been; without those that
    have none."""
    return {row["worker"]: float(row["in_s"]) for row in await query(conn, LOOK)}
