"""The rules of holds, as the table that stands in holds.py."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from reservation.holds import RULES, Facts, Late, Moment, Place, State, Verdict, can_be_taken, is_gone, settle

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
OURS, OTHERS, PAYMENT = "hold-ours", "hold-others", "payment-1"


def facts(
    state: State,
    *,
    left_s: int,
    grace_s: int = 60,
    payment_id: str | None = None,
    lost_payments: Sequence[str] = (),
    late: Late = Late.REFUND,
) -> Facts:
    expires_at = NOW + left_s * SECOND
    return Facts(state, expires_at, expires_at + grace_s * SECOND, payment_id, lost_payments, late, NOW)


def test_the_table_is_whole() -> None:
    assert set(RULES) == {(state, moment) for state in State for moment in Moment}


@pytest.mark.parametrize(
    ("left_s", "grace_s", "moment"),
    [
        (1, 60, Moment.IN_TIME),
        (0, 60, Moment.IN_GRACE),
        (-59, 60, Moment.IN_GRACE),
        (-60, 60, Moment.OVER),
        (0, 0, Moment.OVER),
    ],
)
def test_a_moment_begins_when_the_one_before_ends(left_s: int, grace_s: int, moment: Moment) -> None:
    assert facts(State.HELD, left_s=left_s, grace_s=grace_s).moment is moment


@pytest.mark.parametrize(
    ("state", "left_s", "shown"),
    [
        (State.HELD, 1, State.HELD),
        (State.HELD, 0, State.EXPIRED),
        (State.HELD, -100, State.EXPIRED),
        (State.RELEASED, -100, State.RELEASED),
        (State.SOLD, -100, State.SOLD),
        (State.EXPIRED, -100, State.EXPIRED),
    ],
)
def test_the_buyer_sees_an_expired_hold_from_its_time_on(state: State, left_s: int, shown: State) -> None:
    assert facts(state, left_s=left_s).shown is shown


def test_only_a_hold_in_time_is_released() -> None:
    releases = {key: rule.release for key, rule in RULES.items() if key[0] is State.HELD}
    assert releases == {
        (State.HELD, Moment.IN_TIME): Verdict.RELEASE,
        (State.HELD, Moment.IN_GRACE): Verdict.REFUSE_EXPIRED,
        (State.HELD, Moment.OVER): Verdict.REFUSE_EXPIRED,
    }
    assert all(rule.release is Verdict.NOTHING for key, rule in RULES.items() if key[0] is State.RELEASED)


def test_only_a_hold_that_is_over_expires() -> None:
    assert [key for key, rule in RULES.items() if rule.expire is Verdict.EXPIRE] == [(State.HELD, Moment.OVER)]


FREE = Place("free", None, None)
OWN = Place("held", OURS, NOW)
TAKEN = Place("held", OTHERS, NOW + SECOND)
TAKEN_AND_OVER = Place("held", OTHERS, NOW)
SOLD = Place("sold", OTHERS, None)


@pytest.mark.parametrize(
    ("place", "answer"), [(FREE, True), (OWN, True), (TAKEN_AND_OVER, True), (TAKEN, False), (SOLD, False)]
)
def test_a_place_is_free_by_the_clock(place: Place, answer: bool) -> None:
    assert can_be_taken(place, NOW) is answer
    assert is_gone(OURS, place, NOW) is not answer


@pytest.mark.parametrize("state", [State.HELD, State.EXPIRED])
@pytest.mark.parametrize(
    ("places", "verdict"),
    [
        ([OWN, OWN], Verdict.SELL),
        ([OWN, FREE], Verdict.SELL),
        ([FREE, TAKEN_AND_OVER], Verdict.SELL),
        ([OWN, TAKEN], Verdict.LOSE_TAKEN),
        ([OWN, SOLD], Verdict.LOSE_TAKEN),
    ],
)
def test_money_gets_the_seats_while_they_are_to_be_had(state: State, places: list[Place], verdict: Verdict) -> None:
    assert settle(OURS, facts(state, left_s=-100), PAYMENT, places) is verdict


def test_a_place_of_its_own_is_never_gone() -> None:
    assert not is_gone(OURS, Place("held", OURS, NOW + SECOND), NOW)


@pytest.mark.parametrize("state", [State.HELD, State.EXPIRED])
@pytest.mark.parametrize(
    ("places", "verdict"),
    [
        ([OWN, FREE], Verdict.SELL),
        ([OWN, TAKEN], Verdict.MOVE),
        ([SOLD, TAKEN], Verdict.MOVE),
    ],
)
def test_who_agreed_to_other_seats_is_moved_when_his_own_are_gone(
    state: State, places: list[Place], verdict: Verdict
) -> None:
    assert settle(OURS, facts(state, left_s=-100, late=Late.SAME_TIER), PAYMENT, places) is verdict


@pytest.mark.parametrize("late", Late)
@pytest.mark.parametrize("state", [State.HELD, State.EXPIRED])
@pytest.mark.parametrize("places", [[OWN, OWN], [FREE], [TAKEN]])
def test_a_payment_that_was_lost_stays_lost_and_others_may_come(state: State, late: Late, places: list[Place]) -> None:
    lost = facts(state, left_s=-100, lost_payments=["payment-0", PAYMENT], late=late)
    assert settle(OURS, lost, PAYMENT, places) is Verdict.LOSE_TAKEN
    other = settle(OURS, lost, "payment-2", places)
    assert other is settle(OURS, facts(state, left_s=-100, late=late), "payment-2", places)


@pytest.mark.parametrize("late", Late)
@pytest.mark.parametrize(
    ("state", "payment_id", "verdict"),
    [
        (State.RELEASED, None, Verdict.LOSE_RELEASED),
        (State.SOLD, PAYMENT, Verdict.TELL_AGAIN),
        (State.SOLD, "payment-2", Verdict.LOSE_TAKEN),
    ],
)
@pytest.mark.parametrize("place", [FREE, TAKEN, SOLD, Place("sold", OURS, None)])
def test_what_is_final_stays(state: State, payment_id: str | None, verdict: Verdict, late: Late, place: Place) -> None:
    assert settle(OURS, facts(state, left_s=-100, payment_id=payment_id, late=late), PAYMENT, [place]) is verdict
