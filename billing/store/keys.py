"""Idempotency keys: one row for each, claimed in the transaction of what the request begins."""

from dataclasses import dataclass
from typing import Any

import pymysql.err

from ticketflow.runtime.mariadb import execute, query

Conn = Any

_DUPLICATE = 1062


class KeyTaken(Exception):
    """Another request, or an earlier try of this one, has claimed the key."""


@dataclass(frozen=True)
class Answer:
    """A decided answer: the status, and its JSON (of a problem: code and detail)."""

    status: int
    body: bytes


@dataclass(frozen=True)
class Claimed:
    fingerprint: bytes
    payment_id: str | None
    answer: Answer | None


async def find(conn: Conn, scope: str, key: str) -> Claimed | None:
    rows = await query(
        conn,
        "SELECT fingerprint, payment_id, status, body FROM idempotency WHERE scope = %s AND idem_key = %s",
        (scope, key),
    )
    if not rows:
        return None
    row = rows[0]
    answer = None if row["status"] is None else Answer(row["status"], row["body"])
    return Claimed(row["fingerprint"], row["payment_id"], answer)


async def claim(conn: Conn, scope: str, key: str, fingerprint: bytes, payment_id: str) -> None:
    """Raises KeyTaken, after waiting for whoever is claiming it right now; the transaction must then be rolled back."""
    try:
        await execute(
            conn,
            "INSERT INTO idempotency (scope, idem_key, fingerprint, payment_id) VALUES (%s, %s, %s, %s)",
            (scope, key, fingerprint, payment_id),
        )
    except pymysql.err.IntegrityError as error:
        if error.args[0] == _DUPLICATE:
            raise KeyTaken from error
        raise


async def refuse(conn: Conn, payment_id: str, answer: Answer) -> None:
    """Keeps the answer to a request that began no payment."""
    await execute(
        conn,
        "UPDATE idempotency SET payment_id = NULL, status = %s, body = %s WHERE payment_id = %s",
        (answer.status, answer.body, payment_id),
    )


async def settle(conn: Conn, payment_id: str, answer: Answer) -> None:
    """Keeps the answer unless one is kept already: the first one stands."""
    await execute(
        conn,
        "UPDATE idempotency SET status = %s, body = %s WHERE payment_id = %s AND status IS NULL",
        (answer.status, answer.body, payment_id),
    )


async def free(conn: Conn, payment_id: str) -> None:
    """Nothing has happened under this key: a repeat begins anew."""
    await execute(conn, "DELETE FROM idempotency WHERE payment_id = %s AND status IS NULL", (payment_id,))


async def purge(conn: Conn, age_s: float, rows_max: int) -> int:
    """Deletes keys older than ``age_s``; how many."""
    return await execute(
        conn,
        "DELETE FROM idempotency WHERE created_at < UTC_TIMESTAMP(6) - INTERVAL %s SECOND ORDER BY created_at LIMIT %s",
        (age_s, rows_max),
    )
