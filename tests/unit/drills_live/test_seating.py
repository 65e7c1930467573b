"""What the crowd believes to be free."""

import random

from drills.seating import Seating

SEATS = [f"seat-{number}" for number in range(10)]


def seating() -> Seating:
    return Seating(SEATS, random.Random(1))


def test_no_two_choices_share_a_seat_until_none_is_left() -> None:
    crowd = seating()
    chosen = [seat for _ in range(4) for seat in crowd.choose(3)]
    assert sorted(chosen) == SEATS
    assert crowd.choose(1) == ()


def test_who_elbows_wants_what_the_latest_buyer_wants() -> None:
    crowd = seating()
    assert crowd.elbow() == ()
    wanted = crowd.choose(2)
    assert crowd.elbow() == wanted


def test_what_is_given_back_is_chosen_again_but_last() -> None:
    crowd = seating()
    back = crowd.choose(2)
    crowd.give_back(back)
    assert set(crowd.choose(8)).isdisjoint(back)
    assert set(crowd.choose(2)) == set(back)


def test_who_sees_the_plan_chooses_from_it_and_nobody_is_told_the_same_seats() -> None:
    crowd = seating()
    seen = crowd.see(["seat-1", "seat-2"], 3, random.Random(1))
    assert sorted(seen) == ["seat-1", "seat-2"]
    assert set(crowd.choose(10)).isdisjoint(seen)
