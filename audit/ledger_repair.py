"""Making a kept balance the sum of its postings again: the only thing of the ledger that may be made anew.

Entries are never touched: what is wrong in them is put right by a correction, which billing writes. MariaDB; needs an
account that may write.
"""

from typing import Any

from ticketflow.runtime.mariadb import execute, query

Conn = Any


async def rebuild_balance(conn: Conn, account: str, currency: str) -> int:
    """In the caller's transaction; what was added, 0 when nothing was wrong.

    Purchases may go on meanwhile: balance and postings are compared by one statement, which sees both of a purchase or
    neither, and the difference is added to what the row then has. Two who repair the same account wait for each other.
    """
    await execute(
        conn,
        "INSERT INTO ledger_balances (account, currency, part, balance_minor) VALUES (%s, %s, 0, 0)"
        " ON DUPLICATE KEY UPDATE balance_minor = balance_minor",
        (account, currency),
    )
    rows = await query(
        conn,
        """
        SELECT (SELECT COALESCE(SUM(p.amount_minor), 0) FROM ledger_postings p JOIN ledger_entries e USING (entry_id)
                WHERE p.account = %(account)s AND e.currency = %(currency)s)
             - (SELECT COALESCE(SUM(b.balance_minor), 0) FROM ledger_balances b
                WHERE b.account = %(account)s AND b.currency = %(currency)s) AS missing_minor
        """,
        {"account": account, "currency": currency},
    )
    missing_minor = int(rows[0]["missing_minor"])
    await execute(
        conn,
        """
        UPDATE ledger_balances SET balance_minor = balance_minor + %s
        WHERE account = %s AND currency = %s AND part = 0
        """,
        (missing_minor, account, currency),
    )
    return missing_minor
