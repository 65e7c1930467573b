"""Webhooks that are still to be sent, and the last of those that were, in SQLite.

A notice is written in the transaction of the change that it tells of. Both tables are bounded: beyond ``WAITING_MAX``
the oldest is dropped, and of what is settled the last ``SETTLED_MAX`` stay, to be sent again on request. Calls block.
"""

import sqlite3
import time
from dataclasses import dataclass

WAITING_MAX = 10_000
SETTLED_MAX = 1_000
ATTEMPTS_MAX = 20

_SCHEMA = """
CREATE TABLE IF NOT EXISTS notices (
    notice_id INTEGER PRIMARY KEY AUTOINCREMENT,
    wire      TEXT NOT NULL,
    event_id  TEXT NOT NULL,
    kind      TEXT NOT NULL,
    about     TEXT NOT NULL,             -- the payment's id on that wire
    body      TEXT NOT NULL,
    state     TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'given_up')),
    attempts  INTEGER NOT NULL DEFAULT 0,
    due_at_us INTEGER NOT NULL DEFAULT 0
) STRICT;
-- With the id, so that nothing is sorted: the bounds below are kept at every change.
CREATE INDEX IF NOT EXISTS notices_in_order ON notices (state, notice_id);
DROP INDEX IF EXISTS notices_state;
"""


@dataclass(frozen=True)
class Notice:
    """``about``: the payment's id on that wire."""

    notice_id: int
    wire: str
    event_id: str
    kind: str
    about: str
    body: str
    attempts: int


class Notices:
    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database
        self._db.executescript(_SCHEMA)

    def add(self, wire: str, event_id: str, kind: str, about: str, body: str) -> None:
        self._db.execute(
            "INSERT INTO notices (wire, event_id, kind, about, body) VALUES (?, ?, ?, ?, ?)",
            (wire, event_id, kind, about, body),
        )
        self._bound("waiting", WAITING_MAX)

    def due(self, limit: int) -> list[Notice]:
        """The oldest first."""
        rows = self._db.execute(
            "SELECT notice_id, wire, event_id, kind, about, body, attempts FROM notices"
            " WHERE state = 'waiting' AND due_at_us <= ? ORDER BY notice_id LIMIT ?",
            (time.time_ns() // 1000, limit),
        )
        return [Notice(**dict(row)) for row in rows]

    def sent(self, notice_id: int) -> None:
        self._db.execute("UPDATE notices SET state = 'sent' WHERE notice_id = ?", (notice_id,))
        self._bound("sent", SETTLED_MAX)

    def failed(self, notice: Notice, again_in_us: int) -> None:
        state = "waiting" if notice.attempts + 1 < ATTEMPTS_MAX else "given_up"
        self._db.execute(
            "UPDATE notices SET state = ?, attempts = attempts + 1, due_at_us = ? WHERE notice_id = ?",
            (state, time.time_ns() // 1000 + again_in_us, notice.notice_id),
        )
        self._bound("given_up", SETTLED_MAX)

    def again(self) -> int:
        """All that are settled wait once more; how many."""
        update = "UPDATE notices SET state = 'waiting', attempts = 0, due_at_us = 0 WHERE state <> 'waiting'"
        return self._db.execute(update).rowcount

    def counts(self) -> dict[str, int]:
        """By state."""
        rows = self._db.execute("SELECT state, count(*) FROM notices GROUP BY state")
        return {"waiting": 0, "sent": 0, "given_up": 0} | {row[0]: row[1] for row in rows}

    def _bound(self, state: str, most: int) -> None:
        self._db.execute(
            "DELETE FROM notices WHERE notice_id IN"
            " (SELECT notice_id FROM notices WHERE state = ? ORDER BY notice_id DESC LIMIT -1 OFFSET ?)",
            (state, most),
        )
