"""Repairs of single entries of the ledger, by their own ids: a top-up that is missing, a sale in wrong books."""

from collections import Counter
from typing import Any

from audit.money.hands import Hands, RepairRefused
from audit.money.judge_ledger import correction_id
from audit.money.sides import Deal, Difference
from billing.ledger import causes
from billing.ledger.accounts import Account
from billing.ledger.causes import VerifiedWebhook
from billing.ledger.entries import Entry, LedgerError
from billing.providers.port import ProviderError
from billing.store.ledger import record
from ticketflow.currencies import CurrencyUnknown
from ticketflow.runtime.mariadb import execute, query

Conn = Any
BY_EVENT = ("sales", "refunds")


async def write_topup(hands: Hands, one: Difference, _: Deal | None) -> str:
    """With the webhook that was applied to it, and while the provider keeps its money, if it can be asked."""
    topup_id = one.id_of("topup")
    kept_minor = await _kept(hands, topup_id)
    async with hands.billing(one, "wrote its entry") as conn:
        rows = await query(
            conn,
            "SELECT buyer_id, state, amount_minor, currency, provider, authorization_id FROM topups"
            " WHERE topup_id = %s FOR UPDATE",
            (topup_id,),
        )
        if not rows or rows[0]["state"] != "CREDITED":
            raise RepairRefused("it is no longer credited")
        topup = rows[0]
        if kept_minor is not None and kept_minor < topup["amount_minor"] and _is_set_up(hands, topup["provider"]):
            raise RepairRefused(f"the provider keeps {kept_minor} of it: see topup_credited_not_paid")
        webhook_id = await _evidence(conn, topup_id, topup)
        webhook = VerifiedWebhook(webhook_id, topup["provider"])
        await _record(
            conn, causes.topup(topup_id, topup["buyer_id"], topup["amount_minor"], topup["currency"], webhook)
        )
    return f"wrote topup {topup_id} into the ledger, with webhook {webhook_id}"


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
        if not await _record(conn, entry):
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


async def _evidence(conn: Conn, topup_id: str, topup: dict[str, Any]) -> str:
    """As the credit is given: a webhook that was applied, and was about this very money."""
    rows = await query(
        conn,
        """
        SELECT webhook_id FROM webhooks
        WHERE reference = %s AND provider = %s AND state = 'APPLIED'
          AND (authorization_id IS NULL OR %s IS NULL OR authorization_id = %s)
        ORDER BY webhook_id LIMIT 1
        """,
        (topup_id, topup["provider"], topup["authorization_id"], topup["authorization_id"]),
    )
    if not rows:
        raise RepairRefused("no webhook was applied to it: an entry without evidence cannot be; ask the provider")
    return str(rows[0]["webhook_id"])


async def _record(conn: Conn, entry: Entry) -> int:
    try:
        return await record(conn, [entry])
    except (LedgerError, CurrencyUnknown) as error:
        raise RepairRefused(f"the ledger refuses {entry}: {error}") from error


async def _kept(hands: Hands, topup_id: str) -> int | None:
    """None: nobody can be asked."""
    if hands.provider is None:
        return None
    try:
        return sum(one.kept_minor for one in await hands.provider.fetch_all(topup_id))
    except ProviderError as error:
        raise RepairRefused(f"the provider: {type(error).__name__} {error}") from error


def _is_set_up(hands: Hands, provider: str) -> bool:
    return hands.provider is not None and hands.provider.name == provider
