"""Workers take their rows a few at a time; one that fails keeps no other from its turn."""

import asyncio

import pytest

from billing.side_by_side import AT_ONCE, doubled_s, side_by_side


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


def test_tries_come_later_and_later_up_to_a_bound() -> None:
    assert [doubled_s(attempts, (0.25, 30.0)) for attempts in (0, 1, 2, 6, 7, 10_000)] == [0.25, 0.5, 1, 16, 30, 30]
