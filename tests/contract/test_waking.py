"""A relay hears of new events at once: from its own process, or from another replica where the store can tell."""

import asyncio

from tests.contract.sending import STREAM
from tests.contract.stores import Store, event
from tests.support.waiting import wait_until
from ticketflow.delivery import Outbox, Relay
from ticketflow.feed import Address
from ticketflow.runtime.errors import Unavailable

NOBODY = [Address("127.0.0.1", 9)]


async def test_an_announcement_is_heard_by_the_relays_of_its_stream_only(store: Store) -> None:
    heard = asyncio.Event()
    async with store.dialect.listening(store.pool, STREAM, heard.set):
        if not store.dialect.announces:
            return
        await wait_until(heard.is_set)  # listening: what was missed before is looked for
        heard.clear()
        async with store.pool.acquire() as conn:
            await store.dialect.announce(conn, "other")
            await store.dialect.announce(conn, STREAM)
        await wait_until(heard.is_set)


async def test_a_replica_that_does_not_relay_passes_the_word_on_and_does_not_echo_it(store: Store) -> None:
    heard = 0

    def hear() -> None:
        nonlocal heard
        heard += 1

    async def refuse(*_args: object, **_named: object) -> None:
        raise Unavailable("this test has no receiver")

    async with store.pool.transaction() as conn:
        assert await store.dialect.acquire_lease(conn, f"relay:{STREAM}", "the other replica", 60, False) is not None
    relay = Relay(store.pool, store.dialect, stream=STREAM, addresses=NOBODY, owner="this one", connect=refuse)  # type: ignore[arg-type]
    running = asyncio.create_task(relay.run())
    try:
        async with store.dialect.listening(store.pool, STREAM, hear):
            if not store.dialect.announces:
                return
            await wait_until(lambda: heard == 1)  # on connecting
            for _ in range(50):
                relay.wake.set()
            await wait_until(lambda: heard == 2)
            relay.wake.set()
            await wait_until(lambda: heard == 3)
            assert not relay.leading
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert heard == 3, "fifty commits at once are one announcement, and hearing it announces nothing"


async def test_in_one_process_the_outbox_wakes_the_relay_itself(store: Store) -> None:
    wake = asyncio.Event()
    outbox = Outbox(store.dialect, STREAM)
    outbox.notify()  # nobody listens yet
    outbox.wakes(wake)
    async with store.pool.transaction() as conn:
        await outbox.stage(conn, [event("a")])
    assert not wake.is_set()
    outbox.notify()
    assert wake.is_set()
