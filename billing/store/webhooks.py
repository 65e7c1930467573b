"""What providers told us: stored as it came, applied later. A guarded UPDATE gives each one to one worker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

from ticketflow.runtime.mariadb import execute, query

Conn = Any

State = Literal["RECEIVED", "APPLIED", "UNMATCHED", "IGNORED"]
WAITING = ("RECEIVED", "UNMATCHED")

_NOTHING_TO_LEARN = "p.redirect_url IS NULL AND p.state IN ('AUTHORIZED', 'SETTLED', 'CAPTURED', 'VOIDING')"
_COLUMNS = """
    webhook_id, provider, kind, reference, authorization_id, state, attempts, due_at,
    TIMESTAMPDIFF(MICROSECOND, received_at, UTC_TIMESTAMP(6)) / 1000000 AS age_s
"""


@dataclass(frozen=True)
class Received:
    """A webhook whose signature was checked. ``ignored``: it means nothing to us."""

    webhook_id: str
    provider: str
    provider_event_id: str
    kind: str
    reference: str | None
    authorization_id: str | None
    headers: Mapping[str, str]
    body: bytes
    ignored: bool = False


@dataclass(frozen=True)
class Waiting:
    """A webhook that is due. ``age_s``: since it was received, by the database's clock."""

    webhook_id: str
    provider: str
    kind: str
    reference: str | None
    authorization_id: str | None
    state: State
    attempts: int
    due_at: datetime | None
    age_s: float


async def store(conn: Conn, one: Received) -> State | None:
    """As what it is stored; None: it had been received before; that is counted, and it is due again if nothing has come
    of it yet. One from which nothing is to be learnt (see ``known``) is APPLIED at once. A single statement, which may
    be repeated: it needs no transaction."""
    (row,) = await query(
        conn,
        f"""
        INSERT INTO webhooks
            (webhook_id, provider, provider_event_id, kind, reference, authorization_id, headers, body, state, due_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s,
                IF(EXISTS (SELECT 1 FROM payments p WHERE p.payment_id = %s AND p.provider = %s
                           AND p.authorization_id = %s AND {_NOTHING_TO_LEARN}), 'APPLIED', %s),
                IF(state = 'RECEIVED', UTC_TIMESTAMP(6), NULL))
        ON DUPLICATE KEY UPDATE
            repeats = repeats + (webhook_id <> VALUES(webhook_id)),
            due_at = IF(state IN ('RECEIVED', 'UNMATCHED'), UTC_TIMESTAMP(6), due_at)
        RETURNING webhook_id, state
        """,  # noqa: S608  a constant
        (
            one.webhook_id,
            one.provider,
            one.provider_event_id,
            one.kind,
            one.reference,
            one.authorization_id,
            msgspec.json.encode(one.headers).decode(),
            one.body,
            one.reference,
            one.provider,
            one.authorization_id,
            "IGNORED" if one.ignored else "RECEIVED",
        ),
    )
    stored: State = row["state"]
    return stored if row["webhook_id"] == one.webhook_id else None


async def due(conn: Conn, rows_max: int) -> list[Waiting]:
    """The longest due first."""
    rows = await query(
        conn,
        f"""
        SELECT {_COLUMNS} FROM webhooks
        WHERE state IN ('RECEIVED', 'UNMATCHED') AND due_at <= UTC_TIMESTAMP(6) ORDER BY due_at LIMIT %s
        """,  # noqa: S608  a constant
        (rows_max,),
    )
    return [_waiting(row) for row in rows]


async def known(conn: Conn, provider: str, rows_max: int) -> list[str]:
    """Ids of those that are due and tell of a card's authorization of which we know what became: from those states
    payments go on by what we do ourselves."""
    rows = await query(
        conn,
        f"""
        SELECT w.webhook_id FROM webhooks w JOIN payments p ON p.payment_id = w.reference
        WHERE w.state IN ('RECEIVED', 'UNMATCHED') AND w.due_at <= UTC_TIMESTAMP(6) AND w.provider = %s
          AND p.authorization_id = w.authorization_id AND {_NOTHING_TO_LEARN}
        LIMIT %s
        """,  # noqa: S608  a constant
        (provider, rows_max),
    )
    return [row["webhook_id"] for row in rows]


async def all_applied(conn: Conn, webhook_ids: Sequence[str]) -> int:
    """Those, for ever; how many were not yet."""
    return await execute(
        conn,
        f"""
        UPDATE webhooks SET state = 'APPLIED', changed_at = UTC_TIMESTAMP(6), due_at = NULL, detail = NULL
        WHERE webhook_id IN ({", ".join(["%s"] * len(webhook_ids))}) AND state IN ('RECEIVED', 'UNMATCHED')
        """,  # noqa: S608  constants only
        list(webhook_ids),
    )


async def take(conn: Conn, one: Waiting, for_s: float) -> bool:
    """Makes it this worker's for ``for_s``; False when another one was faster."""
    taken = await execute(
        conn,
        """
        UPDATE webhooks SET due_at = UTC_TIMESTAMP(6) + INTERVAL %s SECOND, attempts = attempts + 1
        WHERE webhook_id = %s AND state = %s AND due_at <=> %s
        """,
        (for_s, one.webhook_id, one.state, one.due_at),
    )
    return taken == 1


async def applied(conn: Conn, webhook_id: str, reference: str) -> None:
    """For ever. ``reference``: what it was about."""
    await execute(
        conn,
        """
        UPDATE webhooks
        SET state = 'APPLIED', reference = %s, changed_at = UTC_TIMESTAMP(6), due_at = NULL, detail = NULL
        WHERE webhook_id = %s AND state <> 'APPLIED'
        """,
        (reference, webhook_id),
    )


async def not_yet(conn: Conn, webhook_id: str, state: State, detail: str, delay_s: float | None) -> None:
    """Looked at again after ``delay_s``; None: never, unless the provider sends it once more."""
    await execute(
        conn,
        """
        UPDATE webhooks
        SET changed_at = IF(state = %s, changed_at, UTC_TIMESTAMP(6)), state = %s, detail = %s,
            due_at = UTC_TIMESTAMP(6) + INTERVAL %s SECOND
        WHERE webhook_id = %s AND state IN ('RECEIVED', 'UNMATCHED')
        """,
        (state, state, detail[:255], delay_s, webhook_id),
    )


async def telling_of(conn: Conn, provider: str, reference: str, authorization_id: str) -> str | None:
    """The id of the first webhook of this provider's that was about this authorization of ours."""
    rows = await query(
        conn,
        """
        SELECT webhook_id FROM webhooks
        WHERE (authorization_id = %s OR (reference = %s AND authorization_id IS NULL)) AND provider = %s
        ORDER BY webhook_id LIMIT 1
        """,
        (authorization_id, reference, provider),
    )
    return rows[0]["webhook_id"] if rows else None


async def waiting(conn: Conn) -> dict[str, tuple[int, float]]:
    """For metrics: by state, how many wait to be applied, and the age of the oldest (s)."""
    rows = await query(
        conn,
        """
        SELECT state, COUNT(*) AS n, TIMESTAMPDIFF(MICROSECOND, MIN(received_at), UTC_TIMESTAMP(6)) / 1000000 AS age_s
        FROM webhooks WHERE state IN ('RECEIVED', 'UNMATCHED') AND due_at IS NOT NULL GROUP BY state
        """,
    )
    return {row["state"]: (row["n"], float(row["age_s"])) for row in rows}


async def purge(conn: Conn, age_s: float, rows_max: int) -> int:
    """Deletes what is over and older than ``age_s``, but for what a top-up rests on; how many."""
    return await execute(
        conn,
        """
        DELETE FROM webhooks
        WHERE received_at < UTC_TIMESTAMP(6) - INTERVAL %s SECOND AND due_at IS NULL
          AND NOT EXISTS (SELECT 1 FROM ledger_entries e WHERE e.cause = 'topup' AND e.evidence = webhook_id)
        ORDER BY received_at LIMIT %s
        """,
        (age_s, rows_max),
    )


def _waiting(row: dict[str, Any]) -> Waiting:
    return Waiting(**(row | {"age_s": float(row["age_s"])}))
