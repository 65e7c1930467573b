"""The repair of a sale or refund that stands in the books of another event: a correction that moves it."""

from collections import Counter
from typing import Any

from audit.money.hands import Hands, RepairRefused
from audit.money.judge_ledger import correction_id
from audit.money.sides import Deal, Difference
from billing.ledger import causes
from billing.ledger.accounts import Account
from billing.ledger.entries import Entry, LedgerError
from billing.store.ledger import record
from ticketflow.currencies import CurrencyUnknown
from ticketflow.runtime.mariadb import execute, query

Conn = Any
BY_EVENT = ("sales", "refunds")


async def move_to_its_event(hands: Hands, one: Difference, _: Deal | None) -> str:
    """A correction takes it out of the other event's account and puts it into its own. It has the id that every
    correction of this entry has, so that there is one; the check counts it with the entry."""
    entry_id = one.id_of("entry")
    async with hands.billing(one, "moved to its own event by a correction") as conn:
        rows = await query(
            conn,
            "SELECT cause, cause_id, currency, event_id, order_id FROM ledger_entries WHERE entry_id = %s",
            (entry_id,),
        )
        if not rows:
            raise RepairRefused("the entry is not there any more")
        wrong = rows[0]
        await _lock_its_order(conn, wrong)
        entry = await _correction(conn, entry_id, wrong)
        if not await put(conn, entry):
            raise RepairRefused(f"{entry} is written already")
    return f"wrote {entry} into the ledger"


async def _lock_its_order(conn: Conn, wrong: dict[str, Any]) -> None:
    """The order says which event is the right one: that of the entry, or nobody can be sure."""
    await execute(conn, "UPDATE orders SET version = version + 1 WHERE order_id = %s", (wrong["order_id"],))
    orders = await query(conn, "SELECT event_id FROM orders WHERE order_id = %s", (wrong["order_id"],))
    if not orders or wrong["event_id"] is None:
        raise RepairRefused("it is of no order that is there: nothing says which of the two events is the right one")
    if orders[0]["event_id"] != wrong["event_id"]:
        raise RepairRefused(
            f"its order is of event {orders[0]['event_id']}: the account may be right, and not the entry"
        )


async def _correction(conn: Conn, entry_id: str, wrong: dict[str, Any]) -> Entry:
    postings = await query(conn, "SELECT account, amount_minor FROM ledger_postings WHERE entry_id = %s", (entry_id,))
    amounts: Counter[Account] = Counter()
    try:
        for posting in postings:
            account = Account.parse(posting["account"])
            if account.kind in BY_EVENT and account.of != wrong["event_id"]:
                amounts[account] -= posting["amount_minor"]
                amounts[Account(account.kind, wrong["event_id"])] += posting["amount_minor"]
        return causes.correction(
            correction_id((wrong["cause"], wrong["cause_id"])),
            wrong["currency"],
            amounts.items(),
            "audit: moved to the event of its entry",
            event_id=wrong["event_id"],
            order_id=wrong["order_id"],
        )
    except ValueError as error:
        raise RepairRefused(f"no correction can be made of this: {error}") from error


async def put(conn: Conn, entry: Entry) -> int:
    """How many were written: none when it was there. Raises RepairRefused for what the ledger will not take."""
    try:
        return await record(conn, [entry])
    except (LedgerError, CurrencyUnknown) as error:
        raise RepairRefused(f"the ledger refuses {entry}: {error}") from error
