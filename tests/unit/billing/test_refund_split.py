"""What a refund gives to the card and what to the wallet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.refunds.split import NOTHING, Parts, RefundTooLarge, split

MIXED = Parts(card_minor=7000, credits_minor=3000)


@pytest.mark.parametrize(
    ("amount_minor", "refunded", "parts"),
    [
        (5000, NOTHING, Parts(5000, 0)),
        (7000, NOTHING, Parts(7000, 0)),
        (8000, NOTHING, Parts(7000, 1000)),
        (10_000, NOTHING, Parts(7000, 3000)),
        (5000, Parts(5000, 0), Parts(2000, 3000)),
        (1000, Parts(7000, 500), Parts(0, 1000)),
    ],
)
def test_the_card_gets_its_part_back_first(amount_minor: int, refunded: Parts, parts: Parts) -> None:
    assert split(amount_minor, MIXED, refunded) == parts


@pytest.mark.parametrize("paid", [Parts(500, 0), Parts(0, 500)])
def test_what_was_paid_one_way_goes_back_the_same_way(paid: Parts) -> None:
    assert split(500, paid) == paid


def test_a_card_part_that_went_to_the_wallet_instead_is_not_given_twice() -> None:
    """The provider would not give 7000 back to the card, so they went to the wallet."""
    assert split(3000, MIXED, Parts(0, 7000)) == Parts(3000, 0)
    with pytest.raises(RefundTooLarge):
        split(3001, MIXED, Parts(0, 7000))


def test_never_more_than_was_paid() -> None:
    with pytest.raises(RefundTooLarge):
        split(10_001, MIXED)
    with pytest.raises(RefundTooLarge):
        split(1, MIXED, MIXED)


@pytest.mark.parametrize("amount_minor", [0, -1])
def test_nothing_is_no_refund(amount_minor: int) -> None:
    with pytest.raises(ValueError, match="refund of"):
        split(amount_minor, MIXED)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.data())
def test_however_it_is_divided_each_part_comes_back_exactly_once(card: int, credit: int, data: st.DataObject) -> None:
    paid, refunded = Parts(card, credit), NOTHING
    for last in (False, False, False, True):
        if not (left := paid.total_minor - refunded.total_minor):
            break
        amount = left if last else data.draw(st.integers(1, left))
        parts = split(amount, paid, refunded)
        assert parts.total_minor == amount
        assert min(parts.card_minor, parts.credits_minor) >= 0
        refunded += parts
        assert refunded.card_minor <= card
        assert refunded.credits_minor <= credit
    assert refunded == paid
