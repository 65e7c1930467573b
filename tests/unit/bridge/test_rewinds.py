"""A bridge passes the portal's position on to the sender, and never has a sender pass over what it has not sent."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.rewinds import JUST_S, NOTHING, NOTICE_EVERY_S, ORDER_S, QUIET_S, Rewinds
from ticketflow.events.replay import Rewind, Standing
from ticketflow.feed import Hello, Position


def hello(last_seq: int = 100, epoch: int = 7) -> Hello:
    return Hello(1, "billing", epoch, 1, last_seq, "billing-1")


def standing(watermark: int, highest: int = 100, epoch: int = 7) -> Standing:
    return Standing(stream="billing", epoch=epoch, watermark=watermark, highest=highest)


def back_to(watermark: int, epoch: int = 7) -> Rewind:
    return Rewind(stream="billing", epoch=epoch, watermark=watermark, ahead=False)


def beyond(watermark: int) -> Rewind:
    return Rewind(stream="billing", epoch=7, watermark=watermark, ahead=True)


def after_session(hello: Hello) -> Rewinds:
    """A bridge that had an idle session."""
    rewinds = Rewinds()
    assert rewinds.opened(hello, 0) == NOTHING
    return rewinds


def test_a_portal_that_misses_events_gets_them_again() -> None:
    assert after_session(hello()).judged(standing(40), QUIET_S) == back_to(40)


def test_what_the_sender_is_about_to_send_anyway_needs_no_order() -> None:
    rewinds, greeting = Rewinds(), hello()
    rewinds.opened(greeting, 0)
    rewinds.received(greeting, 41, 60)
    assert rewinds.judged(standing(40), 1) is None

    rewinds.confirmed(greeting, 60)
    assert rewinds.judged(standing(40), 1) == back_to(40)


def test_a_sender_of_which_nothing_is_known_yet_is_left_alone() -> None:
    assert after_session(hello()).judged(standing(40), QUIET_S - 0.1) is None
    assert Rewinds().judged(standing(40), 100) is None


def test_a_sender_that_is_behind_is_shown_so() -> None:
    assert after_session(hello(last_seq=50)).judged(standing(50, highest=100), 0) == beyond(100)


def test_a_sender_that_has_caught_up_is_not_behind_but_goes_back() -> None:
    rewinds, greeting = Rewinds(), hello(last_seq=50)
    rewinds.opened(greeting, 0)
    rewinds.received(greeting, 51, 110)
    rewinds.confirmed(greeting, 110)

    assert rewinds.judged(standing(50, highest=100), 1) == back_to(50)


def test_a_sender_that_has_begun_a_new_epoch_is_left_alone() -> None:
    assert after_session(hello()).judged(standing(40, epoch=6), QUIET_S) is None


def test_a_sender_restored_to_before_its_fork_is_shown_the_newer_epoch() -> None:
    rewinds = after_session(hello())
    order = rewinds.judged(standing(40, epoch=8), 0)
    assert order is not None

    rewinds.ordered(order, 0)
    assert rewinds.opened(hello(last_seq=1000), 1) == Position(8, 100)


def test_the_next_hello_is_answered_once_by_any_bridge() -> None:
    rewinds = Rewinds()
    rewinds.ordered(back_to(40), 0)

    assert rewinds.opened(hello(), 1) == Position(7, 40)
    assert rewinds.opened(hello(), 2) == NOTHING


def test_a_sender_behind_what_is_remembered_of_it_is_told_at_once() -> None:
    rewinds, greeting = Rewinds(), hello(last_seq=100)
    rewinds.opened(greeting, 0)
    rewinds.received(greeting, 101, 110)

    assert rewinds.opened(hello(last_seq=50), 1) == Position(7, 110)
    assert rewinds.opened(hello(last_seq=500, epoch=6), 2) == Position(7, 110), "restored to before its fork"
    assert rewinds.opened(hello(last_seq=50, epoch=8), 3) == NOTHING, "it has begun a new epoch"


def test_what_one_bridge_remembers_all_of_them_do() -> None:
    one, other = Rewinds(), Rewinds()
    one.opened(hello(last_seq=100), 0)
    [seen] = one.untold()

    for bridge in (one, other):
        bridge.overheard(seen)

    assert one.untold() == []
    assert other.untold() == []
    assert other.opened(hello(last_seq=50), 1) == Position(7, 100)


def test_an_old_order_is_void() -> None:
    rewinds = Rewinds()
    rewinds.ordered(back_to(40), 0)

    assert rewinds.opened(hello(), ORDER_S) == NOTHING


def test_an_order_for_another_epoch_is_void() -> None:
    """Such as one that came when the sender had just begun a new epoch: it would take it for lost history."""
    rewinds = Rewinds()
    rewinds.ordered(beyond(100), 0)

    assert rewinds.opened(hello(last_seq=60, epoch=8), 1) == NOTHING


def test_who_has_stamped_more_meanwhile_is_not_told_to_pass_over_it() -> None:
    rewinds = Rewinds()
    rewinds.ordered(beyond(100), 0)

    assert rewinds.opened(hello(last_seq=120), 1) == NOTHING


def test_a_watermark_beyond_a_sender_that_was_to_go_back_is_void() -> None:
    rewinds = Rewinds()
    rewinds.ordered(back_to(40), 0)

    assert rewinds.opened(hello(last_seq=30), 1) == NOTHING


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_no_request_makes_a_sender_pass_over_events(
    acked: int, unacked: int, unsent: int, watermark: int, missing: int
) -> None:
    """Whatever the portal says, true or not: WELCOME is behind what was acknowledged, or beyond what was stamped."""
    last_seq = acked + unacked + unsent
    rewinds, greeting = Rewinds(), hello(last_seq)
    rewinds.opened(greeting, 0)
    if unacked:
        rewinds.received(greeting, acked + 1, acked + unacked)
    elif unsent:
        return  # it would have sent them
    order = rewinds.judged(standing(watermark, highest=watermark + missing), QUIET_S)
    if order is None:
        return
    rewinds.ordered(order, QUIET_S)

    told = rewinds.opened(hello(last_seq), QUIET_S).watermark
    assert told is None or told < acked or told > last_seq


def test_a_position_is_published_at_the_begin_and_from_time_to_time() -> None:
    rewinds = after_session(hello())
    assert rewinds.begun(JUST_S - 1) == ["billing"]
    assert rewinds.begun(JUST_S) == []
    notice = rewinds.notice("billing", 0)
    assert notice is not None
    assert (notice.epoch, notice.last_seq, notice.resumed_after) == (7, 100, None)

    rewinds.noticed("billing", 0)
    assert rewinds.notice("billing", NOTICE_EVERY_S - 1) is None
    assert rewinds.notice("billing", NOTICE_EVERY_S) is not None
    assert rewinds.notice("reservation", 0) is None


def test_a_position_tells_of_a_replay_and_of_what_was_sent_since() -> None:
    rewinds, greeting = Rewinds(), hello()
    rewinds.ordered(back_to(40), 0)
    rewinds.opened(greeting, 0)
    first = rewinds.notice("billing", 0)
    assert first is not None
    assert first.resumed_after == 40

    rewinds.noticed("billing", 0)
    rewinds.received(greeting, 41, 130)
    later = rewinds.notice("billing", NOTICE_EVERY_S)
    assert later is not None
    assert (later.last_seq, later.resumed_after) == (130, None)


def test_a_session_that_was_replaced_says_nothing_of_the_one_that_replaced_it() -> None:
    rewinds, old = Rewinds(), hello()
    rewinds.opened(old, 0)
    rewinds.opened(hello(last_seq=120), 1)

    rewinds.received(old, 101, 110)
    rewinds.confirmed(old, 110)

    assert rewinds.judged(standing(105, highest=115), 1) is None, "nothing is known of the new one yet"
