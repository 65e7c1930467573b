"""Who wants something done while others do is done with them; what goes wrong for one goes wrong for nobody else."""

import asyncio
from collections.abc import Sequence

import pytest

from billing.gathering import BATCH_MAX, Gathering
from tests.support.waiting import wait_until
from ticketflow.runtime.errors import Indefinite, Retryable, Unavailable


class Store:
    """``together`` waits for ``open``; ``busy``: passed over there. ``fault``: raised by the next batch of several."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.alone: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self.busy: set[str] = set()
        self.fault: Exception | None = None
        self.alone_fault: Exception | None = None
        self.gathering: Gathering[str, str] = Gathering(self.together, self.by_itself, lambda what: what[0])

    async def together(self, wanted: Sequence[str]) -> list[str | None]:
        self.batches.append(list(wanted))
        await self.open.wait()
        if len(wanted) > 1 and self.fault is not None:
            raise self.fault
        return [None if one in self.busy else one.upper() for one in wanted]

    async def by_itself(self, what: str) -> str:
        self.alone.append(what)
        if self.alone_fault is not None:
            raise self.alone_fault
        return what.upper()

    async def two_batches(self, *wanted: str) -> "list[asyncio.Task[str]]":
        """The first of them under way, the others waiting for it to end; then all are let go."""
        asked = await self.held(*wanted)
        self.open.set()
        return asked

    async def held(self, *wanted: str) -> "list[asyncio.Task[str]]":
        """The same, before they are let go."""
        self.open.clear()
        first = asyncio.create_task(self.gathering.do(wanted[0]))
        await wait_until(lambda: self.batches == [[wanted[0]]])
        others = [asyncio.create_task(self.gathering.do(one)) for one in wanted[1:]]
        await asyncio.sleep(0)
        return [first, *others]


async def test_one_is_done_at_once_and_those_that_come_meanwhile_together() -> None:
    store = Store()
    asked = await store.two_batches("a", "b", "c", "d")
    assert await asyncio.gather(*asked) == ["A", "B", "C", "D"]
    assert store.batches == [["a"], ["b", "c", "d"]]
    assert store.alone == []


async def test_two_of_one_name_are_in_different_batches_in_their_order() -> None:
    store = Store()
    asked = await store.two_batches("a", "b1", "b2", "c")
    assert await asyncio.gather(*asked) == ["A", "B1", "B2", "C"]
    assert store.batches == [["a"], ["b1", "c"], ["b2"]]


async def test_a_batch_is_bounded() -> None:
    store = Store()
    names = [chr(number) for number in range(1000, 1000 + 2 * BATCH_MAX)]
    asked = await store.two_batches("a", *names)
    await asyncio.gather(*asked)
    assert [len(batch) for batch in store.batches] == [1, BATCH_MAX, BATCH_MAX]


async def test_what_a_batch_passes_over_is_done_alone() -> None:
    store = Store()
    store.busy = {"c"}
    asked = await store.two_batches("a", "b", "c")
    assert await asyncio.gather(*asked) == ["A", "B", "C"]
    assert store.alone == ["c"]


@pytest.mark.parametrize("fault", [ValueError("a bug"), Retryable("deadlock"), Indefinite("no answer to COMMIT")])
async def test_when_a_batch_fails_each_is_done_alone(fault: Exception) -> None:
    store = Store()
    store.fault = fault
    asked = await store.two_batches("a", "b", "c")
    assert await asyncio.gather(*asked) == ["A", "B", "C"]
    assert sorted(store.alone) == ["b", "c"]


async def test_a_store_that_is_away_is_told_to_all_at_once() -> None:
    store = Store()
    store.fault = Unavailable("away")
    asked = await store.two_batches("a", "b", "c")
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert outcomes == ["A", store.fault, store.fault]
    assert store.alone == []


async def test_after_a_commit_without_an_answer_nobody_is_told_that_nothing_has_happened() -> None:
    store = Store()
    store.fault, store.alone_fault = Indefinite("no answer to COMMIT"), Unavailable("away")
    asked = await store.two_batches("a", "b", "c")
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes[1:]] == [Indefinite, Indefinite]


async def test_who_gives_up_waiting_is_left_out_and_nobody_waits_for_him() -> None:
    store = Store()
    asked = await store.held("a", "b", "c")
    asked[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked[1]
    store.open.set()
    assert [await asked[0], await asked[2]] == ["A", "C"]
    assert [one for batch in store.batches for one in batch] == ["a", "c"]


async def test_beside_a_batch_that_takes_long_another_one_begins() -> None:
    store = Store()
    asked = await store.held("a", "b", "c")
    await wait_until(lambda: store.batches == [["a"], ["b", "c"]])
    store.open.set()
    assert await asyncio.gather(*asked) == ["A", "B", "C"]
