"""The workload before it meets a shop: who comes when, and what for."""

from collections import Counter
from itertools import islice, pairwise
from statistics import mean

import pytest

from drills.plans import JITTER, LINGERING, SHARES, Behaviour, Plan, plans


def first(count: int, seed: int = 1, rate_s: float = 10) -> list[Plan]:
    return list(islice(plans(seed, rate_s, "buyer"), count))


def test_the_same_seed_gives_the_same_buyers_and_another_seed_others() -> None:
    assert first(50) == first(50)
    assert first(50) != first(50, seed=2)


def test_buyers_come_evenly_spaced_and_never_in_another_order() -> None:
    arrivals = [plan.arrives_s for plan in first(200, rate_s=10)]
    pauses = [later - earlier for earlier, later in pairwise(arrivals)]
    assert mean(pauses) == pytest.approx(0.1, rel=0.02)
    assert min(pauses) >= 0.1 * (1 - 2 * JITTER)


@pytest.mark.parametrize("behaviour", SHARES)
def test_behaviours_have_their_shares(behaviour: Behaviour) -> None:
    counts = Counter(plan.behaviour for plan in first(5000))
    assert counts[behaviour] / 50 == pytest.approx(SHARES[behaviour], abs=2)


def test_every_buyer_has_a_name_of_his_own() -> None:
    assert len({plan.buyer_id for plan in first(500)}) == 500


def test_a_staying_buyer_leaves_no_hold_to_run_out_and_is_else_the_same() -> None:
    for plan in first(300):
        staying = plan.staying()
        assert staying.behaviour not in LINGERING
        if plan.behaviour not in LINGERING:
            assert staying == plan
        else:
            assert (staying.number, staying.places, staying.arrives_s) == (plan.number, plan.places, plan.arrives_s)


def test_a_declined_card_is_followed_by_a_good_one() -> None:
    assert {plan.cards for plan in first(500)} == {("tok_ok",), ("tok_declined", "tok_ok")}
