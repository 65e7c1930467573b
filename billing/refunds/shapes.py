"""The bodies of refunds and cancellations. Amounts in minor units of ``currency``; times RFC 3339, UTC."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from billing.ledger.entries import MINOR_MAX
from billing.store.refunds import Refund
from billing.store.times import to_utc

TICKETS_MAX = 200  # an order has fewer places than that

# The buyer sees it, and so do logs and tables: visible text on one line, in no need of trimming.
Reason = Annotated[
    str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$(?!\n)")
]
TicketId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class RefundBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``tickets``: which; left out: all that are good. ``amount_minor``: how much goes back; left out: what they cost.
    Less than that keeps a fee. ``seats_back``: whether the places go on sale again. The buyer sees ``reason``."""

    tickets: Annotated[list[TicketId], msgspec.Meta(min_length=1, max_length=TICKETS_MAX)] | None = None
    amount_minor: Annotated[int, msgspec.Meta(ge=0, le=MINOR_MAX)] | None = None
    reason: Reason
    seats_back: bool = False


class RefundView(msgspec.Struct, kw_only=True):
    """``state``: REQUESTED (under way), REFUNDED, or REFUSED by the provider: still owed, a person decides.
    ``card_minor`` goes back by way of the provider, ``credits_minor`` to the buyer's credits."""

    refund_id: str
    state: Literal["REQUESTED", "REFUNDED", "REFUSED"]
    amount_minor: int
    card_minor: int
    credits_minor: int
    currency: str
    reason: str
    tickets: list[str]
    requested_at: datetime
    changed_at: datetime


class AdminRefundView(RefundView, kw_only=True):
    """``job_id``: the cancellation it belongs to. ``detail``: what the provider said last."""

    order_id: str
    payment_id: str
    seats_back: bool
    job_id: str | None
    attempts: int
    detail: str | None


class RefundList(msgspec.Struct, kw_only=True):
    """The oldest first."""

    items: list[AdminRefundView]


class CancelBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``seats_back``: whether the places go on sale again. The buyers see ``reason``."""

    reason: Reason
    seats_back: bool = False


class CancellationView(msgspec.Struct, kw_only=True):
    """How far the refund of a whole event is. ``orders``: of the event; ``seen``: of these in the pass under way.
    ``pending``: orders in which money may still come, met in a later pass. ``requested``, ``refunded``, ``refused``:
    refunds of this job by state; ``refunded_minor`` has gone back, of ``amount_minor`` in all.
    ``refunded_last_minute``: how fast the money goes back."""

    job_id: str
    event_id: str
    state: Literal["RUNNING", "PAUSED", "DONE"]
    reason: str
    seats_back: bool
    passes: int
    orders: int
    seen: int
    pending: int
    requested: int
    refunded: int
    refused: int
    amount_minor: int
    refunded_minor: int
    currency: str | None
    refunded_last_minute: int
    created_at: datetime
    changed_at: datetime


def view_of(refund: Refund, tickets: Sequence[str]) -> AdminRefundView:
    return AdminRefundView(
        refund_id=refund.refund_id,
        order_id=refund.order_id,
        payment_id=refund.payment_id,
        state=refund.state,  # type: ignore[arg-type]
        amount_minor=refund.amount_minor,
        card_minor=refund.card_minor,
        credits_minor=refund.credits_minor,
        currency=refund.currency,
        reason=refund.reason,
        tickets=list(tickets),
        seats_back=refund.seats_back,
        job_id=refund.job_id,
        requested_at=to_utc(refund.requested_at),
        changed_at=to_utc(refund.changed_at),
        attempts=refund.attempts,
        detail=refund.detail,
    )


def buyers_view_of(refund: Refund, tickets: Sequence[str]) -> RefundView:
    return RefundView(
        refund_id=refund.refund_id,
        state=refund.state,  # type: ignore[arg-type]
        amount_minor=refund.amount_minor,
        card_minor=refund.card_minor,
        credits_minor=refund.credits_minor,
        currency=refund.currency,
        reason=refund.reason,
        tickets=list(tickets),
        requested_at=to_utc(refund.requested_at),
        changed_at=to_utc(refund.changed_at),
    )
