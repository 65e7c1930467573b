"""Workers take their rows a few at a time; one that fails keeps no other from its turn."""

import asyncio

import pytest

from billing.side_by_side import AT_ONCE, doubled_s, flowing, side_by_side


async def test_each_row_has_its_turn_and_no_more_than_a_few_at_once() -> None:
    under_way, most, done = 0, 0, []

    async def step(row: int) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        done.append(row)

    await side_by_side(range(20), step)
    assert (sorted(done), most) == (list(range(20)), AT_ONCE)
    await side_by_side([], step)


async def test_a_fault_is_raised_when_the_others_have_had_their_turn() -> None:
    done = []

    async def step(row: int) -> None:
        if row == 1:
            raise ValueError("the store is away")
        await asyncio.sleep(0)
        done.append(row)

    with pytest.raises(ValueError, match="away"):
        await side_by_side(range(10), step)
    assert done == [0, *range(2, 10)]


class Due:
    """Rows that become due, and how many were under way when each was taken."""

    def __init__(self, *rows: int) -> None:
        self.rows = list(rows)
        self.asked: list[int] = []

    async def take(self, most: int) -> list[int]:
        self.asked.append(most)
        taken, self.rows = self.rows[:most], self.rows[most:]
        return taken


async def test_what_is_due_flows_through_and_a_slow_one_holds_up_nobody() -> None:
    due, done, slow = Due(*range(30)), [], asyncio.Event()

    async def step(row: int) -> None:
        if row == 0:
            await slow.wait()
        await asyncio.sleep(0)
        done.append(row)
        if len(done) == 29:
            due.rows.append(30)  # it comes while only the slow one is under way
        if row == 30:
            slow.set()

    assert await flowing(due.take, step, 8, 1000) == 31
    assert done[-1] == 0
    assert sorted(done) == list(range(31))
    assert max(due.asked) == 8


async def test_no_more_are_taken_in_one_go_than_was_said() -> None:
    due, done = Due(*range(30)), []

    async def step(row: int) -> None:
        done.append(row)

    assert await flowing(due.take, step, 4, 10) == 10
    assert done == list(range(10))


async def test_after_a_fault_none_are_taken_and_those_begun_end() -> None:
    due, done = Due(*range(30)), []

    async def step(row: int) -> None:
        if row == 1:
            raise ValueError("the store is away")
        await asyncio.sleep(0.01)
        done.append(row)

    with pytest.raises(ValueError, match="away"):
        await flowing(due.take, step, 4, 1000)
    assert done == [0, 2, 3]


async def test_who_is_cancelled_takes_his_steps_along() -> None:
    due, begun, ended = Due(1, 2), asyncio.Event(), []

    async def step(row: int) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(row)

    running = asyncio.create_task(flowing(due.take, step, 4, 1000))
    await begun.wait()
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert sorted(ended) == [1, 2]


def test_tries_come_later_and_later_up_to_a_bound() -> None:
    assert [doubled_s(attempts, (0.25, 30.0)) for attempts in (0, 1, 2, 6, 7, 10_000)] == [0.25, 0.5, 1, 16, 30, 30]
