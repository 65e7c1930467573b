"""Repairs of top-ups that were credited: the entry that is missing, and money that the provider does not keep."""

from typing import Any

from audit.money.hands import Hands, RepairRefused
from audit.money.repair_entries import put
from audit.money.sides import Deal, Difference
from billing.ledger import causes
from billing.ledger.causes import VerifiedWebhook
from billing.providers.port import ProviderError
from ticketflow.runtime.mariadb import query

Conn = Any
REASON = "audit: the provider does not keep this money"


async def write_topup(hands: Hands, one: Difference, _: Deal | None) -> str:
    """With the webhook that was applied to it, and while the provider keeps its money, if it can be asked."""
    topup_id = one.id_of("topup")
    kept_minor = await _kept(hands, topup_id)
    async with hands.billing(one, "wrote its entry") as conn:
        topup = await _locked(conn, topup_id)
        if kept_minor is not None and kept_minor < topup["amount_minor"] and _is_set_up(hands, topup["provider"]):
            raise RepairRefused(f"the provider keeps {kept_minor} of it: see topup_credited_not_paid")
        webhook_id = await _evidence(conn, topup_id, topup)
        webhook = VerifiedWebhook(webhook_id, topup["provider"])
        entry = causes.topup(topup_id, topup["buyer_id"], topup["amount_minor"], topup["currency"], webhook)
        await put(conn, entry)
    return f"wrote {entry} into the ledger, with webhook {webhook_id}"


async def freeze_missing(hands: Hands, one: Difference, _: Deal | None) -> str:
    """Under the top-up's id, by which an operator releases it: what cannot be spent is no longer lost."""
    topup_id = one.id_of("topup")
    kept_minor = await _kept(hands, topup_id)
    async with hands.billing(one, "froze what the provider does not keep") as conn:
        topup = await _locked(conn, topup_id)
        if kept_minor is None or not _is_set_up(hands, topup["provider"]):
            raise RepairRefused(f"{topup['provider']} is not set up here: nobody can be asked what it keeps")
        await _nothing_in_dispute(conn, topup)
        missing_minor = topup["amount_minor"] - kept_minor
        wallet_minor = await _wallet(conn, topup)
        frozen_minor = min(missing_minor, wallet_minor)
        if frozen_minor <= 0:
            raise RepairRefused(f"{missing_minor} are missing, and its buyer has {wallet_minor}: ask the buyer")
        entry = causes.freeze_part(topup_id, topup["buyer_id"], frozen_minor, topup["currency"], REASON)
        if not await put(conn, entry):
            raise RepairRefused("it was frozen before, and released")
    left_minor = missing_minor - frozen_minor
    return f"froze {frozen_minor} under {topup_id}" + (f"; {left_minor} are spent: ask the buyer" if left_minor else "")


async def _locked(conn: Conn, topup_id: str) -> dict[str, Any]:
    rows = await query(
        conn,
        "SELECT buyer_id, state, amount_minor, currency, provider, authorization_id FROM topups"
        " WHERE topup_id = %s FOR UPDATE",
        (topup_id,),
    )
    if not rows or rows[0]["state"] != "CREDITED":
        raise RepairRefused("it is no longer credited")
    return rows[0]


async def _nothing_in_dispute(conn: Conn, topup: dict[str, Any]) -> None:
    """An operator may have frozen these credits already, under an id of his own."""
    rows = await query(
        conn,
        """
        SELECT e.cause_id FROM ledger_postings p JOIN ledger_entries e USING (entry_id)
        WHERE p.account = %s AND e.cause = 'freeze' AND e.order_id IS NULL AND e.currency = %s
          AND NOT EXISTS (SELECT 1 FROM ledger_entries u WHERE u.cause = 'unfreeze' AND u.cause_id = e.cause_id)
        LIMIT 1
        """,
        (f"frozen:{topup['buyer_id']}", topup["currency"]),
    )
    if rows:
        raise RepairRefused(f"a part of its buyer's credits is frozen already, and may be these: {rows[0]['cause_id']}")


async def _wallet(conn: Conn, topup: dict[str, Any]) -> int:
    rows = await query(
        conn,
        "SELECT balance_minor FROM ledger_balances WHERE account = %s AND currency = %s AND part = 0 FOR UPDATE",
        (f"wallet:{topup['buyer_id']}", topup["currency"]),
    )
    return -rows[0]["balance_minor"] if rows else 0


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
