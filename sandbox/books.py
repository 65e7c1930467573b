"""The provider's books, for who audits: read only."""

import sqlite3
from typing import Any


class Books:
    """Blocks, like the accounts that they are of."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database

    def page(self, since_us: int, after: str, limit: int) -> list[dict[str, Any]]:
        """Authorizations made from ``since_us`` on, the oldest first (their ids sort by time), behind ``after``."""
        rows = self._db.execute(
            "SELECT * FROM authorizations WHERE created_at_us >= ? AND authorization_id > ?"
            " ORDER BY authorization_id LIMIT ?",
            (since_us, after, limit),
        )
        return [dict(row) for row in rows]

    def totals(self) -> dict[str, Any]:
        """Sums by currency, and how many authorizations stand in each state."""
        sums = self._db.execute(
            """
            SELECT currency,
                   sum(iif(state <> 'declined', amount_minor, 0)) AS authorized_minor,
                   sum(captured_minor) AS captured_minor,
                   sum(iif(state = 'voided', amount_minor, 0)) AS voided_minor,
                   sum(refunded_minor) AS refunded_minor,
                   sum(iif(state = 'authorized', amount_minor, 0)) AS open_minor
            FROM authorizations GROUP BY currency ORDER BY currency
            """
        )
        by_currency = {row["currency"]: {name: row[name] for name in row.keys()[1:]} for row in sums}
        counts = self._db.execute("SELECT state, count(*) AS n FROM authorizations GROUP BY state")
        return {"by_currency": by_currency, "counts": {row["state"]: row["n"] for row in counts}}
