"""What each cause writes down: the table of docs/money.md. Pure.

Amounts are above zero, in minor units. What moves nothing makes no entry: a free order has none.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from billing.ledger.accounts import Account, clearing, fees, frozen, refunds, sales, wallet
from billing.ledger.entries import BadEntry, Cause, Entry, entry


@dataclass(frozen=True)
class Purchase:
    """The order that money moves for."""

    order_id: str
    event_id: str
    buyer_id: str
    currency: str


@dataclass(frozen=True)
class VerifiedWebhook:
    """A webhook whose signature was checked: the inbox makes it from the row it has stored, and nobody else."""

    webhook_id: str
    provider: str


def topup(topup_id: str, buyer_id: str, amount_minor: int, currency: str, webhook: VerifiedWebhook) -> Entry:
    """Credits were bought. ``topup_id`` is our reference at the provider: a provider that tells of one top-up in two
    webhooks credits it once, and one webhook credits one top-up."""
    _check(amount_minor)
    return entry(
        Cause.TOPUP,
        topup_id,
        currency,
        [(clearing(webhook.provider), amount_minor), (wallet(buyer_id), -amount_minor)],
        evidence=webhook.webhook_id,
    )


def freeze(purchase: Purchase, payment_id: str, credits_minor: int) -> Entry:
    """A payment that uses credits begins."""
    _check(credits_minor)
    return _of(
        purchase,
        Cause.FREEZE,
        payment_id,
        [(wallet(purchase.buyer_id), credits_minor), (frozen(purchase.buyer_id), -credits_minor)],
    )


def unfreeze(purchase: Purchase, payment_id: str, credits_minor: int) -> Entry:
    """That payment will not be."""
    _check(credits_minor)
    return _of(
        purchase,
        Cause.UNFREEZE,
        payment_id,
        [(frozen(purchase.buyer_id), credits_minor), (wallet(purchase.buyer_id), -credits_minor)],
    )


def freeze_part(freeze_id: str, buyer_id: str, amount_minor: int, currency: str, reason: str) -> Entry:
    """A part of a buyer's credits is in dispute: it stays the buyer's, and cannot be spent."""
    _check(amount_minor)
    amounts = [(wallet(buyer_id), amount_minor), (frozen(buyer_id), -amount_minor)]
    return entry(Cause.FREEZE, freeze_id, currency, amounts, note=reason)


def unfreeze_part(freeze_id: str, buyer_id: str, amount_minor: int, currency: str) -> Entry:
    """The dispute is over: all that was frozen for it can be spent again."""
    _check(amount_minor)
    amounts = [(frozen(buyer_id), amount_minor), (wallet(buyer_id), -amount_minor)]
    return entry(Cause.UNFREEZE, freeze_id, currency, amounts)


def capture(purchase: Purchase, payment_id: str, provider: str, *, card_minor: int, credits_minor: int) -> Entry:
    """The order is paid: by card, by credits that were frozen for this payment, or by both. ``provider`` is not looked
    at when no card pays."""
    _check(card_minor, credits_minor)
    taken = [(clearing(provider), card_minor)] if card_minor else []
    spent = [(frozen(purchase.buyer_id), credits_minor)] if credits_minor else []
    return _of(
        purchase,
        Cause.CAPTURE,
        payment_id,
        [*taken, *spent, (sales(purchase.event_id), -(card_minor + credits_minor))],
    )


def refund(purchase: Purchase, refund_id: str, provider: str, card_minor: int) -> Entry:
    """The provider gave money back to the card. How much of a refund that is, refund_split.py says."""
    _check(card_minor)
    return _of(
        purchase,
        Cause.REFUND,
        refund_id,
        [(refunds(purchase.event_id), card_minor), (clearing(provider), -card_minor)],
    )


def refund_credits(purchase: Purchase, refund_id: str, credits_minor: int) -> Entry:
    """Credits went back to the buyer's wallet. Apart from the card's part, which waits for the provider."""
    _check(credits_minor)
    return _of(
        purchase,
        Cause.REFUND_CREDITS,
        refund_id,
        [(refunds(purchase.event_id), credits_minor), (wallet(purchase.buyer_id), -credits_minor)],
    )


def fee(
    provider: str,
    fee_id: str,
    amount_minor: int,
    currency: str,
    *,
    event_id: str | None = None,
    order_id: str | None = None,
) -> Entry:
    """The provider keeps this out of what it has taken for us."""
    _check(amount_minor)
    return entry(
        Cause.FEE,
        fee_id,
        currency,
        [(fees(provider), amount_minor), (clearing(provider), -amount_minor)],
        event_id=event_id,
        order_id=order_id,
    )


def correction(
    correction_id: str,
    currency: str,
    amounts: Iterable[tuple[Account, int]],
    note: str,
    *,
    event_id: str | None = None,
    order_id: str | None = None,
) -> Entry:
    """A person puts something right, and says why. Any accounts; it has to balance all the same."""
    return entry(Cause.CORRECTION, correction_id, currency, amounts, note=note, event_id=event_id, order_id=order_id)


def _of(purchase: Purchase, cause: Cause, cause_id: str, amounts: Iterable[tuple[Account, int]]) -> Entry:
    return entry(cause, cause_id, purchase.currency, amounts, order_id=purchase.order_id, event_id=purchase.event_id)


def _check(*parts_minor: int) -> None:
    if any(type(part) is not int for part in parts_minor) or min(parts_minor) < 0 or sum(parts_minor) == 0:
        raise BadEntry(f"{parts_minor}: amounts are integers, none below zero, and not all of them zero")
