"""When the portal asks for events again, how often, and when it stops hoping."""

from portal.asking import ASK_EVERY_MAX_S, ASK_EVERY_S, ASKS_MAX, HOLE_S, RESUMED_MAX, Asking, Step
from portal.positions import Position

WHOLE = Position(7, 10, highest=10)
HOLED = Position(7, 10, ((12, 20),), 20)


def asking(position: Position = HOLED, now: float = 0) -> Asking:
    asking = Asking()
    asking.settled("billing", position, now)
    return asking


def test_nothing_missing_nothing_asked() -> None:
    assert asking(WHOLE).step("billing", 1e6) is Step.WAIT


def test_what_is_missing_may_be_on_its_way() -> None:
    assert asking().step("billing", HOLE_S - 0.1) is Step.WAIT
    assert asking().step("billing", HOLE_S) is Step.ASK


def test_a_hole_ages_from_its_appearance_not_from_the_last_event_before_it() -> None:
    late = asking(WHOLE)
    late.settled("billing", HOLED, 1000)

    assert late.step("billing", 1000 + HOLE_S - 0.1) is Step.WAIT
    assert late.step("billing", 1000 + HOLE_S) is Step.ASK


def test_a_watermark_that_moves_is_not_asked_about() -> None:
    moving = asking()
    moving.settled("billing", Position(7, 11, ((13, 20),), 20), HOLE_S - 1)

    assert moving.step("billing", HOLE_S + 5) is Step.WAIT


def test_events_beyond_the_hole_are_no_progress() -> None:
    stuck = asking()
    stuck.settled("billing", Position(7, 10, ((12, 300),), 300), HOLE_S - 1)

    assert stuck.step("billing", HOLE_S) is Step.ASK


def test_it_asks_less_and_less_often_and_calls_a_person() -> None:
    stuck, now, called = asking(), HOLE_S, list[bool]()
    pauses = []
    for _ in range(ASKS_MAX + 3):
        called.append(stuck.asked("billing", now))
        began = now
        while stuck.step("billing", now) is Step.WAIT:
            now += 1
        pauses.append(now - began)

    assert pauses[:4] == [ASK_EVERY_S, 2 * ASK_EVERY_S, 4 * ASK_EVERY_S, 8 * ASK_EVERY_S]
    assert max(pauses) == ASK_EVERY_MAX_S
    assert called.index(True) == ASKS_MAX - 1
    assert sum(called) == 1
    assert stuck.stuck("billing")


def test_progress_makes_it_hopeful_again() -> None:
    stuck = asking()
    for n in range(ASKS_MAX):
        stuck.asked("billing", 1000 * n)
    stuck.settled("billing", Position(7, 11, ((13, 20),), 20), 9000)

    assert not stuck.stuck("billing")
    assert stuck.step("billing", 9000 + HOLE_S) is Step.ASK


def test_a_request_that_no_bridge_heard_does_not_count_and_is_not_repeated_at_once() -> None:
    alone = asking()
    for n in range(3 * ASKS_MAX):
        assert not alone.asked("billing", HOLE_S + 30 * n, heard=False)

    assert not alone.stuck("billing")
    assert alone.step("billing", HOLE_S + 30 * 3 * ASKS_MAX - 1) is Step.WAIT
    assert alone.step("billing", HOLE_S + 30 * 3 * ASKS_MAX) is Step.ASK


def test_what_several_replays_did_not_bring_is_given_up() -> None:
    stuck = asking()
    now = HOLE_S
    for _ in range(RESUMED_MAX):
        assert stuck.step("billing", now) is Step.ASK
        stuck.asked("billing", now)
        stuck.settled("billing", HOLED, now + 1, resumed=True)
        now += 1000

    assert stuck.step("billing", now) is Step.GIVE_UP


def test_a_replay_told_of_twice_is_one() -> None:
    stuck = asking()
    stuck.asked("billing", HOLE_S)
    for _ in range(RESUMED_MAX):
        stuck.settled("billing", HOLED, HOLE_S + 1, resumed=True)

    assert stuck.step("billing", 1e6) is Step.ASK


def test_a_sender_that_has_lost_history_is_told_at_once_but_not_all_the_time() -> None:
    behind = asking(WHOLE)
    behind.settled("billing", WHOLE, 1, behind=True)
    assert behind.step("billing", 1) is Step.ASK

    behind.asked("billing", 1)
    behind.settled("billing", WHOLE, 2, behind=True)
    assert behind.step("billing", 1 + ASK_EVERY_S - 1) is Step.WAIT
    assert behind.step("billing", 1 + ASK_EVERY_S) is Step.ASK


def test_a_new_epoch_ends_the_matter() -> None:
    behind = asking(WHOLE)
    behind.settled("billing", WHOLE, 1, behind=True)
    behind.settled("billing", Position(8, 10, highest=10), 2)

    assert behind.step("billing", 1000) is Step.WAIT
