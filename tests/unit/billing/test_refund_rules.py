"""What may be given back, one sentence at a time; and then anything at all, in any order."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.orders.states import PAID, OrderState
from billing.refunds.rules import Decision, PaidOrder, PaidTicket, Refusal, Wish, decide, state_after
from billing.refunds.split import NOTHING, Parts

A = PaidTicket("a", "unit-a", 2500)
B = PaidTicket("b", "unit-b", 3500)
BY_CARD = PaidOrder(OrderState.CONFIRMED, Parts(6000, 0), (A, B))
MIXED = replace(BY_CARD, captured=Parts(4000, 2000))
FREE = PaidOrder(OrderState.CONFIRMED, NOTHING, (replace(A, price_minor=0), replace(B, price_minor=0)))


def after(order: PaidOrder, decision: Decision | Refusal) -> PaidOrder:
    """The order once this has been written down."""
    assert isinstance(decision, Decision), decision
    dead = {ticket.ticket_id for ticket in decision.tickets}
    tickets = tuple(replace(one, voided=one.voided or one.ticket_id in dead) for one in order.tickets)
    return replace(order, tickets=tickets, requested=order.requested + decision.parts)


def test_a_whole_order() -> None:
    assert decide(BY_CARD, Wish()) == Decision((A, B), Parts(6000, 0))


def test_one_ticket_at_its_price() -> None:
    assert decide(BY_CARD, Wish(("b",))) == Decision((B,), Parts(3500, 0))


def test_a_ticket_that_is_named_twice_is_one() -> None:
    assert decide(BY_CARD, Wish(("a", "a"))) == Decision((A,), Parts(2500, 0))


@pytest.mark.parametrize("amount_minor", [2500, 2499, 1, 0])
def test_a_fee_may_be_kept(amount_minor: int) -> None:
    assert decide(BY_CARD, Wish(("a",), amount_minor)) == Decision((A,), Parts(amount_minor, 0))


@pytest.mark.parametrize("wish", [Wish(("a",), 2501), Wish(None, 6001), Wish(("a",), -1)])
def test_never_more_than_the_tickets_cost(wish: Wish) -> None:
    assert decide(BY_CARD, wish) is Refusal.REFUND_TOO_LARGE


def test_never_more_than_is_left_whatever_the_tickets_cost() -> None:
    """As if the books were wrong: what has been given back already is more than the void tickets cost."""
    order = replace(BY_CARD, tickets=(replace(A, voided=True), B), requested=Parts(3000, 0))
    assert decide(order, Wish()) is Refusal.REFUND_TOO_LARGE
    assert decide(order, Wish(None, 3000)) == Decision((B,), Parts(3000, 0))


def test_the_card_gets_its_part_first() -> None:
    first = decide(MIXED, Wish(("a",)))
    assert first == Decision((A,), Parts(2500, 0))
    assert decide(after(MIXED, first), Wish()) == Decision((B,), Parts(1500, 2000))


def test_what_was_refunded_is_not_refunded_again() -> None:
    once = after(BY_CARD, decide(BY_CARD, Wish(("a",))))
    assert decide(once, Wish(("a",))) is Refusal.TICKET_VOIDED
    assert decide(once, Wish(("b", "a"))) is Refusal.TICKET_VOIDED
    twice = after(once, decide(once, Wish()))
    assert decide(twice, Wish()) is Refusal.NOTHING_LEFT


def test_a_ticket_of_somebody_else() -> None:
    assert decide(BY_CARD, Wish(("a", "nobodys"))) is Refusal.TICKET_UNKNOWN


@pytest.mark.parametrize("state", sorted(set(OrderState) - PAID))
def test_what_was_not_paid_is_not_refunded(state: OrderState) -> None:
    assert decide(replace(BY_CARD, state=state), Wish()) is Refusal.ORDER_NOT_PAID


def test_a_free_order_loses_its_tickets_and_moves_no_money() -> None:
    assert decide(FREE, Wish()) == Decision(FREE.tickets, NOTHING)
    assert decide(FREE, Wish(("a",), 1)) is Refusal.REFUND_TOO_LARGE


@pytest.mark.parametrize(
    ("captured", "refunded", "ticket_left", "state"),
    [
        (Parts(6000, 0), Parts(6000, 0), False, OrderState.REFUNDED),
        (Parts(4000, 2000), Parts(0, 6000), False, OrderState.REFUNDED),
        (Parts(6000, 0), Parts(5500, 0), False, OrderState.PARTIALLY_REFUNDED),
        (Parts(6000, 0), Parts(2500, 0), True, OrderState.PARTIALLY_REFUNDED),
        (NOTHING, NOTHING, False, OrderState.REFUNDED),
        (NOTHING, NOTHING, True, OrderState.PARTIALLY_REFUNDED),
    ],
)
def test_the_state_of_an_order_after_a_refund(
    captured: Parts, refunded: Parts, ticket_left: bool, state: OrderState
) -> None:
    assert state_after(captured, refunded, ticket_left=ticket_left) is state


@st.composite
def orders(draw: st.DrawFn) -> PaidOrder:
    prices = draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=6))
    total = sum(prices)
    card = draw(st.integers(0, total))
    tickets = tuple(PaidTicket(f"t{n}", f"u{n}", price) for n, price in enumerate(prices))
    return PaidOrder(OrderState.CONFIRMED, Parts(card, total - card), tickets)


def wishes(tickets: Sequence[PaidTicket]) -> st.SearchStrategy[Wish]:
    names = st.sampled_from([*(ticket.ticket_id for ticket in tickets), "nobodys"])
    return st.builds(
        Wish,
        st.none() | st.lists(names, min_size=1, max_size=4).map(tuple),
        st.none() | st.integers(-5, 2 * 10**6),
    )


@given(orders(), st.data())
def test_whatever_is_wished_in_whatever_order_never_more_goes_back_than_came(
    order: PaidOrder, data: st.DataObject
) -> None:
    voided: list[str] = []
    for wish in data.draw(st.lists(wishes(order.tickets), max_size=8)):
        decision = decide(order, wish)
        if isinstance(decision, Refusal):
            continue
        assert decision.tickets
        assert all(not ticket.voided for ticket in decision.tickets)
        assert decision.parts.total_minor <= sum(ticket.price_minor for ticket in decision.tickets)
        assert min(decision.parts.card_minor, decision.parts.credits_minor) >= 0
        voided += [ticket.ticket_id for ticket in decision.tickets]
        order = after(order, decision)
        assert order.requested.card_minor <= order.captured.card_minor
        assert order.requested.credits_minor <= order.captured.credits_minor
    assert len(voided) == len(set(voided))


@given(orders(), st.data())
def test_ticket_by_ticket_or_at_once_everything_goes_back_the_way_it_came(
    order: PaidOrder, data: st.DataObject
) -> None:
    names = data.draw(st.permutations([ticket.ticket_id for ticket in order.tickets]))
    for name in names[: data.draw(st.integers(0, len(names)))]:
        order = after(order, decide(order, Wish((name,))))
    if order.good:
        order = after(order, decide(order, Wish()))
    assert order.requested == order.captured
    assert state_after(order.captured, order.requested, ticket_left=bool(order.good)) is OrderState.REFUNDED
