"""What the buyer is told about a payment, now and when the request is repeated."""

import msgspec

from billing.orders import rules as orders
from billing.orders.rules import Decision
from billing.orders.states import PaymentState
from billing.store import book
from billing.store.keys import Answer
from billing.store.times import rfc3339


class PaymentReply(msgspec.Struct, kw_only=True):
    """The answer to a payment. ``state``: AUTHORIZED, or STARTED while the provider's answer is not known, or while
    the buyer has not paid at ``redirect_url`` yet. ``credits_minor``: the part that credits pay."""

    payment_id: str
    order_id: str
    state: str
    amount_minor: int
    credits_minor: int
    currency: str
    started_at: str
    redirect_url: str | None = None
    redirect_until: str | None = None


class Said(msgspec.Struct, kw_only=True):
    """A problem, as it is kept to be said again."""

    code: str
    detail: str


def answer_for(record: book.Record, payment: orders.Payment, decision: Decision) -> Answer:
    """What the buyer is told about a payment that has just left STARTED for anything but FAILED."""
    if payment.state is PaymentState.DECLINED:
        reason = next((fact.reason for fact in decision.facts if fact.payment_id == payment.payment_id), None)
        said = Said(code="card_declined", detail=f"the card was declined: {reason}; another card may be tried")
        return Answer(402, msgspec.json.encode(said))
    if payment.state is PaymentState.VOIDING:
        said = Said(code="order_failed", detail="the seats were lost; no money is kept")
        return Answer(409, msgspec.json.encode(said))
    reply = PaymentReply(
        payment_id=payment.payment_id,
        order_id=record.order_id,
        state=PaymentState.AUTHORIZED,
        amount_minor=payment.amount_minor,
        credits_minor=payment.credits_minor,
        currency=record.currency,
        started_at=rfc3339(record.started_at_us[payment.payment_id]),
    )
    return Answer(201, msgspec.json.encode(reply))
