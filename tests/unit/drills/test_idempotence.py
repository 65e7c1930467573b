"""The idempotence checker: all requests of one key have one effect and one answer."""

from drills.checkers import idempotence
from drills.history import Payment
from tests.unit.drills.story import Story, change, good_story


def problems(story: Story) -> tuple[str, ...]:
    return idempotence.check(story.history()).problems


def again(story: Story, action: str, name: str, **changes: object) -> None:
    """The same wish once more, under the same key."""
    first = story.op_of(action, name)
    story.ops.append(change([first], first, began_s=first.ended_s, ended_s=first.ended_s + 1, **changes))


def test_a_key_that_is_sent_again_gets_the_same_answer() -> None:
    story = good_story()
    again(story, "hold", "h1")
    again(story, "pay", "h1")

    found = idempotence.check(story.history())

    assert (found.ok, found.summary) == (True, "7 keys, sent 2 times more than once, with one effect each")


def test_a_key_with_two_holds_is_found() -> None:
    story = good_story()
    again(story, "hold", "h1", order_id="h1-again")

    assert problems(story) == ("hold of b1, key h1-key: two effects: h1 at 1.000 s, h1-again at 2.000 s",)


def test_a_key_with_two_payments_is_found() -> None:
    story = good_story()
    again(story, "pay", "h1", payment_id="second")

    assert problems(story) == ("pay of b1, key h1-pay-key: two effects: h1-pay at 2.000 s, second at 3.000 s",)


def test_a_key_with_two_bodies_is_found() -> None:
    story = good_story()
    again(story, "hold", "h1", body_digest="another")

    assert problems(story) == ("hold of b1, key h1-key: two bodies for h1, at 1.000 s and at 2.000 s",)


def test_a_key_that_was_given_and_then_refused_is_found() -> None:
    story = good_story()
    again(story, "hold", "h1", outcome="refused", status=409, code="seat_unavailable", order_id="", body_digest="")

    assert problems(story) == ("hold of b1, key h1-key: answered 201 at 1.000 s, 409 seat_unavailable at 2.000 s",)


def test_a_key_that_was_refused_stays_refused_though_problems_differ_in_their_bodies() -> None:
    story = good_story()
    again(story, "hold", "h5", body_digest="with another correlation id")

    assert problems(story) == ()


def test_an_answer_that_decides_nothing_may_be_followed_by_another() -> None:
    story = good_story()
    story.op("pay", "h1", at=1.1, key="h1-pay-key", outcome="refused", status=409, code="order_not_yet")
    story.op("pay", "h1", at=1.2, key="h1-pay-key", outcome="refused", status=503, code="provider_unavailable")
    story.op("pay", "h1", at=1.3, key="h1-pay-key", status=202, payment_id="h1-pay", body_digest="")
    story.op("pay", "h1", at=1.4, key="h1-pay-key", outcome="indefinite", status=0)

    assert problems(story) == ()


def test_two_keys_never_share_a_hold() -> None:
    story = good_story()
    again(story, "hold", "h1", key="another")

    assert problems(story) == ("hold h1 answers 2 keys: another, h1-key",)


def test_a_buyer_has_no_more_holds_than_keys() -> None:
    story = good_story()
    hold = story.of(story.holds, "h4")
    story.holds.append(change([hold], hold, hold_id="h4-again"))

    assert problems(story) == ("b4 sent 1 keys and has 2 holds: h4, h4-again",)


def test_a_key_that_ended_indefinite_may_have_its_hold() -> None:
    story = good_story()
    story.op("hold", "h4", at=9.0, key="second", outcome="indefinite", order_id="")
    hold = story.of(story.holds, "h4")
    story.holds.append(change([hold], hold, hold_id="h4-again"))

    assert problems(story) == ()


def test_an_order_has_no_more_payments_than_keys() -> None:
    story = good_story()
    story.payments.append(Payment("second", "h3", "VOIDED", 2500))

    assert problems(story) == ("1 keys to pay order h3 made 2 payments: h3-pay, second",)
