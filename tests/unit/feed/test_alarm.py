"""The alarm of whoever waits for acks: it is never late, and a deadline that is met costs no timer."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from ticketflow.feed.alarm import Alarm


class Timer:
    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at = at
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """What an alarm needs of a loop, in a time of its own."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []
        self.rung: list[float] = []
        self.alarm = Alarm(cast(asyncio.AbstractEventLoop, self), self.ring)

    def time(self) -> float:
        return self.now

    def call_at(self, at: float, call: Callable[[], None], *_: Any) -> Timer:
        self.timers.append(Timer(at, call))
        return self.timers[-1]

    def ring(self) -> None:
        self.rung.append(self.now)

    def go(self, to: float) -> None:
        for timer in sorted((each for each in self.timers if not each.cancelled and each.at <= to), key=lambda t: t.at):
            self.timers.remove(timer)
            self.now = timer.at
            timer.call()
        self.now = to


def test_it_rings_once_at_its_deadline() -> None:
    clock = Clock()
    clock.alarm.set(105.0)
    clock.go(104.9)
    assert clock.rung == []
    clock.go(110.0)
    assert clock.rung == [105.0]
    clock.go(200.0)
    assert clock.rung == [105.0]


def test_a_thousand_deadlines_that_are_met_cost_one_timer() -> None:
    clock = Clock()
    for number in range(1000):
        clock.go(100.0 + number / 1000)
        clock.alarm.set(clock.now + 20)
    assert len(clock.timers) == 1
    clock.go(125.0)
    assert clock.rung == [120.0]  # early for the last of them: who waits looks at his own, and sets it again


def test_an_earlier_deadline_is_not_missed_for_a_later_one() -> None:
    clock = Clock()
    clock.alarm.set(120.0)
    clock.alarm.set(101.0)
    clock.go(110.0)
    assert clock.rung == [101.0]


def test_a_deadline_that_is_over_rings_soon_but_not_in_circles() -> None:
    clock = Clock()
    clock.alarm.set(99.0)
    clock.go(100.0009)
    assert clock.rung == []
    clock.go(100.002)
    assert len(clock.rung) == 1


def test_after_cancel_nothing_rings_and_it_can_be_set_again() -> None:
    clock = Clock()
    clock.alarm.set(101.0)
    clock.alarm.cancel()
    clock.alarm.cancel()
    clock.go(102.0)
    assert clock.rung == []
    clock.alarm.set(103.0)
    clock.go(104.0)
    assert clock.rung == [103.0]
