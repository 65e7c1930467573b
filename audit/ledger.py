"""Billing's ledger, checked as a whole: set-based statements, which read and lock nothing. MariaDB.

Each function runs on a connection that may only read. One statement sees one moment, so that what is being written
meanwhile is no difference. STRAIGHT_JOIN: both tables in the order of their primary keys, from begin to end; looking up
an entry for each posting in the order of the accounts takes many times as long. Figures: docs/money.md.
"""

from dataclasses import dataclass
from typing import Any

from ticketflow.runtime.mariadb import query

Conn = Any

FAULTS_MAX = 1000  # of one kind: more are not read by anybody, and must fit into memory


@dataclass(frozen=True)
class LedgerFault:
    """``kind``: a key of CHECKS. ``subject``: the entry's id or the account. ``difference_minor``: what is too much."""

    kind: str
    subject: str
    currency: str
    difference_minor: int
    detail: str


@dataclass(frozen=True)
class Total:
    """Of all accounts of a kind, or of one account. ``sum_minor``: debits less credits."""

    account: str
    currency: str
    sum_minor: int
    postings: int


@dataclass(frozen=True)
class EventTotal:
    """What the ledger says about one event in one currency. ``event_id`` is None for what belongs to none: top-ups."""

    event_id: str | None
    currency: str
    entries: int
    sales_minor: int
    refunds_minor: int
    fees_minor: int
    frozen_minor: int


# Each gives subject, currency, difference_minor, detail.
CHECKS = {
    # An entry that does not sum to nothing, or has no two lines.
    "unbalanced_entry": """
        SELECT e.entry_id AS subject, e.currency, COALESCE(SUM(p.amount_minor), 0) AS difference_minor,
               CONCAT(e.cause, ' ', e.cause_id, ': ', COUNT(p.line), ' lines') AS detail
        FROM ledger_entries e LEFT JOIN ledger_postings p USING (entry_id)
        GROUP BY e.entry_id HAVING difference_minor <> 0 OR COUNT(p.line) < 2
        """,
    # A kept balance that is not the sum of the postings.
    "balance_differs": """
        SELECT account AS subject, currency, SUM(kept) - SUM(posted) AS difference_minor,
               CONCAT('kept ', SUM(kept), ', posted ', SUM(posted)) AS detail
        FROM (SELECT account, currency, balance_minor AS kept, 0 AS posted FROM ledger_balances
              UNION ALL
              SELECT p.account, e.currency, 0, SUM(p.amount_minor)
              FROM ledger_entries e STRAIGHT_JOIN ledger_postings p USING (entry_id)
              GROUP BY p.account, e.currency) both_sides
        GROUP BY account, currency HAVING difference_minor <> 0
        """,
    # A buyer with less than nothing, by the postings.
    "held_below_zero": """
        SELECT p.account AS subject, e.currency, SUM(p.amount_minor) AS difference_minor, 'by its postings' AS detail
        FROM ledger_entries e STRAIGHT_JOIN ledger_postings p USING (entry_id)
        WHERE p.account >= 'frozen:' AND p.account < 'frozen;' OR p.account >= 'wallet:' AND p.account < 'wallet;'
        GROUP BY p.account, e.currency HAVING difference_minor > 0
        """,
    # A payment that took more out of a frozen account than it had put there.
    "frozen_overdrawn": """
        SELECT p.account AS subject, e.currency, SUM(p.amount_minor) AS difference_minor, e.cause_id AS detail
        FROM ledger_entries e STRAIGHT_JOIN ledger_postings p USING (entry_id)
        WHERE p.account >= 'frozen:' AND p.account < 'frozen;' AND e.cause IN ('freeze', 'unfreeze', 'capture')
        GROUP BY p.account, e.currency, e.cause_id HAVING difference_minor > 0
        """,
    # A sale or a refund that stands in the books of another event than its entry. A correction of that very entry, of
    # the same event and currency, counts with it; any other one is judged like all entries.
    "wrong_event": """
        SELECT COALESCE(r.entry_id, w.entry_id) AS subject, w.currency, SUM(w.amount_minor) AS difference_minor,
               CONCAT(w.account, ' in an entry of event ', COALESCE(w.event_id, 'none')) AS detail
        FROM (SELECT e.entry_id, e.cause, e.cause_id, e.event_id, e.currency, p.account, p.amount_minor
              FROM ledger_entries e STRAIGHT_JOIN ledger_postings p USING (entry_id)
              WHERE (p.account >= 'sales:' AND p.account < 'sales;'
                     OR p.account >= 'refunds:' AND p.account < 'refunds;')
                AND NOT SUBSTRING_INDEX(p.account, ':', -1) <=> e.event_id) w
        LEFT JOIN ledger_entries r
          ON w.cause = 'correction' AND r.cause = SUBSTRING_INDEX(w.cause_id, ':', 1)
         AND r.cause_id = SUBSTRING(w.cause_id, LOCATE(':', w.cause_id) + 1)
         AND r.event_id <=> w.event_id AND r.currency = w.currency
        GROUP BY subject, w.currency, w.account, w.event_id HAVING difference_minor <> 0
        """,
}


async def faults(conn: Conn) -> list[LedgerFault]:
    """All that is wrong in the ledger by itself, up to FAULTS_MAX of each kind. None: it is sound."""
    return [fault for kind in CHECKS for fault in await faults_of(conn, kind)]


async def faults_of(conn: Conn, kind: str) -> list[LedgerFault]:
    """Of one kind, by subject."""
    rows = await query(conn, f"{CHECKS[kind]} ORDER BY subject LIMIT {FAULTS_MAX}")
    return [
        LedgerFault(kind, str(row["subject"]), row["currency"], int(row["difference_minor"]), row["detail"])
        for row in rows
    ]


async def totals(conn: Conn, event_id: str | None = None) -> list[Total]:
    """By kind of account and currency: of everything, or of the entries of one event."""
    of_event = "WHERE e.event_id = %(event_id)s" if event_id is not None else ""
    rows = await query(
        conn,
        f"""
        SELECT SUBSTRING_INDEX(p.account, ':', 1) AS account, e.currency, SUM(p.amount_minor) AS sum_minor,
               COUNT(*) AS postings
        FROM ledger_entries e STRAIGHT_JOIN ledger_postings p USING (entry_id) {of_event}
        GROUP BY 1, 2 ORDER BY 1, 2
        """,  # noqa: S608  constants only
        {"event_id": event_id},
    )
    return [Total(row["account"], row["currency"], int(row["sum_minor"]), row["postings"]) for row in rows]


async def totals_by_event(conn: Conn) -> list[EventTotal]:
    """A row for each event; sales and frozen are credits and are given above zero."""
    rows = await query(
        conn,
        """
        SELECT e.event_id, e.currency, CAST(SUM(p.line = 0) AS SIGNED) AS entries,
               -SUM(IF(p.account >= 'sales:' AND p.account < 'sales;', p.amount_minor, 0)) AS sales_minor,
               SUM(IF(p.account >= 'refunds:' AND p.account < 'refunds;', p.amount_minor, 0)) AS refunds_minor,
               SUM(IF(p.account >= 'fees:' AND p.account < 'fees;', p.amount_minor, 0)) AS fees_minor,
               -SUM(IF(p.account >= 'frozen:' AND p.account < 'frozen;', p.amount_minor, 0)) AS frozen_minor
        FROM ledger_entries e STRAIGHT_JOIN ledger_postings p USING (entry_id)
        GROUP BY e.event_id, e.currency ORDER BY e.event_id, e.currency
        """,
    )
    minor = ("sales_minor", "refunds_minor", "fees_minor", "frozen_minor")
    return [EventTotal(**(row | {name: int(row[name]) for name in minor})) for row in rows]
