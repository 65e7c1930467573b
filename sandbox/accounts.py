"""What the payment provider remembers, in SQLite.

Laws:
- A change and the answer to its Idempotency-Key are one transaction, flushed to the disk before the answer is given:
  one key is charged at most once, whenever the process is killed.
- Money moves only along authorized -> captured -> refunded, or authorized -> voided; never more back than was taken.
- Every call here blocks. One thread makes all of them, so that no two run at once.
"""

import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import uuid_utils

T = TypeVar("T")

PAYING_CARDS = frozenset({"tok_ok", "tok_slow", "tok_timeout_after_charge"})
REFUSED_CARDS = {"tok_declined": "do_not_honor", "tok_insufficient": "insufficient_funds"}
UNKNOWN_CARD = "unknown_card"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS authorizations (
    authorization_id TEXT PRIMARY KEY,
    reference        TEXT NOT NULL,      -- the merchant's own id of the payment
    amount_minor     INTEGER NOT NULL CHECK (amount_minor >= 0),
    currency         TEXT NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('authorized', 'declined', 'captured', 'voided', 'refunded')),
    reason           TEXT,               -- of a decline
    captured_minor   INTEGER NOT NULL DEFAULT 0 CHECK (captured_minor BETWEEN 0 AND amount_minor),
    refunded_minor   INTEGER NOT NULL DEFAULT 0 CHECK (refunded_minor BETWEEN 0 AND captured_minor),
    created_at_us    INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS authorizations_reference ON authorizations (reference);
CREATE TABLE IF NOT EXISTS refunds (
    refund_id        TEXT PRIMARY KEY,
    authorization_id TEXT NOT NULL,
    amount_minor     INTEGER NOT NULL CHECK (amount_minor > 0),
    note             TEXT,               -- the merchant's own, where the wire has room for one
    created_at_us    INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS refunds_of ON refunds (authorization_id);
CREATE TABLE IF NOT EXISTS answers (
    idempotency_key TEXT PRIMARY KEY,
    fingerprint     BLOB NOT NULL,       -- of the request that first used the key
    status          INTEGER NOT NULL,
    body            TEXT NOT NULL        -- JSON
) STRICT;
"""


@dataclass(frozen=True)
class Answer:
    """``replayed``: it is that of the first request of its key."""

    status: int
    body: dict[str, Any]
    replayed: bool = False


class Refused(Exception):
    """The request cannot be done, now or later. ``code`` is stable, the message is for people."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


class Accounts:
    """Opens, or makes, the file at ``path``. ``database``: for what is remembered beside the accounts."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # check_same_thread: opened on the main thread, used by the one worker thread only.
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)

    @property
    def database(self) -> sqlite3.Connection:
        return self._db

    def close(self) -> None:
        self._db.close()

    def once(self, key: str, fingerprint: bytes, change: Callable[[], Answer]) -> Answer:
        """``change()`` and its answer, or the answer of the first time. A refusal has no effect and is not kept."""

        def answered() -> Answer:
            answer = self._answered(key, fingerprint)
            if answer is None:
                answer = change()
                self._db.execute(
                    "INSERT INTO answers VALUES (?, ?, ?, ?)",
                    (key, fingerprint, answer.status, json.dumps(answer.body)),
                )
            return answer

        return self.transaction(answered)

    def transaction(self, change: Callable[[], T]) -> T:
        """All of ``change()``, on the disk; nothing of it when it raises."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            made = change()
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return made

    def knows(self, key: str) -> bool:
        """Whether the key has an answer."""
        return self._db.execute("SELECT 1 FROM answers WHERE idempotency_key = ?", (key,)).fetchone() is not None

    def authorize(self, reference: str, amount_minor: int, currency: str, card_token: str) -> Answer:
        authorization_id = f"auth_{uuid_utils.uuid7().hex}"
        reason = None if card_token in PAYING_CARDS else REFUSED_CARDS.get(card_token, UNKNOWN_CARD)
        self._db.execute(
            "INSERT INTO authorizations"
            " (authorization_id, reference, amount_minor, currency, state, reason, created_at_us)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                authorization_id,
                reference,
                amount_minor,
                currency,
                "declined" if reason else "authorized",
                reason,
                time.time_ns() // 1000,
            ),
        )
        return Answer(402 if reason else 201, self.read(authorization_id))

    def capture(self, authorization_id: str, amount_minor: int) -> Answer:
        held = self.read(authorization_id)
        if held["state"] != "authorized":
            raise Refused(409, f"authorization_{held['state']}", f"it is {held['state']}, so it cannot be captured")
        if amount_minor > held["amount_minor"]:
            raise Refused(409, "amount_too_large", f"only {held['amount_minor']} were authorized")
        self._update(authorization_id, "state = 'captured', captured_minor = ?", amount_minor)
        return Answer(200, self.read(authorization_id))

    def void(self, authorization_id: str) -> Answer:
        held = self.read(authorization_id)
        if held["state"] not in ("authorized", "voided"):
            raise Refused(409, f"authorization_{held['state']}", f"it is {held['state']}, so it cannot be voided")
        self._update(authorization_id, "state = 'voided'")
        return Answer(200, self.read(authorization_id))

    def refund(self, authorization_id: str, amount_minor: int, note: str | None = None) -> Answer:
        held = self.read(authorization_id)
        left = held["captured_minor"] - held["refunded_minor"]
        if held["state"] not in ("captured", "refunded") or amount_minor > left:
            raise Refused(409, "amount_too_large", f"{left} of it can be refunded")
        self._update(authorization_id, "state = 'refunded', refunded_minor = refunded_minor + ?", amount_minor)
        if amount_minor > 0:
            values = (f"re_{uuid_utils.uuid7().hex}", authorization_id, amount_minor, note, time.time_ns() // 1000)
            self._db.execute("INSERT INTO refunds VALUES (?, ?, ?, ?, ?)", values)
        return Answer(200, self.read(authorization_id))

    def read(self, authorization_id: str) -> dict[str, Any]:
        row = self._db.execute(
            "SELECT * FROM authorizations WHERE authorization_id = ?", (authorization_id,)
        ).fetchone()
        if row is None:
            raise Refused(404, "authorization_unknown", f"there is no authorization {authorization_id}")
        return dict(row)

    def by_reference(self, reference: str) -> list[dict[str, Any]]:
        rows = self._db.execute(
            "SELECT * FROM authorizations WHERE reference = ? ORDER BY created_at_us LIMIT 100", (reference,)
        )
        return [dict(row) for row in rows]

    def refunds(self, authorization_id: str) -> list[dict[str, Any]]:
        """The oldest first."""
        rows = self._db.execute(
            "SELECT rowid AS number, * FROM refunds WHERE authorization_id = ? ORDER BY refund_id LIMIT 1000",
            (authorization_id,),
        )
        return [dict(row) for row in rows]

    def number(self, authorization_id: str) -> int:
        """Of one that is there: a number of its own, for a wire whose ids are numbers."""
        row = self._db.execute("SELECT rowid FROM authorizations WHERE authorization_id = ?", (authorization_id,))
        return int(row.fetchone()[0])

    def numbered(self, number: int) -> str:
        """The other way."""
        row = self._db.execute("SELECT authorization_id FROM authorizations WHERE rowid = ?", (number,)).fetchone()
        if row is None:
            raise Refused(404, "authorization_unknown", f"there is no authorization {number}")
        return str(row[0])

    def _answered(self, key: str, fingerprint: bytes) -> Answer | None:
        row = self._db.execute("SELECT * FROM answers WHERE idempotency_key = ?", (key,)).fetchone()
        if row is None:
            return None
        if row["fingerprint"] != fingerprint:
            raise Refused(422, "idempotency_mismatch", "this Idempotency-Key was used for another request")
        return Answer(row["status"], json.loads(row["body"]), replayed=True)

    def _update(self, authorization_id: str, assignments: str, *values: int) -> None:
        statement = f"UPDATE authorizations SET {assignments} WHERE authorization_id = ?"  # noqa: S608  constants only
        self._db.execute(statement, (*values, authorization_id))
