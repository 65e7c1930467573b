"""The agreement checker: three stores, one story, and nothing left open."""

from drills.checkers import agreement
from drills.history import Ticket, Unit
from tests.unit.drills.story import START_AT_S, Story, change, good_story


def problems(story: Story) -> tuple[str, ...]:
    return agreement.check(story.history()).problems


def test_a_confirmed_order_whose_seat_was_never_sold_is_found() -> None:
    story = good_story()
    change(story.holds, story.of(story.holds, "h3"), state="EXPIRED", payment_id=None)
    story.units["s3"] = Unit("s3", "free", None)

    assert problems(story) == (
        "sale h3: the hold is EXPIRED, the order CONFIRMED, the portal's sale CONFIRMED",
        "sale h3 of seats s3 (EXPIRED): tickets s3, portal's tickets s3",
    )


def test_a_sold_seat_whose_order_failed_is_found() -> None:
    story = good_story()
    change(story.orders, story.of(story.orders, "h1"), state="FAILED")
    change(story.sales, story.of(story.sales, "h1"), state="FAILED")

    assert problems(story) == ("sale h1: the hold is SOLD, the order FAILED, the portal's sale FAILED",)


def test_a_sale_that_has_not_ended_is_found() -> None:
    story = good_story()
    story.hold("h6", "s6", at=8.0)
    change(story.sales, story.of(story.sales, "h6"), state="PAYING")

    assert problems(story) == (
        "sale h6: the hold is HELD, the order PENDING, the portal's sale PAYING",
        "seat s6 is still held by h6",
    )


def test_a_sale_that_one_store_has_never_heard_of_is_found() -> None:
    story = good_story()
    story.sales.remove(story.of(story.sales, "h4"))

    assert problems(story) == ("sale h4: the hold is EXPIRED, the order FAILED, the portal's sale missing",)


def test_a_missing_ticket_is_found() -> None:
    story = good_story()
    story.tickets.remove(next(ticket for ticket in story.tickets if ticket.seat == "s2"))

    assert problems(story) == ("sale h1 of seats s1, s2 (SOLD): tickets s1",)


def test_a_ticket_for_a_sale_that_failed_is_found() -> None:
    story = good_story()
    story.tickets.append(Ticket("t9", "h4", "s4", 2500, START_AT_S))

    assert problems(story) == ("sale h4 of seats s4 (EXPIRED): tickets s4",)


def test_an_order_over_other_seats_than_its_hold_is_found() -> None:
    story = good_story()
    change(story.orders, story.of(story.orders, "h2"), seats=("s3", "s9"))

    assert problems(story) == ("sale h2 of seats s3 (RELEASED): order's lines s3, s9",)


def test_other_tickets_for_the_same_seats_are_found() -> None:
    story = good_story()
    change(story.sales, story.of(story.sales, "h3"), tickets=(("forged", "s3"),))

    assert problems(story) == ("sale h3: billing and portal have different tickets for the same seats",)


def test_a_payment_that_is_still_under_way_is_found() -> None:
    story = good_story()
    change(story.payments, story.of(story.payments, "h3"), state="SETTLED")

    assert problems(story) == ("payment h3-pay of order h3 is still SETTLED",)


def test_whatever_waits_after_the_drain_is_found() -> None:
    story = good_story()
    story.parked = {"billing": 2, "portal": 0}
    story.queued = {"portal.sales": 0, "portal.sales.dead": 1}
    story.stream["billing"] = {"acked_seq": 9}

    assert problems(story) == (
        "2 events parked at billing",
        "1 messages in the queue portal.sales.dead",
        "backlog of 3 events in the stream billing",
    )
