"""The lease: one holder at a time, by the database's clock, with a token that only grows."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.contract.sending import contender, expire_lease
from tests.contract.stores import Store
from ticketflow.delivery import LeaseLost
from ticketflow.runtime.errors import Indefinite


async def test_only_one_of_many_contenders_gets_the_lease(store: Store) -> None:
    contenders = [contender(store, f"relay-{n}") for n in range(5)]
    assert sum(await asyncio.gather(*(each.acquire() for each in contenders))) == 1


async def test_a_lease_is_free_again_when_the_database_says_so(store: Store) -> None:
    old, new = contender(store, "old"), contender(store, "new")
    assert await old.acquire()
    assert not await new.acquire()
    await expire_lease(store)
    assert await new.acquire()
    assert new.token > old.token


async def test_a_released_lease_is_free_at_once(store: Store) -> None:
    old, new = contender(store, "old"), contender(store, "new")
    assert await old.acquire()
    await old.release()
    assert await new.acquire()
    await old.release()  # too late: it is not his any more
    async with store.pool.transaction() as conn:
        await new.hold(conn)


async def test_a_renewal_that_arrives_after_the_release_does_nothing(store: Store) -> None:
    old, new = contender(store, "old"), contender(store, "new")
    assert await old.acquire()
    await old.release()
    async with store.pool.acquire(plain=True) as conn:
        assert not await store.dialect.renew_lease(conn, old.name, old.token, 30)
    assert await new.acquire()


class Unheard:
    """A pool whose first commit is carried out and not heard of: the lease is taken, its holder does not know."""

    def __init__(self, store: Store, instead: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._instead: Callable[[], Awaitable[None]] | None = instead

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self._store.pool.transaction() as conn:
            yield conn
        instead, self._instead = self._instead, None
        if instead:
            await instead()


async def test_who_is_stopped_before_it_knows_that_it_has_the_lease_lets_it_go(store: Store) -> None:
    committed = asyncio.Event()

    async def never() -> None:
        committed.set()
        await asyncio.Event().wait()

    old, new = contender(store, "old", pool=Unheard(store, never)), contender(store, "new")
    acquiring = asyncio.create_task(old.acquire())
    await committed.wait()
    assert not await new.acquire()
    acquiring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await acquiring
    assert await new.acquire()


async def test_who_cannot_know_whether_it_has_the_lease_lets_it_go(store: Store) -> None:
    async def cut_off() -> None:
        raise Indefinite("the connection was lost during COMMIT")

    old, new = contender(store, "old", pool=Unheard(store, cut_off)), contender(store, "new")
    with pytest.raises(Indefinite):
        await old.acquire()
    assert await new.acquire()


async def test_the_token_grows_even_when_the_clock_was_set_back(store: Store) -> None:
    first = contender(store, "first")
    assert await first.acquire()
    far = first.token + 10**12
    await store.do(f"UPDATE delivery_lease SET token = {far}")
    await expire_lease(store)
    second = contender(store, "second")
    assert await second.acquire()
    assert second.token == far + 1


async def test_a_restarted_process_takes_over_its_own_lease_but_only_once(store: Store) -> None:
    before, after = contender(store, "replica-1"), contender(store, "replica-1")
    assert await before.acquire()
    assert await after.acquire()
    assert after.token > before.token
    assert not await before.acquire()  # a namesake that lives on must wait like any other


async def test_renewal_belongs_to_the_token(store: Store) -> None:
    old, new = contender(store, "old", ttl_s=0.3), contender(store, "new")
    assert await old.acquire()
    await expire_lease(store)
    assert await new.acquire()
    with pytest.raises(LeaseLost):
        await old.keep()
    assert old.left_s <= 0
    assert new.left_s > 0


async def test_a_holder_that_slept_past_its_deadline_does_not_trust_its_lease(store: Store) -> None:
    now = 100.0
    lease = contender(store, "sleepy", ttl_s=10, clock=lambda: now)
    assert await lease.acquire()
    now += 7.9
    assert lease.check() == lease.token
    now += 0.2  # 8 of 10 seconds: what is left is our margin
    with pytest.raises(LeaseLost):
        lease.check()
