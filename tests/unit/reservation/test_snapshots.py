"""Snapshots in memory: how old, how often, how many, and what happens when the store does not answer."""

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from reservation.maps.snapshots import Limits, Snapshots
from reservation.refusals import Refused
from tests.support.waiting import wait_until
from ticketflow.runtime.errors import Unavailable

LONG = Limits(staleness_s=60, stale_max_s=120, gap_s=0)
ALWAYS_OLD = LONG._replace(staleness_s=0)


class Value:
    def __init__(self, number: int, bytes_held: int = 1) -> None:
        self.number = number
        self.bytes_held = bytes_held


class Store:
    """Counts how often it was asked; answers when ``open`` is set, with a fault when it has one."""

    def __init__(self) -> None:
        self.begun: list[float] = []
        self.before: list[Value | None] = []
        self.open = asyncio.Event()
        self.open.set()
        self.fault: Exception | None = None
        self.size: Callable[[str], int] = lambda _key: 1

    async def ask(self, key: str, before: Value | None) -> Value:
        self.begun.append(asyncio.get_running_loop().time())
        self.before.append(before)
        number = len(self.begun)
        await self.open.wait()
        if self.fault is not None:
            raise self.fault
        return Value(number, self.size(key))

    @property
    def asked(self) -> int:
        return len(self.begun)


@pytest.fixture
async def store() -> Store:
    return Store()


async def test_ten_thousand_readers_at_once_ask_the_store_once(store: Store) -> None:
    snapshots = Snapshots("test", store.ask, LONG)
    store.open.clear()
    readers = [asyncio.create_task(snapshots.read("a")) for _ in range(10_000)]
    await asyncio.sleep(0)
    store.open.set()
    assert {value.number for value in await asyncio.gather(*readers)} == {1}
    assert (await snapshots.read("a")).number == 1
    assert store.asked == 1


async def test_what_is_too_old_is_made_anew_from_the_one_before(store: Store) -> None:
    snapshots = Snapshots("test", store.ask, ALWAYS_OLD)
    first = await snapshots.read("a")
    assert (await snapshots.read("a")).number == 2
    assert store.before == [None, first]


async def test_who_wants_it_fresh_gets_what_was_begun_after_he_came(store: Store) -> None:
    snapshots = Snapshots("test", store.ask, LONG)
    store.open.clear()
    early = asyncio.create_task(snapshots.read("a"))
    await asyncio.sleep(0.01)
    late = [asyncio.create_task(snapshots.read("a", fresh=True)) for _ in range(50)]
    await asyncio.sleep(0.01)
    store.open.set()
    assert (await early).number == 1
    assert {value.number for value in await asyncio.gather(*late)} == {2}


async def test_who_insists_is_answered_once_in_a_while(store: Store) -> None:
    snapshots = Snapshots("test", store.ask, LONG._replace(gap_s=0.2))
    for _ in range(3):
        await asyncio.gather(*(snapshots.read("a", fresh=True) for _ in range(20)))
    assert store.asked == 3
    assert all(later - earlier >= 0.2 for earlier, later in pairwise(store.begun))


async def test_a_change_of_our_own_is_seen_at_once(store: Store) -> None:
    snapshots = Snapshots("test", store.ask, LONG)
    await snapshots.read("a")
    snapshots.outdate("a")
    snapshots.outdate("never read")
    assert (await snapshots.read("a")).number == 2
    assert (await snapshots.read("a")).number == 2


async def test_a_change_while_the_store_answers_is_not_taken_for_seen(store: Store) -> None:
    snapshots = Snapshots("test", store.ask, LONG)
    store.open.clear()
    early = asyncio.create_task(snapshots.read("a"))
    await asyncio.sleep(0.01)
    snapshots.outdate("a")
    store.open.set()
    await early
    assert (await snapshots.read("a")).number == 2


async def test_a_reader_who_leaves_ends_nothing(store: Store) -> None:
    snapshots = Snapshots("test", store.ask, LONG)
    store.open.clear()
    leaves, stays = (asyncio.create_task(snapshots.read("a")) for _ in range(2))
    await asyncio.sleep(0.01)
    leaves.cancel()
    await asyncio.sleep(0.01)
    store.open.set()
    assert (await stays).number == 1
    assert store.asked == 1


@pytest.mark.parametrize("fault", [Unavailable("down"), TimeoutError(), ConnectionResetError()])
async def test_while_the_store_is_away_the_last_one_is_shown_but_not_as_fresh(store: Store, fault: Exception) -> None:
    snapshots = Snapshots("test", store.ask, ALWAYS_OLD)
    first = await snapshots.read("a")
    store.fault = fault
    assert await snapshots.read("a") is first
    assert await snapshots.read("a") is first
    assert store.asked == 2, "after a failure the store is left alone for a moment"
    with pytest.raises(type(fault)):
        await snapshots.read("a", fresh=True)


async def test_when_it_is_too_old_the_fault_is_told(store: Store) -> None:
    snapshots = Snapshots("test", store.ask, ALWAYS_OLD._replace(stale_max_s=0))
    await snapshots.read("a")
    store.fault = Unavailable("down")
    with pytest.raises(Unavailable, match="down"):
        await snapshots.read("a")


async def test_when_the_store_is_back_so_is_the_present(store: Store) -> None:
    snapshots = Snapshots("test", store.ask, ALWAYS_OLD)
    await snapshots.read("a")
    store.fault = Unavailable("down")
    await snapshots.read("a")
    store.fault = None

    async def shows_the_present() -> bool:
        return (await snapshots.read("a")).number > 2

    await wait_until(shows_the_present)


async def test_a_failure_of_long_ago_excuses_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reservation.maps.snapshots.FAILING_S", 0.0)
    monkeypatch.setattr("reservation.maps.snapshots.RETRY_S", 0.0)
    snapshots = Snapshots("test", store.ask, ALWAYS_OLD)
    await snapshots.read("a")
    store.fault = Unavailable("down")
    await snapshots.read("a")
    store.fault = None
    assert (await snapshots.read("a")).number == 3


async def test_nobody_waits_long_for_a_store_that_says_nothing(store: Store) -> None:
    snapshots = Snapshots("test", store.ask, ALWAYS_OLD)
    first = await snapshots.read("a")
    store.open.clear()
    assert await asyncio.wait_for(snapshots.read("a"), 5) is first
    store.open.set()


async def test_what_does_not_exist_is_not_remembered(store: Store) -> None:
    snapshots = Snapshots("test", store.ask, LONG)
    store.fault = Refused("event_unknown")
    for _ in range(2):
        with pytest.raises(Refused):
            await snapshots.read("a")
    assert (store.asked, len(snapshots)) == (2, 0)
    store.fault = None
    assert (await snapshots.read("a")).number == 3
    store.fault = Refused("event_unknown")
    with pytest.raises(Refused):
        await snapshots.read("a", fresh=True)
    assert (len(snapshots), snapshots.bytes_held) == (0, 0)


async def test_who_was_asked_for_longest_ago_goes_first(store: Store) -> None:
    snapshots = Snapshots("test", store.ask, LONG._replace(keys_max=2))
    for key in ("a", "b", "a", "c", "a"):
        await snapshots.read(key)
    assert (store.asked, len(snapshots), snapshots.bytes_held) == (3, 2, 2)
    await snapshots.read("b")
    assert store.asked == 4


async def test_bytes_are_bounded_and_the_newest_stays(store: Store) -> None:
    snapshots = Snapshots("test", store.ask, LONG._replace(bytes_max=100))
    store.size = lambda key: {"huge": 1000}.get(key, 40)
    for key in ("a", "b", "c"):
        await snapshots.read(key)
    assert (len(snapshots), snapshots.bytes_held) == (2, 80)
    await snapshots.read("huge")
    assert (len(snapshots), snapshots.bytes_held) == (1, 1000)
    await snapshots.read("a")
    assert (len(snapshots), snapshots.bytes_held) == (1, 40)
