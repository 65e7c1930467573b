"""The worker loop: at once, idle, backing off, dying. Retrying."""

import asyncio
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from tests.support.waiting import wait_until
from ticketflow.runtime import worker
from ticketflow.runtime.errors import Indefinite, Retryable, Unavailable
from ticketflow.runtime.retry import retrying

FAST = (0.001, 0.002)


class Work:
    """``run_once`` gives or raises what stands next in ``script``, then zeros."""

    def __init__(self, *script: int | Exception) -> None:
        self.script = list(script)
        self.calls = 0

    async def run_once(self) -> int:
        self.calls += 1
        step = self.script.pop(0) if self.script else 0
        if isinstance(step, Exception):
            raise step
        return step


async def test_it_repeats_at_once_while_there_is_work_and_then_waits() -> None:
    work = Work(3, 1)
    task = asyncio.create_task(worker.loop("w", work.run_once, idle_s=60))
    await wait_until(lambda: work.calls == 3)
    await asyncio.sleep(0.02)
    assert work.calls == 3
    task.cancel()


async def test_what_nobody_waits_for_takes_its_share_of_the_time_and_no_more() -> None:
    began: list[float] = []

    async def run_once() -> int:
        began.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.02)
        return 1

    task = asyncio.create_task(worker.loop("w", run_once, idle_s=60, share_max=0.1))
    await wait_until(lambda: len(began) == 4)
    task.cancel()
    assert all(later - earlier >= 0.19 for earlier, later in pairwise(began))


async def test_a_wake_ends_the_wait_even_when_it_came_during_the_work() -> None:
    wake = asyncio.Event()
    calls = 0

    async def run_once() -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            wake.set()
        return 0

    task = asyncio.create_task(worker.loop("w", run_once, idle_s=60, wake=wake))
    await wait_until(lambda: calls == 2)
    wake.set()
    await wait_until(lambda: calls == 3)
    task.cancel()


async def test_idleness_ends_by_itself() -> None:
    work = Work()
    task = asyncio.create_task(worker.loop("w", work.run_once, idle_s=0.001, wake=asyncio.Event()))
    await wait_until(lambda: work.calls > 3)
    task.cancel()


async def test_store_faults_are_waited_out_and_logged_once() -> None:
    work = Work(Unavailable("a"), Indefinite("b"), Unavailable("c"), 0)
    with capture_logs() as lines:
        task = asyncio.create_task(worker.loop("w", work.run_once, idle_s=60, backoff_s=FAST))
        await wait_until(lambda: work.calls == 4)
        task.cancel()
    assert [line["event"] for line in lines] == ["worker_waits", "worker_goes_on"]


async def test_a_bug_ends_the_loop() -> None:
    with pytest.raises(ZeroDivisionError):
        await worker.loop("w", Work(1, ZeroDivisionError()).run_once, idle_s=60)


async def test_retrying_repeats_victims_and_nothing_else() -> None:
    work = Work(Retryable("deadlock"), Retryable("again"), 7)
    assert await retrying(work.run_once) == 7
    with pytest.raises(Unavailable):
        await retrying(Work(Unavailable("down"), 7).run_once)


async def test_retrying_gives_up_with_the_last_error() -> None:
    work = Work(*(Retryable(str(n)) for n in range(9)))
    with pytest.raises(Retryable, match="2"):
        await retrying(work.run_once, attempts=3)
    assert work.calls == 3
