"""Requests that queue up: decided together, each on its own, none lost, none held up by a neighbour."""

import asyncio
from collections.abc import Callable, Hashable, Sequence

import pytest

from reservation.batching import Batcher, TooBusy
from tests.support.waiting import wait_until
from ticketflow.runtime.correlation import bind_correlation, bound_correlation
from ticketflow.runtime.errors import Unavailable


class Desk:
    """Answers a request with twice its number. ``open``: batches go through while it is set."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.fails: dict[int, Exception] = {}
        self.correlations: list[object] = []

    async def decide(self, requests: Sequence[int]) -> Sequence[int | Exception]:
        self.batches.append(list(requests))
        self.correlations.append(bound_correlation())
        await self.open.wait()
        return [self.fails.get(request, 2 * request) for request in requests]

    def batcher(
        self,
        *,
        flushers: int = 1,
        batch_max: int = 4,
        queue_max: int = 100,
        patience_s: float = 60,
        wait_s: float = 60,
        pace_s: float = 0,
        pace_s_max: float | None = None,
        enough: int | None = None,
        whose: Callable[[int], Hashable] = lambda _request: object(),
        day_s: float = 0,
    ) -> Batcher[int, int]:
        return Batcher(
            "test",
            self.decide,
            flushers=flushers,
            batch_max=batch_max,
            queue_max=queue_max,
            patience_s=patience_s,
            wait_s=wait_s,
            pace_s=pace_s,
            pace_s_max=pace_s_max,
            enough=enough,
            whose=whose,
            day=lambda: day_s,
        )


async def test_one_that_comes_alone_is_decided_alone_and_at_once() -> None:
    desk = Desk()
    assert await desk.batcher().ask(1) == 2
    assert desk.batches == [[1]]


async def test_all_of_one_turn_of_the_loop_go_together() -> None:
    desk = Desk()
    batcher = desk.batcher()
    assert await asyncio.gather(*map(batcher.ask, range(4))) == [0, 2, 4, 6]
    assert desk.batches == [[0, 1, 2, 3]]


async def test_what_comes_meanwhile_goes_together_in_its_order() -> None:
    desk = Desk()
    desk.open.clear()
    batcher = desk.batcher()
    first = asyncio.create_task(batcher.ask(1))
    await wait_until(lambda: desk.batches == [[1]])
    others = [asyncio.create_task(batcher.ask(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    again = asyncio.create_task(batcher.ask(9, again=True))
    await asyncio.sleep(0)
    desk.open.set()
    assert await asyncio.gather(first, *others, again) == [2, 4, 6, 8, 18]
    assert desk.batches == [[1], [9, 2, 3, 4]]


async def test_where_there_is_company_the_next_one_waits_for_more() -> None:
    desk = Desk()
    batcher = desk.batcher(pace_s=1)
    await asyncio.gather(*map(batcher.ask, (1, 2)))
    third = asyncio.create_task(batcher.ask(3))
    await asyncio.sleep(0.05)
    assert desk.batches == [[1, 2]]
    assert await batcher.ask(4) == 8
    assert await third == 6
    assert desk.batches == [[1, 2], [3, 4]]


async def test_who_is_alone_waits_for_nobody_however_often_he_asks() -> None:
    desk = Desk()
    batcher = desk.batcher(pace_s=60, whose=lambda _request: "the only one")
    async with asyncio.timeout(30):
        for number in range(50):
            assert await batcher.ask(number) == 2 * number


async def test_two_who_come_one_soon_after_the_other_are_company_for_the_next() -> None:
    desk = Desk()
    batcher = desk.batcher(pace_s=1, whose=lambda request: f"buyer {request}")
    assert [await batcher.ask(1), await batcher.ask(2)] == [2, 4]
    third = asyncio.create_task(batcher.ask(3))
    await asyncio.sleep(0.05)
    assert desk.batches == [[1], [2]]
    assert await batcher.ask(4) == 8
    assert await third == 6
    assert desk.batches == [[1], [2], [3, 4]]


async def test_who_comes_a_pace_after_the_one_before_is_no_company() -> None:
    desk, loop = Desk(), asyncio.get_running_loop()
    batcher = desk.batcher(pace_s=1, day_s=1000)
    for number in range(3):
        began = loop.time()
        assert await batcher.ask(number) == 2 * number
        assert loop.time() - began < 0.9
        await asyncio.sleep(1.1)


async def test_who_asked_again_and_then_another_are_company() -> None:
    desk = Desk()
    batcher = desk.batcher(pace_s=1, whose=lambda request: request // 10)
    for number in (11, 12, 21):
        assert await batcher.ask(number) == 2 * number
    waiting = asyncio.create_task(batcher.ask(22))
    await asyncio.sleep(0.05)
    assert desk.batches == [[11], [12], [21]]
    assert await waiting == 44


@pytest.mark.parametrize(
    ("since_the_step_s", "pause_s"),
    [(0.1, 0.9), (0.45, 0.55), pytest.param(0.6, 1.4, id="the next step is too near")],
)
async def test_replicas_keep_step_by_the_clock_of_the_day(since_the_step_s: float, pause_s: float) -> None:
    desk, loop = Desk(), asyncio.get_running_loop()
    batcher = desk.batcher(pace_s=1, day_s=7 * 60 + since_the_step_s)
    await asyncio.gather(*map(batcher.ask, (1, 2)))
    began = loop.time()
    assert await batcher.ask(3) == 6
    assert pause_s - 0.02 < loop.time() - began < pause_s + 0.8


async def test_where_batches_take_long_they_begin_farther_apart() -> None:
    desk, loop = Desk(), asyncio.get_running_loop()
    batcher = desk.batcher(pace_s=0.25, pace_s_max=0.5, whose=lambda _request: "one", day_s=1000)

    async def pause_after_a_batch_that_takes(batch_s: float) -> float:
        desk.open.clear()
        loop.call_later(batch_s, desk.open.set)
        began = loop.time()
        await asyncio.gather(*map(batcher.ask, (1, 2)))
        await batcher.ask(3)
        return loop.time() - began

    assert 0.24 < await pause_after_a_batch_that_takes(0) < 0.45
    # The newest counts for a tenth: 1 s makes it 0.1 s, of which four do not fit into a step of 0.25.
    await pause_after_a_batch_that_takes(1)
    assert 0.49 < await pause_after_a_batch_that_takes(0) < 0.95
    for _ in range(20):
        await batcher.ask(4)
    assert 0.24 < await pause_after_a_batch_that_takes(0) < 0.45


async def test_who_only_waits_for_company_has_no_other_flusher_begun() -> None:
    desk = Desk()
    batcher = desk.batcher(pace_s=0.5, flushers=2, patience_s=0.01, day_s=1000)
    await asyncio.gather(*map(batcher.ask, (1, 2)))
    third = asyncio.create_task(batcher.ask(3))
    await asyncio.sleep(0.2)
    assert [task.get_name() for task in asyncio.all_tasks()].count("flusher") == 1
    assert await third == 6


async def test_a_full_batch_waits_for_nothing() -> None:
    desk = Desk()
    batcher = desk.batcher(pace_s=60)
    async with asyncio.timeout(30):
        for _ in range(5):
            await asyncio.gather(*map(batcher.ask, range(4)))


async def test_once_enough_are_together_they_wait_for_no_more() -> None:
    desk = Desk()
    batcher = desk.batcher(pace_s=60, enough=3)
    async with asyncio.timeout(30):
        await asyncio.gather(*map(batcher.ask, (1, 2)))
        early = [asyncio.create_task(batcher.ask(number)) for number in (3, 4)]
        await asyncio.sleep(0.05)
        assert desk.batches == [[1, 2]]
        assert await batcher.ask(5) == 10
        assert await asyncio.gather(*early) == [6, 8]
        assert desk.batches == [[1, 2], [3, 4, 5]]
        await asyncio.gather(*map(batcher.ask, (6, 7, 8)))
    assert desk.batches == [[1, 2], [3, 4, 5], [6, 7, 8]]


@pytest.mark.parametrize(("many", "wait"), [(3, True), pytest.param(4, False, id="a full batch")])
async def test_shortly_before_a_step_enough_wait_for_it(many: int, wait: bool) -> None:
    desk, loop = Desk(), asyncio.get_running_loop()
    batcher = desk.batcher(pace_s=2, enough=3, batch_max=4, day_s=1000)
    began = loop.time()
    await asyncio.gather(*map(batcher.ask, (1, 2)))
    await asyncio.sleep(1.55)
    assert await asyncio.gather(*map(batcher.ask, range(many))) == [2 * number for number in range(many)]
    assert (loop.time() - began > 1.97) is wait
    assert desk.batches == [[1, 2], list(range(many))]


async def test_a_batch_has_its_bound_and_nobody_is_left_behind() -> None:
    desk = Desk()
    batcher = desk.batcher(batch_max=3, flushers=2)
    assert await asyncio.gather(*map(batcher.ask, range(50))) == [2 * number for number in range(50)]
    assert max(map(len, desk.batches)) == 3
    assert sorted(number for batch in desk.batches for number in batch) == list(range(50))


async def test_no_wake_up_is_lost_whenever_one_asks() -> None:
    desk = Desk()
    batcher = desk.batcher(batch_max=2)

    async def ask_again_and_again(number: int) -> None:
        for turn in range(200):
            for _ in range((number + turn) % 4):
                await asyncio.sleep(0)
            assert await batcher.ask(number) == 2 * number

    async with asyncio.timeout(30):
        await asyncio.gather(*map(ask_again_and_again, range(7)))


async def test_one_that_fails_harms_no_neighbour() -> None:
    desk = Desk()
    desk.fails[2] = ZeroDivisionError()
    batcher = desk.batcher()
    one, two, three = await asyncio.gather(*map(batcher.ask, (1, 2, 3)), return_exceptions=True)
    assert (one, three) == (2, 6)
    assert isinstance(two, ZeroDivisionError)


async def test_what_fails_as_a_whole_is_told_to_all_and_the_next_are_served() -> None:
    desk = Desk()
    batcher = desk.batcher()

    async def fail(_requests: Sequence[int]) -> Sequence[int]:
        raise Unavailable("away")

    broken: Batcher[int, int] = Batcher("broken", fail, flushers=1, batch_max=4, queue_max=9, patience_s=60, wait_s=60)
    told = await asyncio.gather(*map(broken.ask, (1, 2)), return_exceptions=True)
    assert [type(error) for error in told] == [Unavailable, Unavailable]
    with pytest.raises(Unavailable):
        await broken.ask(3)
    assert await batcher.ask(4) == 8


async def test_too_few_outcomes_are_an_error_and_no_endless_wait() -> None:
    async def forget(_requests: Sequence[int]) -> Sequence[int]:
        return []

    batcher: Batcher[int, int] = Batcher(
        "forgetful", forget, flushers=1, batch_max=4, queue_max=9, patience_s=60, wait_s=60
    )
    with pytest.raises(RuntimeError, match="0 outcomes for 1 requests"):
        await batcher.ask(1)


async def test_who_gives_up_cancels_nobody_and_is_not_begun() -> None:
    desk = Desk()
    desk.open.clear()
    batcher = desk.batcher()
    under_way, neighbour = (asyncio.create_task(batcher.ask(number)) for number in (1, 2))
    await wait_until(lambda: desk.batches == [[1, 2]])
    waiting, behind = (asyncio.create_task(batcher.ask(number)) for number in (3, 4))
    await asyncio.sleep(0)
    under_way.cancel()
    waiting.cancel()
    await asyncio.sleep(0)
    desk.open.set()
    assert list(await asyncio.gather(neighbour, behind)) == [4, 8]
    assert desk.batches == [[1, 2], [4]]


async def test_the_queue_is_bounded() -> None:
    desk = Desk()
    desk.open.clear()
    batcher = desk.batcher(queue_max=2)
    first = asyncio.create_task(batcher.ask(1))
    await wait_until(lambda: desk.batches == [[1]])
    others = [asyncio.create_task(batcher.ask(number)) for number in (2, 3)]
    await asyncio.sleep(0)
    with pytest.raises(TooBusy):
        await batcher.ask(4)
    desk.open.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6]
    assert await batcher.ask(5) == 10


async def test_who_waits_for_too_long_is_told_so_and_not_begun() -> None:
    desk = Desk()
    desk.open.clear()
    batcher = desk.batcher(patience_s=0.01, wait_s=0.05)
    first = asyncio.create_task(batcher.ask(1))
    await wait_until(lambda: desk.batches == [[1]])
    with pytest.raises(Unavailable, match="not begun"):
        await batcher.ask(2)
    desk.open.set()
    assert await first == 2
    assert desk.batches == [[1]]


async def test_behind_one_that_is_stuck_another_flusher_begins() -> None:
    desk = Desk()
    desk.open.clear()
    batcher = desk.batcher(flushers=2, patience_s=0.01)
    stuck = asyncio.create_task(batcher.ask(1))
    await wait_until(lambda: desk.batches == [[1]])
    behind = asyncio.create_task(batcher.ask(2))
    await wait_until(lambda: desk.batches == [[1], [2]])
    desk.open.set()
    assert list(await asyncio.gather(stuck, behind)) == [2, 4]


async def test_a_batch_runs_in_nobodys_context() -> None:
    desk = Desk()
    with bind_correlation("mine"):
        await desk.batcher().ask(1)
    assert desk.correlations == [None]


async def test_draining_waits_for_all_that_was_asked() -> None:
    desk = Desk()
    desk.open.clear()
    batcher = desk.batcher(batch_max=1)
    asked = [asyncio.create_task(batcher.ask(number)) for number in range(3)]
    await wait_until(lambda: desk.batches == [[0]])
    draining = asyncio.create_task(batcher.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    desk.open.set()
    await draining
    assert [task.done() for task in asked] == [True] * 3
