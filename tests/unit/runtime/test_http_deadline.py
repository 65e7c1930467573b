"""The time-out of requests: one timer for one after another."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.waiting import wait_until
from ticketflow.runtime.http.deadline import Deadline


@pytest.fixture
async def deadline() -> AsyncIterator[Deadline]:
    made = Deadline(asyncio.get_running_loop())
    yield made
    made.stop()


async def soon(text: str) -> str:
    await asyncio.sleep(0)
    return text


async def never() -> None:
    await asyncio.Event().wait()


async def test_work_that_is_done_in_time_is_left_alone(deadline: Deadline) -> None:
    assert [await deadline.within(30, soon(text)) for text in "abc"] == ["a", "b", "c"]


async def test_work_that_takes_too_long_is_cancelled_and_nothing_else_is(deadline: Deadline) -> None:
    ended: list[str] = []

    async def slow() -> None:
        try:
            await never()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    with pytest.raises(TimeoutError):
        await deadline.within(0.01, slow())
    assert ended == ["cancelled"]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    assert await deadline.within(30, soon("next")) == "next"


async def test_the_timer_of_work_long_done_does_not_cut_what_runs_now(deadline: Deadline) -> None:
    """It was set for the first, and rings while the second is under way, whose own time is not over."""
    loop = asyncio.get_running_loop()
    assert await deadline.within(0.05, soon("first")) == "first"
    assert deadline._timer is not None
    rings_at = deadline._timer.when()

    async def past_it() -> str:
        await wait_until(lambda: loop.time() > rings_at + 0.05)
        return "second"

    assert await deadline.within(30, past_it()) == "second"


async def test_a_shorter_time_than_that_of_the_work_before_counts(deadline: Deadline) -> None:
    assert await deadline.within(60, soon("first")) == "first"
    async with asyncio.timeout(30):
        with pytest.raises(TimeoutError):
            await deadline.within(0.01, never())


async def test_a_cancellation_from_outside_stays_one(deadline: Deadline) -> None:
    task = asyncio.create_task(deadline.within(30, never()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_the_work_is_its_own(deadline: Deadline) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await deadline.within(30, fail())


async def test_what_swallows_its_cancellation_has_its_answer_taken(deadline: Deadline) -> None:
    async def stubborn() -> str:
        try:
            await never()
        except asyncio.CancelledError:
            return "late"
        return "never"

    assert await deadline.within(0.01, stubborn()) == "late"
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
