"""The SQL of idempotency keys, except for holds, whose keys are claimed by decide_and_tell (schema/0009).

The claim, the effect and its answer are one transaction, on the primary. A second request with the same key that comes
meanwhile waits at the claim for the first one's end.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from reservation.refusals import Refused
from ticketflow.runtime.errors import Indefinite, Retryable
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.postgres import Connection, PostgresPool
from ticketflow.runtime.retry import retrying

KEPT_S = 48 * 3600  # promised: 24 h; twice that, so that no clock and no outage cuts the promise short
PURGE_ROWS_MAX = 1000  # a transaction of some tens of milliseconds

log = get_logger("idempotency")


class Answered(NamedTuple):
    """``body`` is the JSON of the answer, the same bytes each time."""

    body: bytes
    replayed: bool


async def once(
    pool: PostgresPool, scope: str, key: str, fingerprint: bytes, effect: Callable[[Connection], Awaitable[bytes]]
) -> Answered:
    """The answer to ``key``: that of ``effect``, which runs at most once for it.

    What ``effect`` raises undoes it and leaves the key unused. Raises Refused `idempotency_mismatch`.
    """

    async def attempt() -> Answered:
        async with pool.transaction() as conn:
            return await _once(conn, scope, key, fingerprint, effect)

    try:
        return await retrying(attempt)
    except Indefinite:
        log.warning("commit_unknown", scope=scope)  # the key knows: asking again gives its answer, or does it now
        return await retrying(attempt)


async def _once(
    conn: Connection, scope: str, key: str, fingerprint: bytes, effect: Callable[[Connection], Awaitable[bytes]]
) -> Answered:
    claimed = await conn.fetchval(
        "INSERT INTO idempotency (scope, key, fingerprint) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING true",
        scope,
        key,
        fingerprint,
    )
    if not claimed:
        row = await conn.fetchrow(
            "SELECT fingerprint, answer FROM idempotency WHERE scope = $1 AND key = $2", scope, key
        )
        if row is None:  # purged between the two statements
            raise Retryable("the idempotency key was given up meanwhile")
        if row["fingerprint"] != fingerprint:
            raise Refused("idempotency_mismatch")
        return Answered(row["answer"].encode(), replayed=True)
    body = await effect(conn)
    await conn.execute("UPDATE idempotency SET answer = $3 WHERE scope = $1 AND key = $2", scope, key, body.decode())
    return Answered(body, replayed=False)


async def purge(pool: PostgresPool) -> int:
    """Deletes keys that have been kept long enough; how many. For several purgers at once.

    By where they stand, which the lock keeps: keys are random, and to look each of them up in the index of a million
    reads a page for each.
    """
    async with pool.transaction() as conn:
        status = await conn.execute(
            """
            DELETE FROM idempotency WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM idempotency WHERE created_at < statement_timestamp() - make_interval(secs => $1)
                 ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED))
            """,
            KEPT_S,
            PURGE_ROWS_MAX,
        )
    return int(status.rpartition(" ")[2])
