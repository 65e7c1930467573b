"""The rules of an order and of the payments for it.

Laws:
- No clock, no store, no provider here: an order and what happened go in, the order as it then stands and the facts
  to be written down come out. Whoever calls does both in one transaction that holds the order's row.
- An order ends CONFIRMED with exactly its total captured, or FAILED with nothing captured. There is no third end.
- Only reservation says whether the seats are sold: a payment that is AUTHORIZED leaves that state by ``hold.sold`` or
  ``hold.lost`` and by nothing else. That the hold ended is remembered (``closing``), and decides only when no payment
  is live any more: a late settlement may still find the seats free.
- At most one payment of an order is live, and one that took money stays live for ever.
- What is not in the table (states.py) does not happen: an answer that comes twice, or too late, changes nothing.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from billing.states import CONTRADICTIONS, NOT_LIVE, PAYMENT_MOVES, Happening, OrderState, PaymentState
from ticketflow.events import EndReason


class Code(StrEnum):
    """What an order's history can say. Some of these are also events for the other services."""

    ORDER_PENDING = "order_pending"
    PAYMENT_STARTED = "payment_started"
    PAYMENT_AUTHORIZED = "payment_authorized"
    PAYMENT_DECLINED = "payment_declined"
    PAYMENT_FAILED = "payment_failed"
    HOLD_ENDED = "hold_ended"
    SEATS_SOLD = "seats_sold"
    SEATS_LOST = "seats_lost"
    PAYMENT_CAPTURED = "payment_captured"
    CAPTURE_REFUSED = "capture_refused"
    PAYMENT_VOIDED = "payment_voided"
    TICKETS_ISSUED = "tickets_issued"
    ORDER_CONFIRMED = "order_confirmed"
    ORDER_FAILED = "order_failed"
    CONTRADICTION = "contradiction"


class Refusal(StrEnum):
    """Why no payment may start. The values are the problem codes of the API."""

    PAYMENT_IN_PROGRESS = "payment_in_progress"
    ORDER_CONFIRMED = "order_confirmed"
    ORDER_FAILED = "order_failed"
    HOLD_EXPIRED = "hold_expired"


@dataclass(frozen=True)
class Payment:
    payment_id: str
    state: PaymentState
    amount_minor: int

    @property
    def live(self) -> bool:
        return self.state not in NOT_LIVE


@dataclass(frozen=True)
class Order:
    """``closing``: why nobody may pay any more; the order fails for it unless a live payment still succeeds."""

    total_minor: int
    state: OrderState = OrderState.PENDING
    closing: EndReason | None = None
    payments: tuple[Payment, ...] = ()

    @property
    def live_payment(self) -> Payment | None:
        return next((payment for payment in self.payments if payment.live), None)

    def payment(self, payment_id: str) -> Payment | None:
        return next((payment for payment in self.payments if payment.payment_id == payment_id), None)

    @property
    def captured_minor(self) -> int:
        return sum(p.amount_minor for p in self.payments if p.state is PaymentState.CAPTURED)


@dataclass(frozen=True)
class Fact:
    code: Code
    payment_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Decision:
    """The order as it stands now, and what is to be written down about it. No facts: nothing has changed."""

    order: Order
    facts: tuple[Fact, ...] = ()


def start_payment(order: Order, payment_id: str, *, in_time: bool) -> Decision | Refusal:
    """Begins a payment of the whole total. ``in_time``: the hold's time is not over, by the database's clock."""
    if order.state is OrderState.CONFIRMED:
        return Refusal.ORDER_CONFIRMED
    if order.state is OrderState.FAILED:
        return Refusal.ORDER_FAILED
    if order.live_payment is not None:
        return Refusal.PAYMENT_IN_PROGRESS
    if not in_time:
        return Refusal.HOLD_EXPIRED
    payment = Payment(payment_id, PaymentState.STARTED, order.total_minor)
    return Decision(
        replace(order, payments=(*order.payments, payment)),
        (Fact(Code.PAYMENT_STARTED, payment_id),),
    )


def hold_ended(order: Order, reason: EndReason) -> Decision:
    """The hold was released or has expired."""
    if order.state is not OrderState.PENDING or order.closing is not None:
        return Decision(order)
    return _settle_up(replace(order, closing=reason), (Fact(Code.HOLD_ENDED, reason=reason),))


def seats_sold(order: Order, payment_id: str) -> Decision:
    """reservation gave the seats to this payment."""
    return _happened(order, payment_id, Happening.SOLD, Fact(Code.SEATS_SOLD, payment_id))


def seats_lost(order: Order, payment_id: str, reason: EndReason) -> Decision:
    """reservation cannot give the seats to this payment, nor to any other of this order."""
    fact = Fact(Code.SEATS_LOST, payment_id, reason)
    payment = order.payment(payment_id)
    if payment is not None and (payment.state, Happening.LOST) in CONTRADICTIONS:
        return _happened(order, payment_id, Happening.LOST, fact)
    if order.state is not OrderState.PENDING:
        return Decision(order)
    closing = replace(order, closing=reason)  # over an earlier reason: this is reservation's last word
    if payment is not None and Happening.LOST in PAYMENT_MOVES[payment.state]:
        return _happened(closing, payment_id, Happening.LOST, fact)
    return Decision(order) if order.closing is not None else _settle_up(closing, (fact,))


def authorized(order: Order, payment_id: str) -> Decision:
    """The provider set the money aside."""
    return _happened(order, payment_id, Happening.AUTHORIZED, Fact(Code.PAYMENT_AUTHORIZED, payment_id))


def declined(order: Order, payment_id: str, reason: str) -> Decision:
    """The provider refused the card. Another one may be tried while the hold lasts."""
    return _happened(order, payment_id, Happening.DECLINED, Fact(Code.PAYMENT_DECLINED, payment_id, reason))


def not_charged(order: Order, payment_id: str, reason: str) -> Decision:
    """It is certain that the provider did nothing."""
    return _happened(order, payment_id, Happening.NOT_CHARGED, Fact(Code.PAYMENT_FAILED, payment_id, reason))


def captured(order: Order, payment_id: str) -> Decision:
    """The money is ours; with it the tickets are the buyer's."""
    return _happened(order, payment_id, Happening.CAPTURED, Fact(Code.PAYMENT_CAPTURED, payment_id))


def capture_refused(order: Order, payment_id: str) -> Decision:
    """The provider will never capture this (it lapsed, say): no tickets, and whatever is left of it goes back."""
    payment = order.payment(payment_id)
    if payment is None or Happening.CAPTURE_REFUSED not in PAYMENT_MOVES[payment.state]:
        return Decision(order)
    closing = replace(order, closing=order.closing or "capture_refused")
    return _happened(closing, payment_id, Happening.CAPTURE_REFUSED, Fact(Code.CAPTURE_REFUSED, payment_id))


def voided(order: Order, payment_id: str) -> Decision:
    """Nothing of it is held back any more."""
    return _happened(order, payment_id, Happening.VOIDED, Fact(Code.PAYMENT_VOIDED, payment_id, order.closing))


def _happened(order: Order, payment_id: str, happening: Happening, fact: Fact) -> Decision:
    payment = order.payment(payment_id)
    if payment is None:
        return Decision(order, (Fact(Code.CONTRADICTION, payment_id, f"{happening}: no such payment"),))
    after = PAYMENT_MOVES[payment.state].get(happening)
    if after is None:
        if (payment.state, happening) in CONTRADICTIONS:
            return Decision(order, (Fact(Code.CONTRADICTION, payment_id, f"{happening} while {payment.state}"),))
        return Decision(order)
    payments = tuple(replace(p, state=after) if p is payment else p for p in order.payments)
    return _settle_up(replace(order, payments=payments), (fact,))


def _settle_up(order: Order, facts: tuple[Fact, ...]) -> Decision:
    """Ends the order if nothing more can happen to it."""
    if order.state is not OrderState.PENDING:
        return Decision(order, facts)
    live = order.live_payment
    if live is not None and live.state is PaymentState.CAPTURED:
        ends = (Fact(Code.TICKETS_ISSUED, live.payment_id), Fact(Code.ORDER_CONFIRMED, live.payment_id))
        return Decision(replace(order, state=OrderState.CONFIRMED), facts + ends)
    if live is None and order.closing is not None:
        return Decision(
            replace(order, state=OrderState.FAILED), (*facts, Fact(Code.ORDER_FAILED, reason=order.closing))
        )
    return Decision(order, facts)
