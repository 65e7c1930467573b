"""Whatever happens in whatever order, an order ends with tickets and money, or with neither."""

from hypothesis import given, settings
from hypothesis import strategies as st

from billing.orders.rules import Code
from billing.orders.states import OrderState
from tests.unit.billing.ring_model import ACTIONS, CLEARING, FROZEN, SALES, TOTAL, Model

ONWARD = ["start", "provider_answers", "settle", "deliver", "capture", "void"]  # else most walks end early

STEPS = st.lists(st.tuples(st.sampled_from([*ONWARD, *ONWARD, *sorted(ACTIONS)]), st.integers(0, 23)), max_size=80)


@settings(max_examples=600, deadline=None)
@given(STEPS)
def test_every_walk_ends_well(steps: list[tuple[str, int]]) -> None:
    model = Model()
    for name, number in steps:
        ACTIONS[name](model, number)
    model.come_to_rest()
    if model.order.state is OrderState.CONFIRMED:
        assert model.kept_minor + model.spent_minor == TOTAL
        assert model.ledger[str(SALES)] == -TOTAL
        assert model.hold == "SOLD"
        assert (model.times(Code.TICKETS_ISSUED), model.times(Code.ORDER_CONFIRMED)) == (1, 1)
        assert model.times(Code.ORDER_FAILED) == 0
    else:
        assert model.order.state is OrderState.FAILED
        assert model.kept_minor == model.spent_minor == 0
        assert model.hold != "SOLD"
        assert model.ledger[str(SALES)] == 0
        assert (model.times(Code.ORDER_FAILED), model.times(Code.TICKETS_ISSUED)) == (1, 0)
    assert model.ledger[str(CLEARING)] == model.kept_minor
    assert model.ledger[str(FROZEN)] == 0
    assert "authorized" not in model.at_provider.values()


def test_the_walks_reach_both_ends_and_every_fact() -> None:
    """The model is worth nothing if it cannot get anywhere: two walks by hand."""
    sold = Model()
    for name in ("start", "provider_answers", "settle", "deliver", "capture"):
        ACTIONS[name](sold, 2)
    assert sold.order.state is OrderState.CONFIRMED
    lost = Model()
    for name in ("start", "provider_answers", "release", "settle", "deliver", "deliver", "void"):
        ACTIONS[name](lost, 2)
    assert lost.order.state is OrderState.FAILED
