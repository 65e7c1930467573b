"""The clock of the loads that keep a pace."""

import os
import time
from contextlib import aclosing
from pathlib import Path

from bench.ticks import ticks

PER_SECOND = 500
TIMER = "anon_inode:[timerfd]"


async def test_ticks_come_at_their_pace_and_not_before() -> None:
    began, came = time.monotonic(), 0
    async with aclosing(ticks(PER_SECOND)) as each:
        async for many in each:
            came += many
            assert came <= (time.monotonic() - began) * PER_SECOND
            if came >= 50:
                break
    assert time.monotonic() - began < 5  # 0.1, but for a machine that stands still


async def test_what_passed_while_somebody_was_busy_is_counted() -> None:
    async with aclosing(ticks(PER_SECOND)) as each:
        assert await anext(each) >= 1
        until = time.monotonic() + 0.02
        while time.monotonic() < until:  # the loop stands still
            pass
        assert await anext(each) >= 9


async def test_waiting_for_a_tick_takes_no_processor() -> None:
    before = time.process_time()
    async with aclosing(ticks(20)) as each:
        for _ in range(4):
            await anext(each)
    assert time.process_time() - before < 0.1  # of 0.2 s


async def test_nothing_is_left_open() -> None:
    async with aclosing(ticks(PER_SECOND)) as each:
        await anext(each)
        assert timers() == 1
    assert timers() == 0


def timers() -> int:
    """How many of the kernel's timers this process holds: no loop of ours uses one."""
    return [os.readlink(file) for file in Path("/proc/self/fd").iterdir() if file.is_symlink()].count(TIMER)
