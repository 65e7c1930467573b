"""Parts of wallets that are frozen for a dispute: entries of the ledger that belong to no order."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.ledger.accounts import frozen
from ticketflow.runtime.mariadb import query

Conn = Any


@dataclass(frozen=True)
class Freeze:
    """``released_at``: since when it can be spent again."""

    freeze_id: str
    buyer_id: str
    amount_minor: int
    currency: str
    reason: str
    frozen_at: datetime
    released_at: datetime | None


async def read(conn: Conn, buyer_id: str, freeze_id: str) -> Freeze | None:
    """None: nothing of this buyer's was ever frozen under that id, or for a payment."""
    rows = await query(
        conn,
        """
        SELECT e.cause_id AS freeze_id, -p.amount_minor AS amount_minor, e.currency, COALESCE(e.note, '') AS reason,
               e.at AS frozen_at, u.at AS released_at
        FROM ledger_entries e
        JOIN ledger_postings p ON p.entry_id = e.entry_id AND p.account = %s
        LEFT JOIN ledger_entries u ON u.cause = 'unfreeze' AND u.cause_id = e.cause_id
        WHERE e.cause = 'freeze' AND e.cause_id = %s AND e.order_id IS NULL
        """,
        (str(frozen(buyer_id)), freeze_id),
    )
    return Freeze(buyer_id=buyer_id, **rows[0]) if rows else None
