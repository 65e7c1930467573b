"""The total-queue checker: every staged event has its effect, once."""

import pytest

from drills.checkers import total_queue
from drills.history import Received
from tests.unit.drills.story import START_AT_S, Story, change, good_story


def problems(story: Story) -> tuple[str, ...]:
    return total_queue.check(story.history()).problems


def test_an_event_that_never_arrived_is_lost() -> None:
    story = good_story()
    (event,) = [event for event in story.inbox["reservation"] if event.event_id == "h3:hold.sold"]
    story.inbox["reservation"].remove(event)

    assert problems(story) == ("reservation: lost: hold.sold of h3 (event h3:hold.sold) (seq 6) never reached billing",)


def test_an_event_that_was_never_sent_is_lost() -> None:
    story = good_story()
    story.tell("portal", "sale.settle", "h1", event_id="late")
    change(story.events["portal"], story.events["portal"][-1], seq=None)
    story.inbox["portal"].pop()

    assert problems(story) == (
        "portal: lost: sale.settle of h1 (event late) (never stamped) never reached reservation",
    )


def test_an_event_that_nobody_staged_is_unexpected() -> None:
    story = good_story()
    story.inbox["reservation"].append(Received("ghost", 99))

    assert problems(story) == ("reservation: unexpected: billing has event ghost, which was never staged",)


def test_a_fact_whose_sender_lost_it_and_told_it_again_is_recovered() -> None:
    story = good_story()
    story.inbox["billing"].append(Received("lost-by-galera", None, "order.pending", "h1"))

    found = total_queue.check(story.history())

    assert (found.ok, found.summary) == (True, "22 events, each with its effect, once; 1 recovered")


def test_a_fact_whose_sender_lost_it_and_came_to_the_same_end_is_recovered() -> None:
    story = good_story()
    story.inbox["billing"].append(Received("lost-by-galera", None, "payment.authorized", "h1"))
    (event,) = [event for event in story.events["billing"] if event.event_id == "h1:payment.authorized"]
    story.events["billing"].remove(event)
    del story.inbox["billing"][story.inbox["billing"].index(Received(event.event_id, None, event.kind, "h1"))]

    assert problems(story) == ()


def test_a_fact_whose_sender_lost_it_for_good_is_unexpected() -> None:
    story = good_story()
    story.inbox["billing"].append(Received("lost-by-galera", None, "payment.authorized", "h4"))

    assert problems(story) == ("billing: unexpected: portal has event lost-by-galera, which was never staged",)


@pytest.mark.parametrize(
    ("stream", "kind"), [("reservation", "hold.sold"), ("billing", "ticket.issued"), ("billing", "payment.authorized")]
)
def test_a_fact_that_was_told_by_two_events_is_doubled(stream: str, kind: str) -> None:
    story = good_story()
    story.tell(stream, kind, "h1", event_id="again")

    assert problems(story) == (f"{stream}: doubled: 2 times {kind} of h1, at most 1 can be true",)


def test_two_payments_of_one_order_are_authorized_each() -> None:
    story = good_story()
    change([payment := story.of(story.payments, "h1")], payment)
    story.payments.append(change([payment], payment, payment_id="second", state="VOIDED"))
    story.tell("billing", "payment.authorized", "h1", event_id="again")

    assert problems(story) == ()


def test_a_command_may_be_given_twice_for_it_has_one_effect() -> None:
    story = good_story()
    story.tell("portal", "sale.settle", "h1", event_id="again")

    assert problems(story) == ()


def test_a_command_that_is_given_twice_is_answered_twice_and_no_third_time() -> None:
    story = good_story()
    story.tell("portal", "sale.settle", "h1", event_id="again")
    story.tell("reservation", "hold.sold", "h1", event_id="answered-again")
    assert problems(story) == ()

    story.tell("reservation", "hold.sold", "h1", event_id="once-more")
    assert problems(story) == ("reservation: doubled: 3 times hold.sold of h1, at most 2 can be true",)


@pytest.mark.parametrize(("after_s", "times"), [(60.0, 1), (30.0, 2)])
def test_billing_may_ask_again_by_the_same_event_after_a_minute(after_s: float, times: int) -> None:
    story = good_story()
    told = Received("h1:payment.authorized", None, "payment.authorized", "h1")
    (first,) = [event for event in story.events["billing"] if event.event_id == told.event_id]
    change(story.events["billing"], first, event_id=made(2.0))
    change(story.inbox["billing"], told, event_id=made(2.0))
    story.tell("billing", "payment.authorized", "h1", event_id=made(2.0 + after_s))

    doubled = (f"billing: doubled: {times} times payment.authorized of h1, at most 1 can be true",)
    assert problems(story) == (doubled if times > 1 else ())


def made(at_s: float) -> str:
    """The id of an event that was made then: a UUIDv7."""
    stamp = f"{int((START_AT_S + at_s) * 1000):012x}"
    return f"{stamp[:8]}-{stamp[8:]}-7000-8000-000000000000"


def test_an_event_that_was_recorded_twice_is_doubled() -> None:
    story = good_story()
    story.inbox["reservation"].append(story.inbox["reservation"][0])

    assert problems(story) == ("reservation: doubled: billing has event h1:hold.placed 2 times",)


def test_an_event_that_was_received_and_did_nothing_is_lost() -> None:
    story = good_story()
    story.sales.remove(story.of(story.sales, "h4"))
    change(story.orders, story.of(story.orders, "h3"), state="PENDING")

    assert problems(story) == (
        "reservation: lost: hold.sold of h3 (event h3:hold.sold) had no effect at billing",
        "billing: lost: order.pending of h4 (event h4:order.pending) had no effect at portal",
        "billing: lost: order.failed of h4 (event h4:order.failed) had no effect at portal",
    )


def test_tickets_that_the_portal_does_not_show_had_no_effect() -> None:
    story = good_story()
    change(story.sales, story.of(story.sales, "h1"), tickets=(("h1-s1", "s1"),))

    assert problems(story) == ("billing: lost: ticket.issued of h1 (event h1:ticket.issued) had no effect at portal",)


def test_an_authorized_payment_whose_settling_nobody_asked_for_is_lost() -> None:
    story = good_story()
    story.hold("h6", "s6", at=8.0)
    story.tell("billing", "payment.authorized", "h6")
    change([payment := story.of(story.payments, "h1")], payment)
    story.payments.append(change([payment], payment, payment_id="h6-pay", order_id="h6"))

    assert problems(story) == (
        "billing: lost: payment.authorized of h6 (event h6:payment.authorized) had no effect at portal",
    )


def test_a_command_that_was_never_answered_is_lost() -> None:
    story = good_story()
    story.tell("portal", "sale.settle", "h4")

    assert problems(story) == ("portal: lost: sale.settle of h4 (event h4:sale.settle) had no effect at reservation",)


def test_events_of_other_drills_only_have_to_arrive() -> None:
    story = good_story()
    story.tell("reservation", "hold.expired", "of-the-drill-before")

    assert problems(story) == ()
