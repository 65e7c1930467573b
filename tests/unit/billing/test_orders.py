"""The rules of orders, one sentence at a time."""

from collections.abc import Callable

import pytest

from billing.orders import rules as orders
from billing.orders.rules import Code, Decision, Fact, Order, Payment, Refusal
from billing.orders.states import CONTRADICTIONS, NOT_LIVE, PAID, PAYMENT_MOVES, Happening, OrderState, PaymentState
from ticketflow.events import EndReason

TOTAL = 5000


def order_with(*states: PaymentState, closing: EndReason | None = None) -> Order:
    """A pending order whose payments p1, p2, ... stand in these states."""
    payments = tuple(Payment(f"p{number}", state, TOTAL) for number, state in enumerate(states, 1))
    return Order(TOTAL, closing=closing, payments=payments)


def codes(decision: Decision | Refusal) -> list[Code]:
    assert isinstance(decision, Decision)
    return [fact.code for fact in decision.facts]


def state_of(decision: Decision, payment_id: str = "p1") -> PaymentState:
    payment = decision.order.payment(payment_id)
    assert payment is not None
    return payment.state


def test_a_payment_is_of_the_whole_total() -> None:
    decision = orders.start_payment(order_with(), "p1", in_time=True)
    assert isinstance(decision, Decision)
    assert decision.order.payments == (Payment("p1", PaymentState.STARTED, TOTAL),)


@pytest.mark.parametrize("state", sorted(set(PaymentState) - NOT_LIVE - {PaymentState.CAPTURED}))
def test_while_one_payment_is_live_no_other_may_start(state: PaymentState) -> None:
    assert orders.start_payment(order_with(state), "p2", in_time=True) is Refusal.PAYMENT_IN_PROGRESS


@pytest.mark.parametrize("state", sorted(NOT_LIVE))
def test_after_a_payment_that_took_nothing_another_may_start(state: PaymentState) -> None:
    decision = orders.start_payment(order_with(state), "p2", in_time=True)
    assert codes(decision) == [Code.PAYMENT_STARTED]


def test_no_payment_starts_after_the_holds_time() -> None:
    assert orders.start_payment(order_with(), "p1", in_time=False) is Refusal.HOLD_EXPIRED


def test_a_live_payment_is_named_rather_than_the_time() -> None:
    order = order_with(PaymentState.AUTHORIZED)
    assert orders.start_payment(order, "p2", in_time=False) is Refusal.PAYMENT_IN_PROGRESS


@pytest.mark.parametrize(
    ("state", "refusal"),
    [(OrderState.CONFIRMED, Refusal.ORDER_CONFIRMED), (OrderState.FAILED, Refusal.ORDER_FAILED)],
)
def test_nothing_is_paid_for_an_order_that_is_over(state: OrderState, refusal: Refusal) -> None:
    assert orders.start_payment(Order(TOTAL, state=state), "p1", in_time=True) is refusal


def test_a_hold_that_ends_without_a_live_payment_fails_the_order() -> None:
    decision = orders.hold_ended(order_with(PaymentState.DECLINED), "released")
    assert decision.order.state is OrderState.FAILED
    assert decision.facts == (Fact(Code.HOLD_ENDED, reason="released"), Fact(Code.ORDER_FAILED, reason="released"))


@pytest.mark.parametrize("state", [PaymentState.STARTED, PaymentState.AUTHORIZED, PaymentState.SETTLED])
def test_a_hold_that_ends_under_a_live_payment_is_only_remembered(state: PaymentState) -> None:
    decision = orders.hold_ended(order_with(state), "expired")
    assert decision.order.state is OrderState.PENDING
    assert decision.order.closing == "expired"
    assert state_of(decision) is state


def test_a_hold_ends_once() -> None:
    once = orders.hold_ended(order_with(PaymentState.STARTED), "expired").order
    assert orders.hold_ended(once, "released") == Decision(once)


@pytest.mark.parametrize("end", [orders.declined, orders.not_charged])
def test_the_order_fails_when_the_last_payment_ends_after_the_hold(end: Callable[[Order, str, str], Decision]) -> None:
    order = order_with(PaymentState.STARTED, closing="expired")
    decision = end(order, "p1", "because")
    assert decision.order.state is OrderState.FAILED
    assert decision.facts[-1] == Fact(Code.ORDER_FAILED, reason="expired")


def test_a_declined_card_leaves_the_order_open() -> None:
    decision = orders.declined(order_with(PaymentState.STARTED), "p1", "do_not_honor")
    assert decision.order.state is OrderState.PENDING
    assert decision.facts == (Fact(Code.PAYMENT_DECLINED, "p1", "do_not_honor"),)


def test_seats_found_free_after_the_holds_end_still_make_a_sale() -> None:
    order = orders.hold_ended(order_with(PaymentState.AUTHORIZED), "expired").order
    order = orders.seats_sold(order, "p1").order
    decision = orders.captured(order, "p1")
    assert decision.order.state is OrderState.CONFIRMED
    assert codes(decision) == [Code.PAYMENT_CAPTURED, Code.TICKETS_ISSUED, Code.ORDER_CONFIRMED]


def test_lost_seats_void_the_payment_and_then_fail_the_order() -> None:
    lost = orders.seats_lost(order_with(PaymentState.AUTHORIZED), "p1", "taken")
    assert (state_of(lost), lost.order.state) == (PaymentState.VOIDING, OrderState.PENDING)
    done = orders.voided(lost.order, "p1")
    assert (state_of(done), done.order.state) == (PaymentState.VOIDED, OrderState.FAILED)
    assert done.facts == (Fact(Code.PAYMENT_VOIDED, "p1", "taken"), Fact(Code.ORDER_FAILED, reason="taken"))


def test_reservations_last_word_is_the_reason() -> None:
    order = orders.hold_ended(order_with(PaymentState.AUTHORIZED), "expired").order
    assert orders.seats_lost(order, "p1", "taken").order.closing == "taken"


def test_a_capture_that_the_provider_refuses_is_undone() -> None:
    refused = orders.capture_refused(order_with(PaymentState.SETTLED), "p1")
    assert state_of(refused) is PaymentState.VOIDING
    done = orders.voided(refused.order, "p1")
    assert done.order.state is OrderState.FAILED
    assert done.order.closing == "capture_refused"


def test_sold_and_lost_find_a_payment_whose_authorisation_was_forgotten() -> None:
    assert state_of(orders.seats_sold(order_with(PaymentState.STARTED), "p1")) is PaymentState.SETTLED
    assert state_of(orders.seats_lost(order_with(PaymentState.STARTED), "p1", "taken")) is PaymentState.VOIDING


def test_lost_seats_of_a_payment_nobody_knows_close_the_order() -> None:
    decision = orders.seats_lost(order_with(), "p9", "unknown_hold")
    assert decision.order.state is OrderState.FAILED


def test_a_second_payment_that_lost_does_not_undo_the_first() -> None:
    order = Order(TOTAL, state=OrderState.CONFIRMED, payments=(Payment("p1", PaymentState.CAPTURED, TOTAL),))
    assert orders.seats_lost(order, "p2", "taken") == Decision(order)


@pytest.mark.parametrize(("state", "happening"), sorted(CONTRADICTIONS))
def test_a_contradiction_is_written_down_and_changes_nothing(state: PaymentState, happening: Happening) -> None:
    order = order_with(state)
    if happening is Happening.SOLD:
        decision = orders.seats_sold(order, "p1")
    else:
        decision = orders.seats_lost(order, "p1", "taken")
    assert decision.order == order
    assert codes(decision) == [Code.CONTRADICTION]


def test_every_state_has_its_row_and_only_the_live_ones_move() -> None:
    assert set(PAYMENT_MOVES) == set(PaymentState)
    final = NOT_LIVE | {PaymentState.CAPTURED}
    assert {state for state, moves in PAYMENT_MOVES.items() if not moves} == final


def test_money_is_taken_only_for_seats_that_are_sold() -> None:
    into_captured = [
        (state, happening)
        for state, moves in PAYMENT_MOVES.items()
        for happening, after in moves.items()
        if after is PaymentState.CAPTURED
    ]
    assert into_captured == [(PaymentState.SETTLED, Happening.CAPTURED)]


@pytest.mark.parametrize(
    ("step", "before"),
    [
        (orders.authorized, PaymentState.STARTED),
        (orders.captured, PaymentState.SETTLED),
        (orders.voided, PaymentState.VOIDING),
        (orders.seats_sold, PaymentState.AUTHORIZED),
    ],
)
def test_what_comes_twice_changes_nothing(step: Callable[[Order, str], Decision], before: PaymentState) -> None:
    once = step(order_with(before, closing="taken"), "p1").order
    assert step(once, "p1") == Decision(once)


def redirected(state: PaymentState = PaymentState.STARTED) -> Order:
    """An order whose payment p1 stands on the provider's page."""
    return Order(TOTAL, payments=(Payment("p1", state, TOTAL, redirect=True),))


def test_a_payment_by_credits_alone_asks_no_provider_and_is_authorised_at_once() -> None:
    decision = orders.start_payment(order_with(), "p1", in_time=True, credits_minor=TOTAL)
    assert codes(decision) == [Code.PAYMENT_STARTED, Code.PAYMENT_AUTHORIZED]
    assert isinstance(decision, Decision)
    assert decision.order.payments == (Payment("p1", PaymentState.AUTHORIZED, TOTAL, TOTAL),)


def test_an_order_that_costs_nothing_asks_no_provider_either() -> None:
    decision = orders.start_payment(Order(0), "p1", in_time=True)
    assert codes(decision) == [Code.PAYMENT_STARTED, Code.PAYMENT_AUTHORIZED]


def test_of_a_mixed_payment_the_card_pays_the_rest() -> None:
    decision = orders.start_payment(order_with(), "p1", in_time=True, credits_minor=1000)
    assert codes(decision) == [Code.PAYMENT_STARTED]
    assert isinstance(decision, Decision)
    assert decision.order.payments[0].card_minor == TOTAL - 1000


def test_a_payment_on_the_providers_page_gives_way_to_another_one() -> None:
    decision = orders.start_payment(redirected(), "p2", in_time=True)
    assert codes(decision) == [Code.PAYMENT_FAILED, Code.PAYMENT_STARTED]
    assert isinstance(decision, Decision)
    assert [payment.state for payment in decision.order.payments] == [PaymentState.FAILED, PaymentState.STARTED]
    assert decision.facts[0].reason == "replaced"


def test_once_the_buyer_has_paid_there_it_gives_way_to_none() -> None:
    refused = orders.start_payment(redirected(PaymentState.AUTHORIZED), "p2", in_time=True)
    assert refused is Refusal.PAYMENT_IN_PROGRESS


def test_it_does_not_give_way_when_the_other_one_cannot_start() -> None:
    assert orders.start_payment(redirected(), "p2", in_time=False) is Refusal.HOLD_EXPIRED


def test_while_a_buyer_is_on_the_providers_page_the_end_of_the_hold_does_not_fail_the_order() -> None:
    decision = orders.hold_ended(redirected(), "expired")
    assert decision.order.state is OrderState.PENDING
    assert orders.not_charged(decision.order, "p1", "abandoned").order.state is OrderState.FAILED


def test_seats_that_have_moved_are_told_once() -> None:
    decision = orders.seats_sold(order_with(PaymentState.AUTHORIZED), "p1", moved=True)
    assert codes(decision) == [Code.SEATS_SOLD, Code.SEATS_MOVED]
    assert orders.seats_sold(decision.order, "p1", moved=True).facts == ()


@pytest.mark.parametrize("reason", sorted(orders.SEATS_SOLD_REASONS))
def test_an_order_whose_seats_were_sold_fails_for_a_reason_that_says_so(reason: EndReason) -> None:
    order = order_with(PaymentState.SETTLED, closing="expired")
    refused = orders.capture_refused(order, "p1", reason)
    assert (refused.order.closing, state_of(refused)) == (reason, PaymentState.VOIDING)
    assert orders.voided(refused.order, "p1").facts[-1] == Fact(Code.ORDER_FAILED, reason=reason)


@pytest.mark.parametrize("state", sorted(PAID))
def test_what_is_paid_is_not_paid_again_whatever_was_given_back_of_it(state: OrderState) -> None:
    order = Order(TOTAL, state=state, payments=(Payment("p1", PaymentState.CAPTURED, TOTAL),))
    assert orders.start_payment(order, "p2", in_time=True) is Refusal.ORDER_CONFIRMED
    assert orders.hold_ended(order, "expired").facts == ()
