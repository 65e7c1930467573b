"""Counts and sums of each event, over all its sales. Pure.

The identity that holds for every order in one snapshot of billing's store, and so for their sum:
captured - refunded = prices of good tickets + owed + kept, where owed is what refunds that are not carried out yet give
back, and kept is what refunds left with us (a fee: the price of their tickets less what they give back).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from audit.money.judge_provider import main_of
from audit.money.limits import Limits
from audit.money.sides import Deal, Order


@dataclass
class EventTotals:
    """``ledger_...``: as the balances of ``sales:`` and ``refunds:`` stand at the end; ``at_provider_...``: of the
    ``asked`` payments."""

    event_id: str
    currency: str
    seats: Mapping[str, int] = field(default_factory=dict)
    orders: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    captured_minor: int = 0
    refunded_minor: int = 0
    owed_minor: int = 0
    kept_minor: int = 0
    good_minor: int = 0
    fees_minor: int = 0
    tickets_good: int = 0
    tickets_void: int = 0
    ledger_sales_minor: int = 0
    ledger_refunds_minor: int = 0
    asked: int = 0
    at_provider_captured_minor: int = 0
    at_provider_refunded_minor: int = 0

    @property
    def identity(self) -> bool:
        return self.captured_minor - self.refunded_minor == self.good_minor + self.owed_minor + self.kept_minor

    def as_dict(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "currency": self.currency,
            "seats": dict(self.seats),
            "orders": dict(self.orders),
            "in_flight": self.in_flight,
            "captured_minor": self.captured_minor,
            "refunded_minor": self.refunded_minor,
            "owed_minor": self.owed_minor,
            "kept_minor": self.kept_minor,
            "good_minor": self.good_minor,
            "fees_minor": self.fees_minor,
            "tickets": {"good": self.tickets_good, "void": self.tickets_void},
            "identity": self.identity,
            "ledger": {"sales_minor": self.ledger_sales_minor, "refunds_minor": self.ledger_refunds_minor},
            "provider": {
                "asked": self.asked,
                "captured_minor": self.at_provider_captured_minor,
                "refunded_minor": self.at_provider_refunded_minor,
            },
        }


class Totals:
    """By event and currency: an event has one currency, unless something is very wrong."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_event: dict[tuple[str, str], EventTotals] = {}
        self.sales = 0

    def add(self, deals: Iterable[Deal], late_s: float) -> None:
        for deal in deals:
            self.sales += 1
            side = deal.order or deal.hold
            if side is None:
                continue
            of_event = self._of(side.event_id, side.currency)
            of_event.in_flight += deal.age_s <= self._limits.grace_s + late_s
            if deal.order is not None:
                _add_order(of_event, deal.order)
                _add_provider(of_event, deal, deal.order)

    def note_seats(self, seats: Mapping[str, Mapping[str, int]]) -> None:
        for one in self._by_event.values():
            one.seats = seats.get(one.event_id, {})

    def note_ledger(self, account: str, currency: str, balance_minor: int) -> None:
        """``account``: sales:, refunds: or fees: and the event's id."""
        kind, _, event_id = account.partition(":")
        one = self._by_event.get((event_id, currency))
        if one is None:
            return
        match kind:
            case "sales":
                one.ledger_sales_minor = -balance_minor
            case "refunds":
                one.ledger_refunds_minor = balance_minor
            case "fees":
                one.fees_minor = balance_minor

    def all(self) -> list[EventTotals]:
        return [self._by_event[key] for key in sorted(self._by_event)]

    def _of(self, event_id: str, currency: str) -> EventTotals:
        return self._by_event.setdefault((event_id, currency), EventTotals(event_id, currency))


def _add_order(totals: EventTotals, order: Order) -> None:
    prices = {line.unit_id: line.price_minor for line in order.lines}
    totals.orders[order.state] += 1
    totals.captured_minor += sum(payment.amount_minor for payment in order.captured)
    for ticket in order.tickets:
        totals.tickets_void += ticket.void
        totals.tickets_good += not ticket.void
        if not ticket.void:
            totals.good_minor += prices.get(ticket.unit_id, 0)
    for refund in order.refunds:
        if refund.state == "REFUNDED":
            totals.refunded_minor += refund.amount_minor
        else:
            totals.owed_minor += refund.amount_minor
        worth = sum(prices.get(t.unit_id, 0) for t in order.tickets if t.void and t.refund_id == refund.refund_id)
        totals.kept_minor += worth - refund.amount_minor


def _add_provider(totals: EventTotals, deal: Deal, order: Order) -> None:
    payments = {payment.payment_id: payment for payment in order.payments}
    for payment_id, found in deal.at_provider.items():
        totals.asked += 1
        payment = payments.get(payment_id)
        main = None if payment is None or payment.state != "CAPTURED" else main_of(payment, found)
        if main is not None:
            totals.at_provider_captured_minor += main.captured_minor
            totals.at_provider_refunded_minor += main.refunded_minor
