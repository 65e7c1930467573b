"""Writing entries: once for each cause, balances in the same transaction, accounts locked in one order.

How two purchases cannot spend the same credit: both subtract from the same row of ``ledger_balances``. On one node the
second waits for the first to commit, and then the CHECK sees what is left. On two nodes of a Galera cluster neither
waits: both write the row, certification lets the first of them in the cluster's order through, and the other one gets
1213 at COMMIT (Retryable): it runs again, and sees what is left.

No deadlocks among ourselves: all rows of all entries of one call are locked in one order (Kind in ledger/accounts.py),
by the statement that changes them. A transaction that writes more than one entry does it by one call. What all buyers
share is divided into PARTS rows, so that the captures of one event do not queue up behind each other's COMMIT.
"""

import zlib
from collections.abc import Sequence
from typing import Any

import pymysql.err

from billing.ledger.accounts import Account, Kind
from billing.ledger.entries import Cause, Entry, InsufficientCredits, LedgerConflict, Line
from ticketflow.runtime.errors import Retryable
from ticketflow.runtime.mariadb import Together, execute, query
from ticketflow.runtime.mariadb_rows import insert

Conn = Any  # aiomysql has no types

PARTS = 16  # of a shared account; a web process has 16 connections, and a few captures that do wait do no harm

_Change = tuple[Account, str, int, int]  # account, currency, part, and what to add, in minor units

_DUPLICATE = 1062
_CHECK_FAILED = 4025
_ENDS_A_FREEZE = (Cause.UNFREEZE, Cause.CAPTURE)


async def record(conn: Conn, entries: Sequence[Entry]) -> int:
    """Writes those that are not written yet, in the caller's transaction; how many.

    Raises InsufficientCredits, LedgerConflict, and Retryable when another transaction has just written the same cause.
    After any of them the transaction must be rolled back, but for one: a single freeze that raises InsufficientCredits
    has changed nothing.
    """
    if len({one.key for one in entries}) != len(entries):
        raise LedgerConflict("one cause makes one entry")
    written = await _written(conn, entries)
    fresh = [one for one in entries if one.key not in written]
    if not fresh:
        return 0
    changes = _changes(fresh)
    for account, currency, part, change_minor in changes:  # the buyers' own, which are the first
        if account.held and not await _change(conn, account, currency, part, change_minor):
            if await _written(conn, fresh):
                raise Retryable("another transaction has just written this entry")
            raise InsufficientCredits(f"{account} has less than {change_minor} {currency} (minor units)")
    for one in fresh:
        await _check_freeze(conn, one)
    await _insert(conn, fresh, [change for change in changes if not change[0].held])
    return len(fresh)


def part_of(account: Account, cause_id: str) -> int:
    """Which row of an account's balance an entry changes."""
    return 0 if account.held else zlib.crc32(cause_id.encode()) % PARTS


def _changes(entries: Sequence[Entry]) -> list[_Change]:
    """What to add to which rows of the balances, in the order in which they are locked. Of a shared account all that is
    written together goes to one part, the first entry's."""
    sums: dict[tuple[Account, str, int], int] = {}
    for one in entries:
        for line in one.lines:
            row = (line.account, one.currency, part_of(line.account, entries[0].cause_id))
            sums[row] = sums.get(row, 0) + line.amount_minor
    rows = sorted(sums, key=lambda row: (row[0].order, row[1], row[2]))
    return [(*row, sums[row]) for row in rows if sums[row] != 0]


async def _change(conn: Conn, account: Account, currency: str, part: int, change_minor: int) -> bool:
    """False when a buyer's account would fall below nothing; the row is then as it was."""
    row = (str(account), currency, part)
    change = """
        UPDATE ledger_balances SET balance_minor = balance_minor + %s
        WHERE account = %s AND currency = %s AND part = %s
        """
    try:
        if await execute(conn, change, (change_minor, *row)) == 0:
            # A row that is just being made by somebody else is waited for, under a lock that will not become another.
            await execute(
                conn,
                "INSERT INTO ledger_balances (account, currency, part, balance_minor) VALUES (%s, %s, %s, 0)"
                " ON DUPLICATE KEY UPDATE balance_minor = balance_minor",
                row,
            )
            await execute(conn, change, (change_minor, *row))
    except (pymysql.err.OperationalError, pymysql.err.IntegrityError) as error:
        if error.args[0] == _CHECK_FAILED:
            return False
        raise
    return True


async def _written(conn: Conn, entries: Sequence[Entry]) -> set[tuple[Cause, str]]:
    """The keys of those that are written. Raises LedgerConflict when a cause is written with another meaning."""
    rows = await query(
        conn,
        """
        SELECT e.cause, e.cause_id, e.currency, e.order_id, e.event_id, p.account, p.amount_minor
        FROM ledger_entries e JOIN ledger_postings p USING (entry_id)
        WHERE (e.cause, e.cause_id) IN %s ORDER BY e.entry_id, p.line
        """,
        ([(one.cause.value, one.cause_id) for one in entries],),
    )
    lines: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        lines.setdefault((row["cause"], row["cause_id"]), []).append(row)
    for one in entries:
        if found := lines.get(one.key):
            postings = tuple(Line(Account.parse(row["account"]), row["amount_minor"]) for row in found)
            if (one.key, found[0]["currency"], postings, found[0]["order_id"], found[0]["event_id"]) != one.meaning:
                raise LedgerConflict(f"{one} is written already, and says something else")
    return {one.key for one in entries if one.key in lines}


async def _check_freeze(conn: Conn, one: Entry) -> None:
    """What leaves a frozen account is exactly what was frozen under the same id, and once: other payments of the buyer
    have theirs there too. The account's row is locked. Raises LedgerConflict."""
    taken = [line for line in one.lines if line.account.kind is Kind.FROZEN]
    if one.cause not in _ENDS_A_FREEZE or not taken:
        return
    (line,) = taken
    rows = await query(
        conn,
        """
        SELECT CAST(COALESCE(SUM(p.amount_minor), 0) AS SIGNED) AS standing_minor
        FROM ledger_entries e JOIN ledger_postings p USING (entry_id)
        WHERE e.cause IN ('freeze', 'unfreeze', 'capture') AND e.cause_id = %s AND e.currency = %s AND p.account = %s
        """,
        (one.cause_id, one.currency, str(line.account)),
    )
    if rows[0]["standing_minor"] + line.amount_minor != 0:
        raise LedgerConflict(f"{one} takes {line.amount_minor} of {-rows[0]['standing_minor']} frozen for it")


async def _insert(conn: Conn, entries: Sequence[Entry], shared: Sequence[_Change]) -> None:
    """``shared``: what to add to accounts of more than one buyer, in the order in which they are locked."""
    writes = Together(conn)
    # A row that is just being made by somebody else is waited for.
    await insert(
        writes,
        "INSERT INTO ledger_balances (account, currency, part, balance_minor)",
        [(str(account), currency, part, change_minor) for account, currency, part, change_minor in shared],
        " ON DUPLICATE KEY UPDATE balance_minor = balance_minor + VALUES(balance_minor)",
    )
    ids: dict[tuple[str, str], int] = {}
    await insert(
        writes,
        "INSERT INTO ledger_entries (cause, cause_id, currency, order_id, event_id, evidence, note)",
        [
            (one.cause.value, one.cause_id, one.currency, one.order_id, one.event_id, one.evidence, one.note)
            for one in entries
        ],
        " RETURNING cause, cause_id, entry_id",
        check=lambda result: ids.update({(cause, cause_id): entry_id for cause, cause_id, entry_id in result.rows}),
    )
    try:
        await writes.send()
    except pymysql.err.IntegrityError as error:
        if error.args[0] != _DUPLICATE:
            raise
        for one in entries:
            if await _evidence_used(conn, one):
                raise LedgerConflict(f"{one}: webhook {one.evidence} is the evidence of another one") from error
        raise Retryable("another transaction has just written this entry") from error
    await insert(
        conn,
        "INSERT INTO ledger_postings (entry_id, line, account, amount_minor)",
        [
            (ids[one.key], number, str(line.account), line.amount_minor)
            for one in entries
            for number, line in enumerate(one.lines)
        ],
    )


async def _evidence_used(conn: Conn, one: Entry) -> bool:
    return one.evidence is not None and bool(
        await query(
            conn,
            "SELECT 1 FROM ledger_entries WHERE cause = %s AND evidence = %s AND cause_id <> %s",
            (one.cause, one.evidence, one.cause_id),
        )
    )
