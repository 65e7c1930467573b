"""Repairs of the ledger, written by billing's own hand: the real cause where one is missing, else a correction."""

from audit.ledger_repair import rebuild_balance
from audit.money.hands import Hands, RepairRefused
from audit.money.judge_ledger import correction_id, delta_of
from audit.money.sides import Deal, Difference, Order
from billing.ledger import causes
from billing.ledger.accounts import Account
from billing.ledger.causes import Purchase
from billing.ledger.entries import Entry, LedgerError
from billing.store.ledger import record
from ticketflow.currencies import CurrencyUnknown


async def write_missing(hands: Hands, one: Difference, deal: Deal) -> str:
    assert deal.order is not None
    return await _write(hands, one, _real(deal.order, one))


async def correct(hands: Hands, one: Difference, deal: Deal) -> str:
    assert deal.order is not None
    order, cause = deal.order, (one.id_of("cause"), _id(one))
    if cause not in order.entries and cause[0] == "freeze":
        return await _write(hands, one, _real(order, one))
    try:
        amounts = [(Account.parse(account), minor) for account, minor in delta_of(order, cause).items()]
        entry = causes.correction(
            correction_id(cause),
            order.currency,
            amounts,
            f"audit: {one.detail}"[:255],
            event_id=order.event_id,
            order_id=order.order_id,
        )
    except ValueError as error:
        raise RepairRefused(f"no correction can be made of this: {error}") from error
    return await _write(hands, one, entry)


async def rebuild(hands: Hands, one: Difference, _: Deal | None) -> str:
    account, currency = one.id_of("account"), one.id_of("currency")
    async with hands.billing(one, "rebuilt from its postings") as conn:
        added = await rebuild_balance(conn, account, currency)
    return f"added {added} to the balance of {account}"


def _real(order: Order, one: Difference) -> Entry:
    purchase = Purchase(order.order_id, order.event_id, order.buyer_id, order.currency)
    payments = {payment.payment_id: payment for payment in order.payments}
    refunds = {refund.refund_id: refund for refund in order.refunds}
    match one.id_of("cause"), _id(one):
        case "capture", id_:
            payment = payments[id_]
            return causes.capture(
                purchase, id_, payment.provider, card_minor=payment.card_minor, credits_minor=payment.credits_minor
            )
        case "freeze", id_:
            return causes.freeze(purchase, id_, payments[id_].credits_minor)
        case "unfreeze", id_:
            return causes.unfreeze(purchase, id_, payments[id_].credits_minor)
        case "refund", id_:
            provider = payments[refunds[id_].payment_id].provider
            return causes.refund(purchase, id_, provider, refunds[id_].card_minor)
        case "refund_credits", id_:
            return causes.refund_credits(purchase, id_, refunds[id_].credits_minor)
        case cause, _:
            raise RepairRefused(f"{cause} is no cause of an order")


async def _write(hands: Hands, one: Difference, entry: Entry) -> str:
    try:
        async with hands.billing(one, f"wrote {entry}") as conn:
            await record(conn, [entry])
    except (LedgerError, CurrencyUnknown) as error:
        raise RepairRefused(f"the ledger refuses {entry}: {error}") from error
    return f"wrote {entry} into the ledger"


def _id(one: Difference) -> str:
    return next(id_ for what, id_ in one.ids if what in ("payment", "refund"))
