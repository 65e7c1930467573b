"""The bank checker: places and money add up."""

from drills.checkers import bank
from drills.history import Charge, Payment, Places, Sample, Unit
from tests.unit.drills.story import Story, change, good_story


def problems(story: Story) -> tuple[str, ...]:
    return bank.check(story.history()).problems


def test_places_add_up_in_every_sample() -> None:
    story = good_story()
    story.samples = [Sample(1.0, places=Places(8, 2, 0)), Sample(2.0), Sample(3.0, places=Places(6, 1, 4))]

    assert problems(story) == ("at 3.0 s 6 free + 1 held + 4 sold = 11, which is not 10",)


def test_a_place_that_is_gone_at_the_end_is_missed() -> None:
    story = good_story()
    del story.units["s9"]

    assert problems(story) == ("at the end 6 free + 0 held + 3 sold = 9 of 9 places, which is not 10",)


def test_a_place_in_no_known_state_is_missed() -> None:
    story = good_story()
    story.units["s9"] = Unit("s9", "lost", None)

    assert problems(story) == ("at the end 6 free + 0 held + 3 sold = 9 of 10 places, which is not 10",)


def test_money_that_is_kept_for_a_failed_order_is_found() -> None:
    story = good_story()
    story.payments.append(Payment("h4-pay", "h4", "CAPTURED", 2500))
    story.charges.append(Charge("auth-h4", "h4-pay", "captured", 2500, 2500, 0))

    assert problems(story) == (
        "order h4 is FAILED: due 0, captured 2500, tickets worth 0 (h4-pay CAPTURED)",
        "the provider keeps 10000 in all, the tickets are worth 7500",
    )


def test_tickets_that_nobody_paid_for_are_found() -> None:
    story = good_story()
    change(story.payments, story.of(story.payments, "h1"), state="FAILED")
    change(story.charges, story.charge_of("h1"), state="voided", captured_minor=0)

    assert problems(story) == (
        "order h1 is CONFIRMED: due 5000, captured 0, tickets worth 5000 (h1-pay FAILED)",
        "the provider keeps 2500 in all, the tickets are worth 7500",
    )


def test_two_captured_payments_for_one_order_are_found() -> None:
    story = good_story()
    story.payments.append(Payment("again", "h3", "CAPTURED", 2500))
    story.charges.append(Charge("auth-again", "again", "captured", 2500, 2500, 0))

    assert problems(story) == (
        "order h3 is CONFIRMED: due 2500, captured 5000, tickets worth 2500 (h3-pay CAPTURED, again CAPTURED)",
        "the provider keeps 10000 in all, the tickets are worth 7500",
    )


def test_money_for_an_order_that_does_not_exist_is_found() -> None:
    story = good_story()
    story.orders.remove(story.of(story.orders, "h3"))

    assert problems(story) == ("money or tickets of order h3, which does not exist",)


def test_a_payment_that_was_given_back_leaves_nothing() -> None:
    story = good_story()
    story.payments += [Payment("p1", "h4", "VOIDED", 2500), Payment("p2", "h2", "FAILED", 2500)]
    story.payments += [Payment("p3", "h2", "DECLINED", 2500)]
    story.charges += [
        Charge("a1", "p1", "voided", 2500, 0, 0),
        Charge("a2", "p2", "refunded", 2500, 2500, 2500),
        Charge("a3", "p3", "declined", 2500, 0, 0),
    ]

    assert problems(story) == ()


def test_money_that_stays_set_aside_for_a_failed_payment_is_found() -> None:
    story = good_story()
    story.payments.append(Payment("p1", "h4", "FAILED", 2500))
    story.charges.append(Charge("a1", "p1", "authorized", 2500, 0, 0))

    assert problems(story) == (
        "payment p1 of order h4 is FAILED; the provider has a1 authorized: keeps 0, sets aside 2500",
    )


def test_a_captured_payment_that_the_provider_does_not_know_is_found() -> None:
    story = good_story()
    story.charges.remove(story.charge_of("h3"))

    assert problems(story) == (
        "payment h3-pay of order h3 is CAPTURED over 2500; the provider does not know of it",
        "the provider keeps 5000 in all, the tickets are worth 7500",
    )


def test_a_payment_that_was_charged_twice_is_found() -> None:
    story = good_story()
    story.charges.append(Charge("a2", "h3-pay", "authorized", 2500, 0, 0))

    (problem,) = problems(story)
    assert problem == (
        "payment h3-pay of order h3 is CAPTURED over 2500;"
        " the provider has auth-h3 captured: keeps 2500, sets aside 0, a2 authorized: keeps 0, sets aside 2500"
    )


def test_money_of_a_payment_that_nobody_knows_is_found() -> None:
    story = good_story()
    story.charges.append(Charge("a9", "p9", "authorized", 2500, 0, 0))

    assert problems(story) == ("there is no payment p9; the provider has a9 authorized: keeps 0, sets aside 2500",)


def test_a_charge_that_was_declined_needs_no_payment() -> None:
    story = good_story()
    story.charges.append(Charge("a9", "p9", "declined", 2500, 0, 0))

    assert problems(story) == ()
