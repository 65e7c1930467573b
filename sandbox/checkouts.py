"""Pages of the provider where a buyer pays, and customers: what the wires need beside the accounts, in SQLite.

Calls block, and are made within a transaction of the accounts.
"""

import sqlite3
import time
from dataclasses import dataclass

import uuid_utils

from sandbox.accounts import Refused

_SCHEMA = """
CREATE TABLE IF NOT EXISTS checkouts (
    checkout_id      TEXT PRIMARY KEY,
    wire             TEXT NOT NULL,      -- by which it was made
    reference        TEXT NOT NULL,
    amount_minor     INTEGER NOT NULL CHECK (amount_minor >= 0),
    currency         TEXT NOT NULL,
    captures         INTEGER NOT NULL,   -- 1: what is paid is captured at once
    expires_at_us    INTEGER NOT NULL,
    return_url       TEXT,
    authorization_id TEXT                -- once it is paid
) STRICT;
CREATE TABLE IF NOT EXISTS customers (
    customer_id TEXT PRIMARY KEY,
    reference   TEXT NOT NULL
) STRICT;
"""


@dataclass(frozen=True)
class Checkout:
    checkout_id: str
    wire: str
    reference: str
    amount_minor: int
    currency: str
    captures: bool
    expires_at_us: int
    return_url: str | None
    authorization_id: str | None = None


class Checkouts:
    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database
        self._db.executescript(_SCHEMA)

    def add(
        self,
        wire: str,
        reference: str,
        amount_minor: int,
        currency: str,
        *,
        captures: bool,
        expires_at_us: int,
        return_url: str | None = None,
    ) -> Checkout:
        checkout_id = uuid_utils.uuid7().hex
        made = Checkout(checkout_id, wire, reference, amount_minor, currency, captures, expires_at_us, return_url)
        values = (checkout_id, wire, reference, amount_minor, currency, int(captures), expires_at_us, return_url, None)
        self._db.execute("INSERT INTO checkouts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        return made

    def payable(self, checkout_id: str) -> Checkout:
        """Raises Refused: unknown, over, or paid."""
        row = self._db.execute("SELECT * FROM checkouts WHERE checkout_id = ?", (checkout_id,)).fetchone()
        if row is None:
            raise Refused(404, "checkout_unknown", "there is no such page")
        found = Checkout(**{**dict(row), "captures": bool(row["captures"])})
        if found.authorization_id is not None:
            raise Refused(409, "checkout_paid", "this is paid")
        if found.expires_at_us <= time.time_ns() // 1000:
            raise Refused(410, "checkout_expired", "it is too late to pay here")
        return found

    def paid(self, checkout_id: str, authorization_id: str) -> None:
        values = (authorization_id, checkout_id)
        self._db.execute("UPDATE checkouts SET authorization_id = ? WHERE checkout_id = ?", values)

    def add_customer(self, reference: str) -> str:
        customer_id = f"cus_{uuid_utils.uuid7().hex}"
        self._db.execute("INSERT INTO customers VALUES (?, ?)", (customer_id, reference))
        return customer_id

    def customer_reference(self, customer_id: str) -> str:
        """Raises Refused."""
        row = self._db.execute("SELECT reference FROM customers WHERE customer_id = ?", (customer_id,)).fetchone()
        if row is None:
            raise Refused(404, "customer_unknown", f"there is no customer {customer_id}")
        return str(row[0])
