"""A position is a set of seqs, however it is written down."""

from hypothesis import given
from hypothesis import strategies as st

from portal.positions import RANGES_MAX, Position, counted, following, forgotten, gaps, ranges_of, stamped
from ticketflow.delivery.forks import History

SEQS = st.sets(st.integers(1, 60), max_size=40)
BATCHES = st.lists(SEQS, max_size=6)


def position_of(seqs: set[int]) -> Position:
    return counted(Position(7), ranges_of(seqs))


def settled(position: Position) -> set[int]:
    return {seq for seq in range(1, 70) if position.has(seq)}


@given(BATCHES)
def test_whatever_the_order_and_the_repeats_the_same_seqs_are_settled(batches: list[set[int]]) -> None:
    position = Position(7)
    for batch in batches:
        position = counted(position, ranges_of(batch))

    together = set[int]().union(*batches)
    assert position == position_of(together)
    assert settled(position) == together


@given(SEQS)
def test_the_watermark_has_no_gap_below_it_and_one_above(seqs: set[int]) -> None:
    position = position_of(seqs)

    assert settled(position) >= set(range(1, position.watermark + 1))
    assert not position.has(position.watermark + 1)
    assert all(first > position.watermark + 1 for first, _ in position.ahead)


@given(SEQS, st.integers(0, 65))
def test_gaps_are_what_exists_and_is_not_settled(seqs: set[int], last_seq: int) -> None:
    position = stamped(position_of(seqs), last_seq)

    missing = {seq for first, last in gaps(position) for seq in range(first, last + 1)}
    assert missing == set(range(1, max([last_seq, *seqs]) + 1)) - seqs
    assert position.missing == len(missing)
    assert counted(position, gaps(position)).missing == 0


@given(SEQS, st.integers(0, 65))
def test_forgetting_leaves_what_came_before_and_the_memory_that_there_was_more(seqs: set[int], after: int) -> None:
    position = position_of(seqs)

    less = forgotten(position, after)

    assert settled(less) == {seq for seq in seqs if seq <= after}
    assert less.highest == position.highest


@given(SEQS.filter(bool), st.integers(0, 65), st.integers(0, 5))
def test_a_new_epoch_keeps_what_both_have_in_common(seqs: set[int], after: int, more: int) -> None:
    before = position_of(seqs)

    moved = following(before, History(8, ((7, after),)), after + more)

    assert moved is not None
    position, common = moved
    assert common == min(after, before.highest)
    assert (position.epoch, position.highest, position.forks) == (8, max(after + more, common), ((7, after),))
    assert settled(position) == {seq for seq in seqs if seq <= after}


def test_an_epoch_that_is_older_or_a_stranger_is_not_followed() -> None:
    assert following(position_of({1, 2}), History(6, ()), 2) is None
    assert following(position_of({1, 2}), History(8, ((6, 1),)), 2) is None
    assert following(Position(7), History(8), 2) is not None, "who has nothing follows anybody"


def test_a_position_does_not_grow_without_end() -> None:
    position = counted(Position(7), [(seq, seq) for seq in range(2, 10_000, 2)])

    assert len(position.ahead) == RANGES_MAX
    assert position.highest == 9998, "what was forgotten is missing, and will be asked for"
    assert not position.has(9998)
