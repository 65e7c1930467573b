"""From the moves of payments to entries of the ledger. Pure."""

from collections.abc import Iterator, Mapping

from billing.ledger import causes
from billing.ledger.causes import Purchase
from billing.ledger.entries import Entry
from billing.orders.rules import Order
from billing.orders.states import NOT_LIVE, PaymentState


def entries_of(purchase: Purchase, before: Order, after: Order, providers: Mapping[str, str]) -> list[Entry]:
    """What has to be written down in the transaction that makes ``after`` of ``before``. ``providers``: who takes the
    card's part, by payment."""
    return list(_entries(purchase, before, after, providers))


def _entries(purchase: Purchase, before: Order, after: Order, providers: Mapping[str, str]) -> Iterator[Entry]:
    for payment in after.payments:
        old = before.payment(payment.payment_id)
        if old is not None and old.state is payment.state:
            continue
        credits_minor = payment.credits_minor
        if old is None and credits_minor:
            yield causes.freeze(purchase, payment.payment_id, credits_minor)
        if payment.state in NOT_LIVE and credits_minor:
            yield causes.unfreeze(purchase, payment.payment_id, credits_minor)
        if payment.state is PaymentState.CAPTURED and payment.amount_minor:
            yield causes.capture(
                purchase,
                payment.payment_id,
                providers[payment.payment_id],
                card_minor=payment.card_minor,
                credits_minor=credits_minor,
            )
