"""How often an idle relay looks."""

import itertools

from ticketflow.delivery.polling import DISTRUST_S, FIRST_S, TOLD_S, UNTOLD_S, Polling


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def longest_s(polling: Polling) -> float:
    return max(polling.next_s() for _ in range(50))


def test_the_first_look_comes_soon_and_each_later_one_after_a_longer_pause() -> None:
    polling = Polling(announced=True)
    polling.busy()
    pauses = [polling.next_s() for _ in range(20)]
    assert pauses[0] == FIRST_S
    assert all(first <= second for first, second in itertools.pairwise(pauses))
    assert pauses[-1] == TOLD_S
    polling.busy()
    assert polling.next_s() == FIRST_S


def test_where_nobody_tells_there_are_more_looks() -> None:
    assert longest_s(Polling(announced=False)) == UNTOLD_S


def test_a_look_that_finds_what_nobody_told_of_is_followed_by_more_for_a_while() -> None:
    clock = Clock()
    polling = Polling(announced=True, clock=clock)
    polling.found(woken=False)
    assert longest_s(polling) == UNTOLD_S
    clock.now += DISTRUST_S
    assert longest_s(polling) == TOLD_S


def test_work_that_was_told_of_is_as_it_should_be() -> None:
    polling = Polling(announced=True)
    polling.found(woken=True)
    assert longest_s(polling) == TOLD_S
