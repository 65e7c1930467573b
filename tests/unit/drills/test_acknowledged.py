"""The set checker: what was acknowledged is kept, what exists was attempted."""

from drills.checkers import acknowledged
from drills.history import Hold, Payment
from tests.unit.drills.story import START_AT_S, Story, change, good_story


def problems(story: Story) -> tuple[str, ...]:
    return acknowledged.check(story.history()).problems


def test_an_acknowledged_hold_that_is_nowhere_is_lost() -> None:
    story = good_story()
    story.holds.remove(story.of(story.holds, "h2"))
    story.orders.remove(story.of(story.orders, "h2"))
    story.sales.remove(story.of(story.sales, "h2"))

    assert problems(story) == (
        "hold h2 of b2, acknowledged at 2.000 s, is not in reservation, billing, portal",
        "release of hold h2, acknowledged at 3.000 s: the hold is gone",
    )


def test_an_acknowledged_hold_that_never_reached_billing_is_lost() -> None:
    story = good_story()
    story.orders.remove(story.of(story.orders, "h4"))

    assert problems(story) == ("hold h4 of b4, acknowledged at 5.000 s, is not in billing",)


def test_a_hold_is_kept_as_it_was_told() -> None:
    story = good_story()
    change(story.holds, story.of(story.holds, "h4"), buyer="b9", seats=("s9",), total_minor=1)

    assert problems(story)[:3] == (
        "hold h4 was acknowledged to b4, and is b9's",
        "hold h4 was acknowledged with seats s4, and has s9",
        "hold h4 was acknowledged at 2500, and costs 1",
    )


def test_a_release_that_was_acknowledged_and_has_no_effect_is_lost() -> None:
    story = good_story()
    change(story.holds, story.of(story.holds, "h2"), state="EXPIRED")

    assert problems(story) == ("release of hold h2, acknowledged at 3.000 s: the hold is EXPIRED",)


def test_an_indefinite_release_may_have_no_effect() -> None:
    story = good_story()
    change(story.ops, story.op_of("release", "h2"), outcome="indefinite", status=0)
    change(story.holds, story.of(story.holds, "h2"), state="EXPIRED")

    assert problems(story) == ()


def test_a_payment_that_was_acknowledged_and_is_not_in_billing_is_lost() -> None:
    story = good_story()
    story.payments.remove(story.of(story.payments, "h3"))

    assert problems(story) == ("payment h3-pay of order h3, acknowledged with 201 at 5.000 s, is not in billing",)


def test_a_payment_whose_outcome_was_not_known_yet_is_kept_all_the_same() -> None:
    story = good_story()
    change(story.ops, story.op_of("pay", "h3"), status=202, payment_id="")
    assert problems(story) == ()

    story.payments.remove(story.of(story.payments, "h3"))
    assert problems(story) == ("payment (id unknown) of order h3, acknowledged with 202 at 5.000 s, is not in billing",)


def test_an_end_that_a_buyer_has_seen_is_not_taken_back() -> None:
    story = good_story()
    change(story.orders, story.of(story.orders, "h1"), state="FAILED")
    change(story.sales, story.of(story.sales, "h3"), tickets=())

    assert problems(story) == (
        "order h1 was shown CONFIRMED at 3.100 s, and is FAILED in billing",
        "order h3 was shown with 1 tickets, and the portal has 0",
    )


def test_a_state_that_may_still_change_binds_nobody() -> None:
    story = good_story()
    story.op("order", "h1", at=2.5, state="PENDING")
    story.op("sale", "h1", at=2.6, state="PAYING")

    assert problems(story) == ()


def test_a_hold_that_its_buyer_never_asked_for_is_found() -> None:
    story = good_story()
    story.holds.append(stray("h6", "b6"))

    assert problems(story) == ("hold h6 of b6 exists, and no wish of that buyer can have made it",)


def test_a_hold_that_was_refused_does_not_exist() -> None:
    story = good_story()
    story.holds.append(stray("h5", "b5"))

    assert problems(story) == ("hold h5 of b5 exists, and no wish of that buyer can have made it",)


def test_one_indefinite_wish_explains_one_hold_and_no_more() -> None:
    story = good_story()
    story.op("hold", "h6", at=8.0, outcome="indefinite", order_id="", key="h6-key")
    story.holds.append(stray("h6", "b6"))
    assert problems(story) == ()

    story.holds.append(stray("h6-again", "b6"))
    assert problems(story) == ("hold h6-again of b6 exists, and no wish of that buyer can have made it",)


def test_a_key_that_was_answered_at_last_explains_no_other_hold() -> None:
    story = good_story()
    story.op("hold", "h1", at=0.9, outcome="indefinite", order_id="", key="h1-key")  # the first of two clicks
    story.holds.append(stray("h6", "b1"))

    assert problems(story) == ("hold h6 of b1 exists, and no wish of that buyer can have made it",)


def test_orders_and_sales_come_from_holds() -> None:
    story = good_story()
    story.orders.append(change([order := story.of(story.orders, "h1")], order, order_id="h8"))
    story.sales.append(change([sale := story.of(story.sales, "h1")], sale, order_id="h9"))

    assert problems(story) == (
        "order h8 of b1 exists in billing, its hold does not in reservation",
        "sale h9 of b1 exists in the portal, its hold does not in reservation",
    )


def test_nobody_pays_an_order_unasked() -> None:
    story = good_story()
    story.payments.append(Payment("p9", "h2", "VOIDED", 2500))

    assert problems(story) == ("payment p9 of order h2 exists, and nobody asked to pay that order",)


def stray(name: str, buyer: str) -> Hold:
    return Hold(name, buyer, "EXPIRED", ("s7",), 2500, None, START_AT_S, START_AT_S + 30, START_AT_S + 31)
