"""The states of orders and payments, and the table of a payment's moves.

Laws: this table is the only place that says which move there is; orders.py reads it, docs and tests read it. What is
not in it does not happen.
"""

from collections.abc import Mapping
from enum import StrEnum


class OrderState(StrEnum):
    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    FAILED = "FAILED"
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"  # some of the money has gone back, or some of the tickets are void
    REFUNDED = "REFUNDED"  # all of the money has gone back, and no ticket is good


PAID = frozenset({OrderState.CONFIRMED, OrderState.PARTIALLY_REFUNDED, OrderState.REFUNDED})


class PaymentState(StrEnum):
    STARTED = "STARTED"  # the provider may or may not have been asked
    AUTHORIZED = "AUTHORIZED"  # money set aside; reservation is being asked to settle
    DECLINED = "DECLINED"
    FAILED = "FAILED"  # definitely not charged, for a reason that is not the card's
    SETTLED = "SETTLED"  # the seats are sold: capture is due
    CAPTURED = "CAPTURED"
    VOIDING = "VOIDING"  # the seats are lost: void is due
    VOIDED = "VOIDED"


class Happening(StrEnum):
    """What can happen to a payment: answers of the provider, and reservation's word about the seats."""

    AUTHORIZED = "authorized"
    DECLINED = "declined"
    NOT_CHARGED = "not_charged"
    SOLD = "sold"
    LOST = "lost"
    CAPTURED = "captured"
    CAPTURE_REFUSED = "capture_refused"
    VOIDED = "voided"


# STARTED answers to sold and lost too: a store that lost its last commits may have forgotten an authorisation that
# the other services have already acted on. Capture and void then find it at the provider by its reference.
PAYMENT_MOVES: Mapping[PaymentState, Mapping[Happening, PaymentState]] = {
    PaymentState.STARTED: {
        Happening.AUTHORIZED: PaymentState.AUTHORIZED,
        Happening.DECLINED: PaymentState.DECLINED,
        Happening.NOT_CHARGED: PaymentState.FAILED,
        Happening.SOLD: PaymentState.SETTLED,
        Happening.LOST: PaymentState.VOIDING,
    },
    PaymentState.AUTHORIZED: {
        Happening.SOLD: PaymentState.SETTLED,
        Happening.LOST: PaymentState.VOIDING,
    },
    PaymentState.SETTLED: {
        Happening.CAPTURED: PaymentState.CAPTURED,
        Happening.CAPTURE_REFUSED: PaymentState.VOIDING,
    },
    PaymentState.VOIDING: {
        Happening.VOIDED: PaymentState.VOIDED,
    },
    PaymentState.DECLINED: {},
    PaymentState.FAILED: {},
    PaymentState.CAPTURED: {},
    PaymentState.VOIDED: {},
}

NOT_LIVE = frozenset({PaymentState.DECLINED, PaymentState.FAILED, PaymentState.VOIDED})

# Two stores disagree when these meet. Nothing is done about it here; it is written down for reconciliation.
CONTRADICTIONS = frozenset(
    {(state, Happening.SOLD) for state in (*NOT_LIVE, PaymentState.VOIDING)}
    | {(state, Happening.LOST) for state in (PaymentState.SETTLED, PaymentState.CAPTURED)}
)
