"""The rules of an order and of the payments for it, until it is paid. What comes after is in refunds/rules.py.

Laws:
- No clock, no store, no provider here: an order and what happened go in, the order as it then stands and the facts
  to be written down come out. Whoever calls does both in one transaction that holds the order's row.
- An order ends CONFIRMED with exactly its total captured, or FAILED with nothing captured. There is no third end.
- Only reservation says whether the seats are sold: a payment that is AUTHORIZED leaves that state by ``hold.sold`` or
  ``hold.lost`` and by nothing else. That the hold ended is remembered (``closing``), and decides only when no payment
  is live any more: a late settlement may still find the seats free.
- At most one payment of an order is live, and one that took money stays live for ever.
- A payment that waits for its buyer on the provider's page gives way to another one: money that comes by it all the
  same is given back.
- What is not in the table (states.py) does not happen: an answer that comes twice, or too late, changes nothing.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from billing.orders.states import CONTRADICTIONS, NOT_LIVE, PAID, PAYMENT_MOVES, Happening, OrderState, PaymentState
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
    SEATS_MOVED = "seats_moved"
    SEATS_LOST = "seats_lost"
    SEATS_RETURNED = "seats_returned"
    PAYMENT_CAPTURED = "payment_captured"
    CAPTURE_REFUSED = "capture_refused"
    PAYMENT_VOIDED = "payment_voided"
    TICKETS_ISSUED = "tickets_issued"
    ORDER_CONFIRMED = "order_confirmed"
    ORDER_FAILED = "order_failed"
    REFUND_REQUESTED = "refund_requested"
    TICKETS_VOIDED = "tickets_voided"
    REFUND_PAID = "refund_paid"
    REFUND_REFUSED = "refund_refused"
    ORDER_PARTIALLY_REFUNDED = "order_partially_refunded"
    ORDER_REFUNDED = "order_refunded"
    CONTRADICTION = "contradiction"


# An order that fails for one of these had its seats sold to it: they have to go back.
SEATS_SOLD_REASONS: frozenset[EndReason] = frozenset({"capture_refused", "tickets_failed"})


class Refusal(StrEnum):
    """Why no payment may start. The values are the problem codes of the API."""

    PAYMENT_IN_PROGRESS = "payment_in_progress"
    ORDER_CONFIRMED = "order_confirmed"
    ORDER_FAILED = "order_failed"
    HOLD_EXPIRED = "hold_expired"


@dataclass(frozen=True)
class Payment:
    """``credits_minor``: the part of the amount that credits pay. ``redirect``: on a page of the provider's."""

    payment_id: str
    state: PaymentState
    amount_minor: int
    credits_minor: int = 0
    redirect: bool = False

    @property
    def card_minor(self) -> int:
        """What the provider takes; of nothing it is not told."""
        return self.amount_minor - self.credits_minor

    @property
    def gives_way(self) -> bool:
        """Whether its buyer may still change his mind."""
        return self.redirect and self.state is PaymentState.STARTED

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


def start_payment(
    order: Order, payment_id: str, *, in_time: bool, credits_minor: int = 0, redirect: bool = False
) -> Decision | Refusal:
    """Begins a payment of the whole total. ``in_time``: the hold's time is not over, by the database's clock.
    ``credits_minor``: how much of it is paid by credits, which the caller freezes in the same transaction; with those
    alone it is authorised at once."""
    if order.state in PAID:
        return Refusal.ORDER_CONFIRMED
    if order.state is OrderState.FAILED:
        return Refusal.ORDER_FAILED
    live = order.live_payment
    if live is not None and not live.gives_way:
        return Refusal.PAYMENT_IN_PROGRESS
    if not in_time or order.closing is not None:
        return Refusal.HOLD_EXPIRED
    facts: tuple[Fact, ...] = ()
    if live is not None:
        facts = (Fact(Code.PAYMENT_FAILED, live.payment_id, "replaced"),)
        payments = tuple(replace(p, state=PaymentState.FAILED) if p is live else p for p in order.payments)
        order = replace(order, payments=payments)
    payment = Payment(payment_id, PaymentState.STARTED, order.total_minor, credits_minor, redirect)
    begun = replace(order, payments=(*order.payments, payment))
    facts = (*facts, Fact(Code.PAYMENT_STARTED, payment_id))
    if payment.card_minor == 0:
        paid = authorized(begun, payment_id)
        return Decision(paid.order, facts + paid.facts)
    return Decision(begun, facts)


def hold_ended(order: Order, reason: EndReason) -> Decision:
    """The hold was released or has expired."""
    if order.state is not OrderState.PENDING or order.closing is not None:
        return Decision(order)
    return _settle_up(replace(order, closing=reason), (Fact(Code.HOLD_ENDED, reason=reason),))


def seats_sold(order: Order, payment_id: str, *, moved: bool = False) -> Decision:
    """reservation gave the seats to this payment; ``moved``: other ones of the same tier, since it came late."""
    sold = Fact(Code.SEATS_SOLD, payment_id)
    decision = _happened(order, payment_id, Happening.SOLD, sold)
    if moved and sold in decision.facts:
        return replace(decision, facts=(*decision.facts, Fact(Code.SEATS_MOVED, payment_id)))
    return decision


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


def capture_refused(order: Order, payment_id: str, reason: EndReason = "capture_refused") -> Decision:
    """The provider will never capture this (it lapsed, say), or no tickets can be issued for it: no tickets, whatever
    is left of it goes back, and so do the seats (SEATS_SOLD_REASONS)."""
    payment = order.payment(payment_id)
    if payment is None or Happening.CAPTURE_REFUSED not in PAYMENT_MOVES[payment.state]:
        return Decision(order)
    closing = replace(order, closing=reason)  # over an earlier reason: the seats were sold after that
    return _happened(closing, payment_id, Happening.CAPTURE_REFUSED, Fact(Code.CAPTURE_REFUSED, payment_id, reason))


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
