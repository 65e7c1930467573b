"""A buyer's credits: the operations on the ledger that a purchase needs, and what a buyer may read of it.

Each runs in the caller's transaction and raises what ``ledger.record`` raises; each may be repeated with the same ids.
What moves nothing writes nothing. True: it was written now; False: it had been before, or there was nothing to write.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.ledger import causes
from billing.ledger.accounts import frozen, wallet
from billing.ledger.causes import Purchase, VerifiedWebhook
from billing.ledger.entries import Entry
from billing.store import ledger
from ticketflow.runtime.mariadb import query

Conn = Any

PAGE_MAX = 200


@dataclass(frozen=True)
class Balance:
    """What a buyer has in one currency; minor units, none below zero."""

    currency: str
    available_minor: int
    frozen_minor: int


@dataclass(frozen=True)
class Movement:
    """One entry as its buyer sees it. The changes are above zero for what the buyer gained; ``..._after``: what stood
    there when it was written."""

    entry_id: int
    at: datetime
    cause: str
    cause_id: str
    order_id: str | None
    event_id: str | None
    available_change_minor: int
    frozen_change_minor: int
    available_after_minor: int
    frozen_after_minor: int


async def top_up(
    conn: Conn, topup_id: str, buyer_id: str, amount_minor: int, currency: str, webhook: VerifiedWebhook
) -> bool:
    """Credits that were bought, as a verified webhook says; once for each top-up, and once for each webhook."""
    return await _record(conn, causes.topup(topup_id, buyer_id, amount_minor, currency, webhook))


async def freeze(conn: Conn, purchase: Purchase, payment_id: str, credits_minor: int) -> bool:
    """Sets credits aside for a payment. Raises InsufficientCredits, and has then changed nothing."""
    return credits_minor != 0 and await _record(conn, causes.freeze(purchase, payment_id, credits_minor))


async def unfreeze(conn: Conn, purchase: Purchase, payment_id: str, credits_minor: int) -> bool:
    """That payment will not be: all it had frozen can be spent again."""
    return credits_minor != 0 and await _record(conn, causes.unfreeze(purchase, payment_id, credits_minor))


async def spend(
    conn: Conn, purchase: Purchase, payment_id: str, provider: str, *, card_minor: int, credits_minor: int
) -> bool:
    """The payment is captured: what the card brought, and the credits that were frozen for it, are the event's sale."""
    if card_minor == credits_minor == 0:
        return False
    entry = causes.capture(purchase, payment_id, provider, card_minor=card_minor, credits_minor=credits_minor)
    return await _record(conn, entry)


async def give_back(conn: Conn, purchase: Purchase, refund_id: str, credits_minor: int) -> bool:
    """The credits' part of a refund."""
    return credits_minor != 0 and await _record(conn, causes.refund_credits(purchase, refund_id, credits_minor))


async def balances(conn: Conn, buyer_id: str) -> list[Balance]:
    """By currency; only those in which the buyer ever had anything."""
    rows = await query(
        conn,
        """
        SELECT currency, -SUM(IF(account = %(wallet)s, balance_minor, 0)) AS available_minor,
               -SUM(IF(account = %(frozen)s, balance_minor, 0)) AS frozen_minor
        FROM ledger_balances WHERE account IN (%(wallet)s, %(frozen)s) GROUP BY currency ORDER BY currency
        """,
        _names(buyer_id),
    )
    return [Balance(row["currency"], int(row["available_minor"]), int(row["frozen_minor"])) for row in rows]


async def statement(
    conn: Conn, buyer_id: str, currency: str, *, before: int | None = None, limit: int = 50
) -> list[Movement]:
    """One page, the newest first. ``before``: the ``entry_id`` of the last one on the page before."""
    one_account = """
        (SELECT e.entry_id, p.account, p.amount_minor FROM ledger_postings p JOIN ledger_entries e USING (entry_id)
         WHERE p.account = %({name})s AND p.entry_id < %(before)s AND e.currency = %(currency)s
         ORDER BY p.entry_id DESC LIMIT %(limit)s)"""
    known = _names(buyer_id) | {
        "before": before if before is not None else 2**63 - 1,
        "currency": currency,
        "limit": min(max(limit, 1), PAGE_MAX),
    }
    rows = await query(
        conn,
        f"""
        SELECT e.entry_id, e.at, e.cause, e.cause_id, e.order_id, e.event_id,
               -SUM(IF(p.account = %(wallet)s, p.amount_minor, 0)) AS available_minor,
               -SUM(IF(p.account = %(frozen)s, p.amount_minor, 0)) AS frozen_minor
        FROM ({one_account.format(name="wallet")} UNION ALL {one_account.format(name="frozen")}) p
        JOIN ledger_entries e USING (entry_id)
        GROUP BY e.entry_id ORDER BY e.entry_id DESC LIMIT %(limit)s
        """,  # noqa: S608  constants only
        known,
    )
    if not rows:
        return []
    available_minor, frozen_minor = await _standing(conn, buyer_id, currency, rows[0]["entry_id"])
    page = []
    for row in rows:
        available_change, frozen_change = int(row["available_minor"]), int(row["frozen_minor"])
        named = {name: row[name] for name in ("entry_id", "at", "cause", "cause_id", "order_id", "event_id")}
        page.append(
            Movement(
                **named,
                available_change_minor=available_change,
                frozen_change_minor=frozen_change,
                available_after_minor=available_minor,
                frozen_after_minor=frozen_minor,
            )
        )
        available_minor -= available_change
        frozen_minor -= frozen_change
    return page


async def _standing(conn: Conn, buyer_id: str, currency: str, entry_id: int) -> tuple[int, int]:
    """What stood on wallet and frozen account after an entry: the sum of all their postings up to there."""
    rows = await query(
        conn,
        """
        SELECT -COALESCE(SUM(IF(p.account = %(wallet)s, p.amount_minor, 0)), 0) AS available_minor,
               -COALESCE(SUM(IF(p.account = %(frozen)s, p.amount_minor, 0)), 0) AS frozen_minor
        FROM ledger_postings p JOIN ledger_entries e USING (entry_id)
        WHERE p.account IN (%(wallet)s, %(frozen)s) AND p.entry_id <= %(entry_id)s AND e.currency = %(currency)s
        """,
        _names(buyer_id) | {"entry_id": entry_id, "currency": currency},
    )
    return int(rows[0]["available_minor"]), int(rows[0]["frozen_minor"])


def _names(buyer_id: str) -> dict[str, Any]:
    return {"wallet": str(wallet(buyer_id)), "frozen": str(frozen(buyer_id))}


async def _record(conn: Conn, entry: Entry) -> bool:
    return await ledger.record(conn, [entry]) == 1
