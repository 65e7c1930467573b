"""How a lease is renewed: by the transactions that it covers, or by itself and then past everybody else.

A renewal of its own waits for the lease's row, which these transactions lock: behind a stamp and a mark of a slow store
it would come too late.
"""

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import replace

import pytest

from tests.contract.sending import contender, leader, stage
from tests.contract.stores import POOL_CONNECTIONS, Store, connected, event
from tests.support.waiting import wait_until


class Clock:
    """Of the holder; the store has its own."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def runs_out(store: Store) -> str:
    """When, by the store."""
    return str((await store.rows("SELECT expires_at FROM delivery_lease"))[0][0])


async def test_a_transaction_renews_the_lease_that_covers_it(store: Store) -> None:
    clock = Clock()
    lease = contender(store, "one", ttl_s=10, clock=clock)
    assert await lease.acquire()
    before = await runs_out(store)
    clock.now += 5
    async with lease.transaction():
        clock.now += 2
        assert lease.left_s == pytest.approx(1)  # not before it is committed
    assert lease.left_s == pytest.approx(8)
    assert await runs_out(store) > before


async def test_one_that_fails_renews_nothing(store: Store) -> None:
    clock = Clock()
    lease = contender(store, "one", ttl_s=10, clock=clock)
    assert await lease.acquire()
    before = await runs_out(store)
    clock.now += 5
    with suppress(KeyError):
        async with lease.transaction():
            raise KeyError
    assert lease.left_s == pytest.approx(3)
    assert await runs_out(store) == before


async def test_one_soon_after_another_costs_nothing_more(store: Store) -> None:
    clock = Clock()
    lease = contender(store, "one", ttl_s=10, clock=clock)
    assert await lease.acquire()
    before = await runs_out(store)
    clock.now += 0.9
    async with lease.transaction():
        pass
    assert lease.left_s == pytest.approx(7.1)
    assert await runs_out(store) == before


async def test_stamps_and_marks_renew_it(store: Store) -> None:
    clock = Clock()
    ledger = await leader(store, clock=clock)
    for work in (ledger.stamp, lambda: ledger.mark_acked(1)):
        await stage(store, event("a"))
        before = await runs_out(store)
        clock.now += 20
        await work()
        assert await runs_out(store) > before


async def test_a_lease_that_was_given_up_is_not_relied_on_again(store: Store) -> None:
    clock = Clock()
    lease = contender(store, "one", ttl_s=10, clock=clock)
    assert await lease.acquire()
    clock.now += 5
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        async with lease.transaction():
            inside.set()
            await go_on.wait()

    working = asyncio.create_task(work())
    await inside.wait()
    releasing = asyncio.create_task(lease.release())
    await wait_until(lambda: lease.left_s < 0)
    go_on.set()
    await working
    assert lease.left_s < 0
    await releasing


async def test_a_renewal_does_not_wait_for_those_who_use_up_the_pool(store: Store) -> None:
    _, renewals, _ = connected(store.name, store.database)
    await renewals.open()
    other = replace(store, pool=renewals)
    lease = contender(store, "one", ttl_s=6, renewals=renewals)
    assert await lease.acquire()
    before = await runs_out(store)

    async def renewed() -> bool:
        return await runs_out(other) > before

    async with AsyncExitStack() as users:
        for _ in range(POOL_CONNECTIONS):
            await users.enter_async_context(store.pool.acquire())
        keeping = asyncio.create_task(lease.keep())
        try:
            await wait_until(renewed)
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping
    await renewals.close()
