"""A step that nobody may cancel half-way."""

import asyncio

import pytest

from ticketflow.runtime.commit import uninterrupted
from ticketflow.runtime.errors import Indefinite


class Step:
    def __init__(self, error: Exception | None = None) -> None:
        self.go_on = asyncio.Event()
        self.error = error
        self.ended = False

    async def run(self) -> None:
        await self.go_on.wait()
        self.ended = True
        if self.error is not None:
            raise self.error


async def test_its_end_and_its_error_pass() -> None:
    step = Step()
    step.go_on.set()
    await uninterrupted(step.run())
    step = Step(Indefinite("no answer"))
    step.go_on.set()
    with pytest.raises(Indefinite):
        await uninterrupted(step.run())


@pytest.mark.parametrize("error", [None, Indefinite("no answer")])
async def test_a_cancellation_waits_for_it_and_outranks_its_error(error: Exception | None) -> None:
    step = Step(error)
    task = asyncio.create_task(uninterrupted(step.run()))
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done()
    step.go_on.set()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert step.ended
    assert caught.value.__cause__ is error


async def test_a_time_out_around_it_strikes_after_it() -> None:
    step = Step()
    asyncio.get_running_loop().call_later(0.05, step.go_on.set)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await uninterrupted(step.run())
    assert step.ended
