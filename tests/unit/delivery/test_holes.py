"""Which seqs are missing."""

from hypothesis import given
from hypothesis import strategies as st

from ticketflow.delivery.holes import missing, within


def test_holes_at_both_ends_and_in_the_middle() -> None:
    assert missing(1, 10, [2, 3, 5, 9]) == [(1, 1), (4, 4), (6, 8), (10, 10)]
    assert missing(1, 3, [3, 1, 2, 2, 99]) == []
    assert missing(5, 7, []) == [(5, 7)]
    assert missing(5, 4, []) == []


def test_holes_beyond_what_is_noted_become_one() -> None:
    assert missing(1, 9, [2, 4, 6, 8], ranges_max=3) == [(1, 1), (3, 3), (5, 9)]


def test_what_is_known_is_cut_to_the_range() -> None:
    assert within(3, 6, [(1, 3), (5, 5), (6, 9), (20, 30)]) == [3, 5, 6]


@given(st.integers(1, 50), st.integers(0, 60), st.sets(st.integers(1, 120)), st.integers(1, 5))
def test_every_missing_seq_is_in_a_hole_and_without_a_bound_nothing_else_is(
    first: int, length: int, seqs: set[int], ranges_max: int
) -> None:
    last = first + length
    absent = set(range(first, last + 1)) - seqs
    assert set(within(first, last, missing(first, last, seqs, 1000))) == absent
    bounded = missing(first, last, seqs, ranges_max)
    assert len(bounded) <= ranges_max
    assert set(within(first, last, bounded)) >= absent
