"""Idempotency keys: one row for each, claimed in the transaction of what the request begins."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pymysql.err

from billing.store.texts import by_id
from ticketflow.runtime.mariadb import Check, execute, query

Conn = Any

CLAIM = "INSERT INTO idempotency (scope, idem_key, fingerprint, payment_id) VALUES (%s, %s, %s, %s)"

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
    with claiming():
        await execute(conn, CLAIM, (scope, key, fingerprint, payment_id))


@contextmanager
def claiming() -> Iterator[None]:
    """Around CLAIM: a duplicate is KeyTaken."""
    try:
        yield
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
    await settle_all(conn, {payment_id: answer})


async def settle_all(conn: Conn, answers: Mapping[str, Answer], check: Check | None = None) -> None:
    """The same for many; ``check`` is told how many were kept."""
    statuses, first = by_id("payment_id", {payment_id: answer.status for payment_id, answer in answers.items()})
    bodies, second = by_id("payment_id", {payment_id: answer.body for payment_id, answer in answers.items()})
    await conn.ask(
        f"UPDATE idempotency SET status = {statuses}, body = {bodies} WHERE payment_id IN %s AND status IS NULL",  # noqa: S608
        (*first, *second, list(answers)),
        check=check,
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
