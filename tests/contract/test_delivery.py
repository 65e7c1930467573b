"""A relay and an inbox over a real feed, from one kind of store to the other."""

import asyncio
import random
from typing import Any

import pytest

from tests.contract.delivering import Delivery, delivery
from tests.contract.receiving import STREAM
from tests.contract.sending import stage
from tests.contract.stores import Store, event, events, keys_in_order
from tests.support.waiting import wait_until
from ticketflow.delivery import Outbox
from ticketflow.delivery.metrics import REWINDS, STREAM_FAULTS
from ticketflow.events import Envelope

Ends = tuple[Store, Store]


async def test_what_is_staged_arrives_once_and_in_order(ends: Ends) -> None:
    async with delivery(ends) as both:
        await stage(both.sending, *events("a", 300), *events("b", 300))
        await wait_until(lambda: both.delivered(600))
    arrived = keys_in_order(await both.receiving.effects())
    assert arrived == {key: [f"{key}-{n}" for n in range(1, 301)] for key in "ab"}


async def test_an_event_arrives_soon_after_its_commit(ends: Ends) -> None:
    async with delivery(ends) as both:
        await wait_until(lambda: both.sessions)
        outbox = Outbox(both.sending.dialect, STREAM)
        assert both.relay is not None
        outbox.wakes(both.relay.wake)
        for n in range(5):
            async with both.sending.pool.transaction() as conn:
                await outbox.stage(conn, [event("a", f"a-{n}")])
            outbox.notify()
            await wait_until(lambda: both.receiving.effects(), timeout_s=2)
        await wait_until(lambda: both.delivered(5))


async def test_only_one_of_two_relays_sends_and_the_other_takes_over(ends: Ends) -> None:
    async with delivery(ends) as both:
        await wait_until(lambda: both.sessions)
        first, first_task = both.relay, both._task
        second = both.start_sender("standby")
        await stage(both.sending, *events("a", 5))
        await wait_until(lambda: both.delivered(5))
        assert first is not None
        assert (first.leading, second.leading) == (True, False)
        assert first_task is not None
        first_task.cancel()
        await stage(both.sending, *events("b", 5))
        await wait_until(lambda: both.delivered(10))
        assert second.leading


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_crashes_of_both_ends_neither_lose_nor_double_nor_reorder(ends: Ends, seed: int) -> None:
    rng = random.Random(seed)
    committed: dict[str, list[str]] = {}

    async def write(sending: Store) -> None:
        outbox = Outbox(sending.dialect, STREAM)
        for n in range(60):
            for key in rng.sample("abcdef", 3):
                staged = event(key, f"{key}-{n}")
                # A COMMIT whose connection is killed may or may not have happened: the table says.
                try:
                    async with sending.pool.transaction() as conn:
                        await outbox.stage(conn, [staged])
                        if rng.random() < 0.1:
                            raise ZeroDivisionError
                except Exception:
                    found = await until_known(sending, staged)
                    if not found:
                        continue
                committed.setdefault(key, []).append(f"{key}-{n}")
            await asyncio.sleep(0.02)

    async with delivery(ends) as both:
        writing = asyncio.create_task(write(both.sending))
        while not writing.done():
            await asyncio.sleep(rng.random() * 0.4)
            await rng.choice([crash_sender, crash_receiver, stop_receiver])(both)
        await writing
        count = sum(map(len, committed.values()))
        await wait_until(lambda: both.delivered(count), timeout_s=30)
        assert keys_in_order(await both.receiving.effects()) == committed
        assert await both.receiving.parked() == []
        assert sorted(seq or 0 for seq in await both.sending.seqs(STREAM)) == list(range(1, count + 1))


async def until_known(store: Store, staged: Envelope) -> bool:
    """Whether a transaction whose end nobody heard of has committed."""

    async def look() -> list[Any]:
        return [await store.rows("SELECT 1 FROM delivery_outbox WHERE event_id = %s", staged.id)]

    return bool((await wait_until(look))[0])


async def crash_sender(both: Delivery) -> None:
    await both.crash_sender()
    both.start_sender()


async def crash_receiver(both: Delivery) -> None:
    await both.crash_receiver()
    await both.start_receiver()


async def stop_receiver(both: Delivery) -> None:
    await both.stop_receiver()
    await both.start_receiver()


async def restore_inbox(store: Store, to: int) -> None:
    """The receiving store as an older copy has it."""
    await store.do("DELETE FROM effects WHERE event_id IN (SELECT event_id FROM delivery_inbox WHERE seq > %s)", to)
    await store.do("DELETE FROM delivery_inbox WHERE seq > %s", to)
    await store.do("UPDATE delivery_inbox_stream SET watermark = %s", to)


async def test_a_receiver_that_was_restored_to_an_older_state_is_replayed_from_there(ends: Ends) -> None:
    rewinds = REWINDS.labels(STREAM)._value.get()
    async with delivery(ends) as both:
        await stage(both.sending, *events("a", 20))
        await wait_until(lambda: both.delivered(20))
        await both.stop_receiver()
        await restore_inbox(both.receiving, 8)
        await both.start_receiver()
        await wait_until(lambda: both.delivered(20))
        assert keys_in_order(await both.receiving.effects()) == {"a": [f"a-{n}" for n in range(1, 21)]}
    assert REWINDS.labels(STREAM)._value.get() == rewinds + 1


async def test_a_receiver_that_is_restored_under_a_live_session_is_replayed_too(ends: Ends) -> None:
    async with delivery(ends) as both:
        await stage(both.sending, *events("a", 20))
        await wait_until(lambda: both.delivered(20))
        await restore_inbox(both.receiving, 8)
        await stage(both.sending, event("b", "b-1"))  # leaves a gap behind the older watermark
        await wait_until(lambda: both.delivered(21))
        assert len(await both.receiving.effects()) == 21


async def test_a_rewind_beyond_what_is_kept_sends_nothing(ends: Ends) -> None:
    faults = STREAM_FAULTS.labels(STREAM, "rewind_impossible")
    before = faults._value.get()
    async with delivery(ends) as both:
        await stage(both.sending, *events("a", 20))
        await wait_until(lambda: both.delivered(20))
        await both.stop_receiver()
        await restore_inbox(both.receiving, 8)
        await both.sending.do("DELETE FROM delivery_outbox WHERE seq <= 10")
        await stage(both.sending, event("b"))
        await both.start_receiver()
        await wait_until(lambda: faults._value.get() > before)
        assert (await both.position())[0] == 8
        assert await both.sending.rows("SELECT acked_seq FROM delivery_stream") == [(20,)]


async def restore_outbox(store: Store, to: int) -> None:
    """The sending store as an older copy has it."""
    await store.do("DELETE FROM delivery_outbox WHERE seq > %s OR seq IS NULL", to)
    await store.do("UPDATE delivery_stream SET last_seq = %s, acked_seq = %s", to, to)


async def test_a_sender_that_lost_history_goes_on_in_a_new_epoch(ends: Ends) -> None:
    async with delivery(ends) as both:
        await stage(both.sending, *events("a", 5))
        await wait_until(lambda: both.delivered(5))
        await both.stop_sender()
        await restore_outbox(both.sending, 3)
        await stage(both.sending, *events("b", 4))  # enough to step over the receiver's watermark, if it were stamped
        both.start_sender()
        await wait_until(lambda: both.delivered(7))
        assert await both.sending.seqs(STREAM) == [1, 2, 3, 4, 5, 6, 7]
        written = keys_in_order(await both.receiving.effects())
        assert written == {"a": [f"a-{n}" for n in range(1, 6)], "b": [f"b-{n}" for n in range(1, 5)]}
        assert await both.receiving.rows("SELECT seq FROM delivery_phantom ORDER BY seq") == [(4,), (5,)]


async def test_a_sender_that_loses_history_under_a_live_session_stamps_nothing_before_it_has_asked(ends: Ends) -> None:
    moved = STREAM_FAULTS.labels(STREAM, "history_moved")
    before = moved._value.get()
    async with delivery(ends) as both:
        await stage(both.sending, *events("a", 5))
        await wait_until(lambda: both.delivered(5))
        await restore_outbox(both.sending, 3)  # as a failover to a replica that was behind: the lease is still there
        await stage(both.sending, *events("b", 4))
        await wait_until(lambda: both.delivered(7))
        assert len(await both.receiving.effects()) == 9
        assert await both.receiving.rows("SELECT seq FROM delivery_phantom ORDER BY seq") == [(4,), (5,)]
    assert moved._value.get() == before + 1


async def test_two_forks_in_a_row_while_the_receiver_is_away(ends: Ends) -> None:
    async with delivery(ends) as both:
        await stage(both.sending, *events("a", 6))
        await wait_until(lambda: both.delivered(6))
        await both.stop_sender()
        await restore_outbox(both.sending, 4)
        both.start_sender()
        await wait_until(lambda: both.delivered(4))
        await stage(both.sending, *events("b", 2))
        await wait_until(lambda: both.delivered(6))
        await both.stop_sender()
        await restore_outbox(both.sending, 5)
        await restore_inbox(both.receiving, 5)
        await both.receiving.do("UPDATE delivery_inbox_stream SET watermark = 2")  # it lost history as well
        await stage(both.sending, *events("c", 2))
        both.start_sender()
        await wait_until(lambda: both.delivered(7))
        found = await both.receiving.rows("SELECT DISTINCT event_id FROM effects")
        assert len(found) == 9  # six of a, two of b less the one that was restored away, two of c


async def test_a_slow_receiver_slows_its_sender_and_not_its_writers(ends: Ends) -> None:
    gate = asyncio.Event()

    async def slow(conn: Any, envelope: Envelope) -> None:
        await gate.wait()
        await ends[1].write_effect(conn, envelope)

    async with delivery(ends, slow) as both:
        await stage(both.sending, *[event("a", "x" * 5_000) for _ in range(100)])
        async with asyncio.timeout(5):
            for _ in range(20):
                await stage(both.sending, *[event("a", "x" * 5_000) for _ in range(100)])
        assert (both.sessions[0].sent or 0) < 500  # the window: 2 MiB of events of 5 KB
        gate.set()
        await wait_until(lambda: both.delivered(2100), timeout_s=30)
        assert len(await both.receiving.effects()) == 2100
