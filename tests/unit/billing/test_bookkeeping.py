"""Which entries a move of a payment makes; the sums over whole walks are in test_interleavings.py."""

from dataclasses import replace

import pytest

from billing.ledger.bookkeeping import entries_of
from billing.ledger.causes import Purchase
from billing.ledger.entries import Cause
from billing.orders.rules import Order, Payment
from billing.orders.states import PaymentState

PURCHASE = Purchase("order-1", "01a1ff66-ba5f-72c2-bc9d-8a950062795e", "buyer-1", "EUR")
S = PaymentState


def written(payment: Payment, before: PaymentState | None) -> dict[Cause, dict[str, int]]:
    """The lines by account, of each entry that the move to this payment makes."""
    old = () if before is None else (replace(payment, state=before),)
    order = Order(payment.amount_minor, payments=(payment,))
    entries = entries_of(PURCHASE, replace(order, payments=old), order, {payment.payment_id: "stripe"})
    assert all(entry.cause_id == payment.payment_id for entry in entries)
    return {entry.cause: {str(line.account): line.amount_minor for line in entry.lines} for entry in entries}


def test_a_payment_that_begins_with_credits_freezes_them() -> None:
    assert written(Payment("p", S.STARTED, 500, 200), None) == {
        Cause.FREEZE: {"wallet:buyer-1": 200, "frozen:buyer-1": -200}
    }


@pytest.mark.parametrize("state", [S.DECLINED, S.FAILED, S.VOIDED])
def test_one_that_comes_to_nothing_gives_them_back(state: PaymentState) -> None:
    assert written(Payment("p", state, 500, 200), S.STARTED) == {
        Cause.UNFREEZE: {"frozen:buyer-1": 200, "wallet:buyer-1": -200}
    }


def test_one_that_is_captured_is_the_events_sale() -> None:
    assert written(Payment("p", S.CAPTURED, 500, 200), S.SETTLED) == {
        Cause.CAPTURE: {"frozen:buyer-1": 200, "clearing:stripe": 300, f"sales:{PURCHASE.event_id}": -500}
    }


def test_a_card_is_written_down_only_when_its_money_is_ours() -> None:
    assert written(Payment("p", S.STARTED, 500), None) == {}
    assert written(Payment("p", S.SETTLED, 500), S.AUTHORIZED) == {}
    assert written(Payment("p", S.VOIDED, 500), S.VOIDING) == {}


def test_what_has_not_moved_is_not_written_again() -> None:
    assert written(Payment("p", S.CAPTURED, 500, 200), S.CAPTURED) == {}


def test_an_order_that_costs_nothing_moves_nothing() -> None:
    assert written(Payment("p", S.CAPTURED, 0), S.SETTLED) == {}
