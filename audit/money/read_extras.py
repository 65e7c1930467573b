"""What belongs to no sale, or is found without one: webhooks, top-ups, entries that nothing explains. MariaDB."""

from typing import Any

from audit.money.limits import Limits
from audit.money.read_provider import Asking
from audit.money.sides import Difference
from ticketflow.runtime.mariadb import query

Conn = Any

ROWS_MAX = 1000  # of webhooks and top-ups that are told of at once
ENTRIES = 20_000  # a statement


async def webhooks(conn: Conn, limits: Limits) -> list[Difference]:
    rows = await query(
        conn,
        """
        SELECT webhook_id, provider, kind, reference, authorization_id, state, attempts FROM webhooks
        WHERE state IN ('RECEIVED', 'UNMATCHED') AND received_at < UTC_TIMESTAMP(6) - INTERVAL %s SECOND
        ORDER BY webhook_id LIMIT %s
        """,
        (limits.stuck_s, ROWS_MAX),
    )
    return [
        Difference(
            "webhook_unmatched",
            None,
            None,
            (("webhook", row["webhook_id"]),),
            f"{row['provider']} {row['kind']} about {row['reference'] or row['authorization_id'] or 'nothing'}:"
            f" {row['state']} after {row['attempts']} attempts",
        )
        for row in rows
    ]


TOPUPS = """
    SELECT t.topup_id, t.buyer_id, t.state, t.amount_minor, t.currency, t.provider, e.entry_id,
           t.state = 'RETURNING' AND t.changed_at < UTC_TIMESTAMP(6) - INTERVAL %(stuck_s)s SECOND
             OR t.state = 'STARTED' AND GREATEST(t.created_at, COALESCE(t.redirect_until, t.created_at))
                                      < UTC_TIMESTAMP(6) - INTERVAL %(stuck_s)s SECOND AS stuck
    FROM topups t LEFT JOIN ledger_entries e ON e.cause = 'topup' AND e.cause_id = t.topup_id
    WHERE t.topup_id > %(after)s AND t.changed_at < UTC_TIMESTAMP(6) - INTERVAL %(grace_s)s SECOND
      AND (t.changed_at > UTC_TIMESTAMP(6) - INTERVAL %(recent_s)s SECOND OR t.state IN ('STARTED', 'RETURNING'))
    ORDER BY t.topup_id LIMIT %(limit)s
    """


async def topups(conn: Conn, limits: Limits, asking: Asking, after: str) -> tuple[list[Difference], str | None]:
    """A page of those that changed lately or are not over; and after which one to go on, None at the end."""
    known = {
        "after": after,
        "grace_s": limits.grace_s,
        "stuck_s": limits.stuck_s,
        "recent_s": limits.recent_s,
        "limit": ROWS_MAX,
    }
    rows = await query(conn, TOPUPS, known)
    found: list[Difference] = []
    for row in rows:
        ids = (("topup", row["topup_id"]),)
        amount, currency = row["amount_minor"], row["currency"]
        if row["stuck"]:
            found.append(Difference("topup_stuck", None, None, ids, row["state"], amount, currency))
        if row["state"] == "CREDITED" and row["entry_id"] is None:
            found.append(Difference("ledger_topup_missing", None, None, ids, "", amount, currency))
        if asking.provider is None or row["provider"] != asking.provider.name or row["state"] == "RETURNING":
            continue
        taken = await asking.fetch(row["topup_id"])
        if taken is None:
            continue
        kept_minor = sum(one.kept_minor for one in taken)
        detail = f"{row['state']} here, {kept_minor} kept at the provider"
        if row["state"] == "CREDITED" and kept_minor < amount:
            missing_minor = amount - kept_minor - await _frozen(conn, row["topup_id"], row["buyer_id"], currency)
            if missing_minor > 0:
                found.append(Difference("topup_credited_not_paid", None, None, ids, detail, missing_minor, currency))
        elif row["state"] != "STARTED" and kept_minor > (credited := amount if row["state"] == "CREDITED" else 0):
            # STARTED: its webhook may be on the way, and when its page is over a worker asks by itself.
            extra_minor = kept_minor - credited
            found.append(Difference("topup_paid_not_credited", None, None, ids, detail, extra_minor, currency))
    return found, rows[-1]["topup_id"] if len(rows) == ROWS_MAX else None


async def _frozen(conn: Conn, topup_id: str, buyer_id: str, currency: str) -> int:
    """What cannot be spent of it, because somebody froze it under the top-up's id and has not released it."""
    rows = await query(
        conn,
        """
        SELECT CAST(COALESCE(-SUM(p.amount_minor), 0) AS SIGNED) AS frozen_minor
        FROM ledger_entries e JOIN ledger_postings p USING (entry_id)
        WHERE e.cause IN ('freeze', 'unfreeze') AND e.cause_id = %s AND e.currency = %s AND p.account = %s
        """,
        (topup_id, currency, f"frozen:{buyer_id}"),
    )
    return int(rows[0]["frozen_minor"])


async def unexplained(conn: Conn, event_id: str | None, after: int) -> tuple[list[Difference], int | None]:
    """Of ENTRIES of the ledger those that name what is not there; and after which one to go on, None at the end."""
    of_event = "AND e.event_id = %(event_id)s" if event_id is not None else ""
    known = {"after": after, "limit": ENTRIES, "event_id": event_id}
    last = await query(
        conn,
        f"""
        SELECT MAX(entry_id) AS upto, COUNT(*) AS n FROM (
            SELECT e.entry_id FROM ledger_entries e WHERE e.entry_id > %(after)s {of_event}
            ORDER BY e.entry_id LIMIT %(limit)s) page
        """,  # noqa: S608  constants
        known,
    )
    if not last[0]["n"]:
        return [], None
    rows = await query(
        conn,
        f"""
        SELECT e.entry_id, e.cause, e.cause_id, e.event_id, e.order_id FROM ledger_entries e
        LEFT JOIN payments p ON p.payment_id = e.cause_id AND e.cause IN ('freeze', 'unfreeze', 'capture')
        LEFT JOIN refunds r ON r.refund_id = e.cause_id AND e.cause IN ('refund', 'refund_credits')
        LEFT JOIN topups t ON t.topup_id = e.cause_id AND e.cause = 'topup'
        WHERE e.entry_id > %(after)s AND e.entry_id <= %(upto)s {of_event}
          AND e.cause IN ('freeze', 'unfreeze', 'capture', 'refund', 'refund_credits', 'topup')
          AND p.payment_id IS NULL AND r.refund_id IS NULL AND t.topup_id IS NULL
          AND NOT (e.cause IN ('freeze', 'unfreeze') AND e.order_id IS NULL)  -- for a dispute, which has no row
        ORDER BY e.entry_id LIMIT %(most)s
        """,  # noqa: S608  constants
        known | {"upto": last[0]["upto"], "most": ROWS_MAX},
    )
    found = [
        Difference(
            "ledger_entry_unexplained",
            row["event_id"],
            row["order_id"],
            (("entry", str(row["entry_id"])), ("cause", row["cause"]), ("cause_id", row["cause_id"])),
            "nothing of that id is there",
        )
        for row in rows
    ]
    return found, int(last[0]["upto"]) if last[0]["n"] == ENTRIES else None
