"""One stream's way through a batch: what counts, what is in doubt, who has lost history."""

from portal.following import Course, Left, Source
from portal.positions import UNKNOWN, Position
from ticketflow.events.replay import StreamPosition


def event(seq: int, epoch: int = 7, name: str = "") -> Source:
    return Source("billing", epoch, seq, f"{name or epoch}-{seq}")


def told(last_seq: int, epoch: int = 7, *forks: tuple[int, int], after: int | None = None) -> StreamPosition:
    return StreamPosition(stream="billing", epoch=epoch, last_seq=last_seq, forks=list(forks), resumed_after=after)


def course(position: Position | None, *items: Source | StreamPosition) -> Course:
    course = Course(position)
    course.take(items)
    return course


def test_a_stream_begins_with_whatever_comes_first() -> None:
    assert course(None, event(1), event(2)).position == Position(7, 2, highest=2)
    assert course(None, told(0), event(1), event(2)).position == Position(7, 2, highest=2)


def test_a_portal_that_begins_late_misses_what_came_before() -> None:
    assert course(None, told(500)).position == Position(7, 0, highest=500)
    assert course(None, told(500), event(501)).position == Position(7, 0, ((501, 501),), 501)


def test_a_portal_older_than_positions_begins_where_it_is() -> None:
    assert course(Position(UNKNOWN), told(40), event(38), event(39)).position == Position(7, 39, highest=39)


def test_what_the_queue_lost_is_missing() -> None:
    assert course(Position(7, 10, highest=10), event(11), event(14)).position == Position(7, 11, ((14, 14),), 14)


def test_a_lost_tail_is_noticed_by_what_the_sender_says() -> None:
    lost = course(Position(7, 10, highest=10), told(25))

    assert lost.position == Position(7, 10, highest=25)
    assert not lost.behind


def test_a_replay_that_was_asked_for_is_recognised() -> None:
    assert course(Position(7, 10, highest=25), told(25, after=10)).resumed
    assert not course(Position(7, 10, highest=25), told(25)).resumed


def test_a_sender_behind_us_puts_in_doubt_what_lies_beyond_it() -> None:
    behind = course(Position(7, 100, highest=100), told(50))

    assert behind.behind
    assert behind.position == Position(7, 50, highest=100)


def test_a_sender_that_has_caught_up_in_the_same_batch_is_no_longer_behind() -> None:
    assert not course(Position(7, 100, highest=100), told(50), told(120)).behind


def test_a_fork_is_followed_to_what_both_share() -> None:
    forked = course(Position(7, 100, highest=100), told(50), told(60, 8, (7, 60)), event(61, 8))

    assert forked.position == Position(8, 50, ((61, 61),), 61, ((7, 60),))
    assert forked.left == [Left(7, 60)]
    assert [item.event_id for item in forked.present] == ["8-61"]
    assert not forked.behind


def test_a_strange_history_is_not_followed() -> None:
    stood = Position(7, 100, highest=100)

    foreign = course(stood, told(200, 9, (5, 10)), event(201, 9))

    assert foreign.position == stood
    assert foreign.foreign == 9
    assert foreign.came == {"9-201": None}, "it is applied by its id, and not counted"
    assert [item.event_id for item in foreign.strays] == ["9-201"], "nobody knows yet whether it is of our history"


def test_a_sender_in_an_epoch_that_is_over_is_behind() -> None:
    stood = Position(8, 100, highest=100, forks=((7, 60),))

    behind = course(stood, told(70, 7))

    assert behind.position == stood
    assert (behind.behind, behind.foreign) == (True, None)


def test_a_second_fork_is_followed_to_what_all_share() -> None:
    """The sender was restored to before its first fork, at 60, and had got to 70 of epoch 7 when it found out."""
    twice = course(Position(8, 100, highest=100, forks=((7, 60),)), told(70, 9, (7, 70)))

    assert twice.position == Position(9, 60, (), 70, ((7, 70),))
    assert twice.left == [Left(8, 60)]


def test_who_has_nothing_belongs_to_the_first_that_comes() -> None:
    assert course(Position(7), told(30, 9)).position == Position(9, 0, highest=30, forks=())


def test_an_event_of_the_lost_history_that_comes_late_is_a_stray() -> None:
    stood = Position(8, 70, highest=70, forks=((7, 60),))
    late = course(stood, event(65, 7), event(55, 7))

    assert [item.event_id for item in late.strays] == ["7-65"], "55 is common history"
    assert late.position == stood


def test_an_event_below_the_highest_may_collide_with_another_under_its_seq() -> None:
    again = course(Position(7, 100, highest=100), event(51, name="other"), event(101))

    assert again.current({"other-51", "7-101"}) == {51: "other-51"}
    assert again.current(set()) == {}, "what was known by its id is a mere repeat"

    again.collided(51)
    assert again.position == Position(7, 51, ((101, 101),), 101)


def test_two_events_under_one_seq_in_one_batch_collide() -> None:
    both = course(Position(7), event(1), event(2), event(2, name="other"))

    assert both.current({"7-1", "7-2", "other-2"}) == {2: "other-2"}


def test_nothing_is_known_of_a_stream_whose_events_are_not_counted() -> None:
    assert course(None).position is None
    assert course(Position(UNKNOWN), told(30)).position == Position(UNKNOWN)
