"""The one-owner checker: a seat never has two owners."""

from hypothesis import given
from hypothesis import strategies as st

from drills.checkers import one_owner
from drills.checkers.one_owner import Span
from drills.history import Ticket, Unit
from tests.unit.drills.story import START_AT_S, Story, change, good_story

GIVEN_TWICE = (
    "seat s1 was given to b1 (hold h1, 1.000 s) and to b2 (hold h2, {at:.3f} s), with no release or expiry between"
)


def problems(story: Story) -> tuple[str, ...]:
    return one_owner.check(story.history()).problems


def answers(story: Story) -> tuple[str, ...]:
    """What the answers alone tell: the stores know nothing."""
    story.holds, story.tickets, story.sales, story.units = [], [], [], {}
    return problems(story)


def test_two_acknowledged_holds_of_one_seat_are_found_though_the_stores_hide_it() -> None:
    story = Story()
    story.hold("h1", "s1", at=1.0)
    story.hold("h2", "s1", at=4.0)

    assert answers(story) == (GIVEN_TWICE.format(at=4.0),)


def test_a_seat_may_be_held_again_after_its_release() -> None:
    story = Story()
    story.released("h1", "s1", at=1.0)
    story.released("h2", "s1", at=2.5)

    assert problems(story) == ()


def test_an_indefinite_release_may_have_freed_the_seat() -> None:
    story = Story()
    story.hold("h1", "s1", at=1.0)
    story.op("release", "h1", at=9.0, took=7.0, outcome="indefinite", status=0)
    story.hold("h2", "s1", at=3.0)

    assert answers(story) == ()


def test_a_refused_release_has_not_freed_the_seat() -> None:
    story = Story()
    story.hold("h1", "s1", at=1.0)
    story.op("release", "h1", at=2.0, outcome="refused", status=409, code="hold_sold")
    story.hold("h2", "s1", at=3.0)

    assert answers(story) == (GIVEN_TWICE.format(at=3.0),)


def test_a_seat_may_be_held_again_after_time_and_grace_are_over() -> None:
    story = Story()
    story.expired("h1", "s1", at=1.0)
    story.expired("h2", "s1", at=32.0)

    assert problems(story) == ()


def test_a_seat_may_not_be_held_again_in_the_grace() -> None:
    story = Story()
    story.hold("h1", "s1", at=1.0)
    story.hold("h2", "s1", at=29.0)

    assert answers(story) == (GIVEN_TWICE.format(at=29.0),)


def test_a_hold_whose_answer_came_late_is_over_by_its_first_attempt() -> None:
    story = Story()
    story.op("hold", "h1", at=26.0, took=25.0, status=201, seats=("s1",), key="k1")  # it may have been placed at 1.0
    story.hold("h2", "s1", at=32.0)

    assert answers(story) == ()


def test_the_first_attempt_may_have_been_another_click() -> None:
    story = Story()
    story.op("hold", "h1", at=6.0, took=5.0, outcome="indefinite", order_id="", key="k1", seats=("s1",))
    story.op("hold", "h1", at=26.0, status=201, seats=("s1",), key="k1")
    story.hold("h2", "s1", at=32.0)

    assert answers(story) == ()


def test_two_answers_for_one_hold_are_one_owner() -> None:
    story = Story()
    story.hold("h1", "s1", at=1.0)
    story.op("hold", "h1", at=3.0, status=201, seats=("s1",), key="h1-key")

    assert answers(story) == ()


def test_who_was_never_answered_witnesses_nothing() -> None:
    story = Story()
    story.hold("h1", "s1", at=1.0)
    story.op("hold", "h2", at=3.0, outcome="indefinite", order_id="", key="k2", seats=("s1",))

    assert answers(story) == ()


def test_a_hold_that_was_placed_while_another_stood_is_found_though_it_was_given_up_at_once() -> None:
    story = Story()
    story.hold("h1", "s1", at=1.0)
    story.hold("h2", "s1", at=4.0)
    story.op("release", "h2", at=4.1)

    assert answers(story) == (GIVEN_TWICE.format(at=4.0),)


def test_a_seat_that_was_shown_sold_is_nobody_elses_ever() -> None:
    story = Story()
    story.sold("h1", "s1", at=1.0)
    story.hold("h2", "s1", at=50.0)

    assert answers(story) == (GIVEN_TWICE.format(at=50.0),)


# -- the stores


def test_two_holds_that_overlap_by_the_databases_clock_are_found() -> None:
    story = Story()
    story.expired("h1", "s1", at=1.0)
    story.hold("h2", "s1", at=5.0, told=False)
    story.end("h2", "EXPIRED", "expired", at=40.0)

    assert problems(story) == (
        "seat s1 was hold h1's (EXPIRED, 0.950 s to 30.950 s) and hold h2's (EXPIRED, 4.950 s to 34.950 s) at once",
    )


def test_a_late_settlement_may_find_its_seats_free_again() -> None:
    story = Story()
    story.hold("h1", "s1", at=1.0)
    story.pay("h1", at=10.0)
    story.released("h2", "s1", at=33.0)
    story.settle("h1", at=50.0)

    assert problems(story) == ()


def test_a_late_settlement_may_not_take_seats_that_are_somebody_elses() -> None:
    story = Story()
    story.hold("h1", "s1", at=1.0)
    story.pay("h1", at=10.0)
    story.hold("h2", "s1", at=45.0)
    story.settle("h1", at=50.0)
    story.end("h2", "EXPIRED", "expired", at=80.0)

    assert problems(story) == (
        "seat s1 was hold h1's (SOLD, 50.000 s to the end) and hold h2's (EXPIRED, 44.950 s to 74.950 s) at once",
    )


def test_two_sold_holds_of_one_seat_are_found() -> None:
    story = good_story()
    change(story.holds, story.of(story.holds, "h3"), seats=("s3", "s1"))

    assert problems(story) == (
        "seat s1 was hold h1's (SOLD, 3.000 s to the end) and hold h3's (SOLD, 3.950 s to 6.000 s) at once",
        "seat s1 was hold h1's (SOLD, 3.000 s to the end) and hold h3's (SOLD, 6.000 s to the end) at once",
        "hold h3 is SOLD, and its seat s1 is h1's",
    )


def test_an_owner_exists_and_asked_for_the_seat_and_is_what_the_seat_says() -> None:
    story = good_story()
    story.units |= {"s6": Unit("s6", "sold", "h9"), "s7": Unit("s7", "held", "h1"), "s4": Unit("s4", "sold", "h4")}

    assert problems(story) == (
        "seat s4 is sold by hold h4, which is EXPIRED",
        "seat s6 is sold by hold h9, which does not exist",
        "seat s7 is held by hold h1, which never asked for it",
    )


def test_a_sold_hold_whose_seat_is_free_is_found() -> None:
    story = good_story()
    story.units["s3"] = Unit("s3", "free", None)

    assert problems(story) == ("hold h3 is SOLD, and its seat s3 is nobody's",)


def test_a_seat_with_two_tickets_is_found_in_billing_and_in_the_portal() -> None:
    story = good_story()
    story.tickets.append(Ticket("t9", "h3", "s1", 2500, START_AT_S))
    change(story.sales, story.of(story.sales, "h3"), tickets=(("h3-s3", "s3"), ("t9", "s1")))

    assert problems(story) == (
        "billing: seat s1 has two tickets: h1-s1 (order h1) and t9 (order h3)",
        "portal: seat s1 has two tickets: h1-s1 (order h1) and t9 (order h3)",
    )


moments = st.floats(0, 100)
spans = st.tuples(moments, moments).map(lambda ends: Span(min(ends), max(ends)))


@given(spans, spans)
def test_overlapping_is_mutual_and_spans_that_only_touch_do_not(one: Span, two: Span) -> None:
    assert one.overlaps(two) == two.overlaps(one)
    assert not one.overlaps(Span(one.ended_s, one.ended_s + 1))


@given(st.lists(st.floats(0.1, 5), min_size=1, max_size=20))
def test_any_number_of_buyers_may_have_a_seat_one_after_the_other(stays_s: list[float]) -> None:
    story, at = Story(), 1.0
    for number, stay_s in enumerate(stays_s, 1):
        story.released(f"h{number}", "s1", at=at, after=stay_s + 0.1)
        at += stay_s + 0.5

    assert problems(story) == ()


@given(st.lists(st.floats(0.5, 5), min_size=2, max_size=20), st.data())
def test_whoever_is_let_in_too_early_is_found(stays_s: list[float], data: st.DataObject) -> None:
    story, at = Story(), 1.0
    for number, stay_s in enumerate(stays_s, 1):
        story.released(f"h{number}", "s1", at=at, after=stay_s)
        at += stay_s + 0.5
    early = data.draw(st.integers(1, len(stays_s) - 1))
    release = story.op_of("release", f"h{early}")
    change(story.ops, release, began_s=release.began_s + 1, ended_s=release.ended_s + 1)

    assert any(f"hold h{early}," in text and f"hold h{early + 1}," in text for text in answers(story))
