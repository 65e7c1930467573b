"""Which seats a late buyer gets for those that are gone."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reservation.moving import Seat, choose


def seat(label: str) -> Seat:
    """``B12`` is the twelfth seat of row B, which lies after row A."""
    row, number = label[0], int(label[1:])
    return Seat(f"{ord(row):03}-{number:03}", row, number)


def labels(seats: list[Seat] | None) -> list[str] | None:
    return None if seats is None else [f"{seat.row}{seat.number}" for seat in seats]


@pytest.mark.parametrize(
    ("wanted", "near", "free", "chosen"),
    [
        (1, "A5", "A1 A4 A9", "A4"),
        (1, "A5", "A9 B5", "A9"),
        (1, "B5", "A9 C1 D1", "A9"),
        (2, "A5", "A1 A2 A7 A9 A10", "A1 A2"),
        (2, "A6", "A1 A2 A9 A10 B6 B7", "A9 A10"),
        (2, "A5", "A4 A6 B8 B9", "B8 B9"),
        (2, "C5", "A1 A2 B1 B2 E1 E2", "B1 B2"),
        (3, "A5", "A1 A2 A7 B1", "A1 A2 A7"),
        (3, "A5", "A9 B1 B2 C4", "A9 B1 B2"),
        (2, "A5", "B3", None),
        (1, "A5", "", None),
    ],
)
def test_side_by_side_first_then_near(wanted: int, near: str, free: str, chosen: str | None) -> None:
    found = choose(wanted, seat(near), map(seat, free.split()))
    assert labels(found) == (chosen.split() if chosen else None)


Seats = st.sets(st.tuples(st.sampled_from("ABC"), st.integers(1, 9)), max_size=27)


@given(free=Seats, wanted=st.integers(1, 6), near=st.integers(1, 9), seed=st.integers())
def test_all_or_none_and_always_the_same(free: set[tuple[str, int]], wanted: int, near: int, seed: int) -> None:
    seats = [seat(f"{row}{number}") for row, number in sorted(free)]
    chosen = choose(wanted, seat(f"B{near}"), seats)
    random.Random(seed).shuffle(seats)
    assert choose(wanted, seat(f"B{near}"), seats) == chosen, "the order in which they are found says nothing"
    if chosen is None:
        assert len(free) < wanted
        return
    assert len(set(chosen)) == wanted
    assert set(chosen) <= set(seats)
    together = any({(row, number + n) for n in range(wanted)} <= free for row, number in free)
    assert together == all((one.row, one.number + 1) == two[1:] for one, two in pairwise(chosen))
